"""The built wheel, installed into an environment of its own, works in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.commands.tiny import files
from tests.test_readme import folder_of_the_readme

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `oaa` of an environment that holds the wheel, and sees this one's other packages."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    run(sys.executable, "-m", "venv", str(folder / "env"))
    python = folder / "env/bin/python"
    run(str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    # Last on the path: what the wheel brought comes first. The line of an editable installation
    # is in a .pth file there, and those are read of the environment's own folder only.
    (site,) = (folder / "env/lib").glob("python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "env/bin/oaa"


def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command, cwd=cwd, env={**plain, "OMP_NUM_THREADS": "2"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_wheel_runs_the_smoke_experiment_in_an_empty_folder(
    installed: Path, empty: Path
) -> None:
    where = run(str(installed.parent / "python"), "-c", "import oaa_pl; print(oaa_pl.__file__)")
    assert str(installed.parents[1]) in where.stdout
    run(str(installed), "reproduce", "experiment=smoke", cwd=empty)
    made = files(empty)
    assert {"runs/smoke/results.csv", "runs/smoke/report/index.html"} <= made
    assert {name.partition("/")[0] for name in made} == {"runs", "data"}


@pytest.mark.slow
def test_the_wheel_has_the_manual_and_its_choices(installed: Path, empty: Path) -> None:
    page = run(str(installed), "--help", cwd=empty).stdout
    for group in ("net", "experiment", "fusion"):
        choices = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
        assert choices
        assert choices <= set(re.findall(r"\w+", page)), group


@pytest.mark.slow
def test_the_readme_s_python_runs_from_the_wheel(installed: Path, again: Path) -> None:
    folder_of_the_readme(again)
    shutil.copy(ROOT / "tests/readme_scope.py", again)
    shutil.copy(ROOT / "README.md", again)
    python = installed.parent / "python"
    where = run(str(python), "-c", "import oaa_pl; print(oaa_pl.__file__)", cwd=again)
    assert str(installed.parents[1]) in where.stdout
    done = run(str(python), "readme_scope.py", "README.md", cwd=again)
    assert done.stdout.splitlines()[-1] == "(32, 32) (50, 64)"
    assert {"maps/header.json", "maps/images.txt"} <= files(again)
