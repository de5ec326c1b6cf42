"""What is shipped: the wheel, the pinned versions, and the two commands of the README."""

import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from oaa_pl import __version__

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pins() -> dict[str, str]:
    """Version of every package that constraints.txt pins on this machine."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {
        canonicalize_name(pin.name): next(iter(pin.specifier)).version
        for pin in found
        if pin.marker is None or pin.marker.evaluate()
    }


def requirements() -> list[Requirement]:
    """Everything that the Makefile installs by name."""
    extras = PROJECT["project"]["optional-dependencies"]
    pinned = ("dev", "lite", "export", "bench", "notebooks", "docs")
    lines = [
        *PROJECT["project"]["dependencies"],
        *(line for name in pinned for line in extras[name]),
    ]
    return [Requirement(line) for line in lines]


def unfit(requirement: Requirement, pinned: str | None) -> bool:
    """Whether a version is missing, or outside a requirement's bounds."""
    return pinned is None or not requirement.specifier.contains(Version(pinned), prereleases=True)


def test_the_tested_version_of_each_dependency_is_pinned_within_its_bounds() -> None:
    pinned = pins()
    found = [(wanted, pinned.get(canonicalize_name(wanted.name))) for wanted in requirements()]
    assert len(found) > 20
    assert [f"{wanted}: pinned {pin}" for wanted, pin in found if unfit(wanted, pin)] == []


def test_a_version_that_is_missing_or_out_of_bounds_is_seen() -> None:
    wanted = Requirement("torch>=2.6,<3")
    assert [unfit(wanted, pin) for pin in ("2.6", "2.5", "3.0", None)] == [False, True, True, True]


def test_what_torch_needs_for_its_platform_is_left_to_torch() -> None:
    assert [name for name in pins() if name.startswith(("nvidia", "cuda", "triton"))] == []


def test_every_bound_and_every_ignored_warning_has_a_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    bare = [
        line.strip()
        for before, line in itertools.pairwise(lines)
        if re.match(r'\s+"([\w.\[\]-]+[<>=]=|ignore:)', line)
        and "#" not in line
        and "#" not in before
    ]
    assert bare == []


def test_the_citation_names_the_version_of_the_package() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def make(*arguments: str) -> str:
    # The surroundings of a `make test` around this test must not leak in.
    surroundings = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    surroundings.pop("ARGS", None)
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_make_alone_lists_every_target_that_a_person_may_want() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    listed = re.findall(r"^  ([a-z-]+)  ", make(), flags=re.MULTILINE)
    assert set(phony.split()) - set(listed) == {"data-dir"}  # a check, no target of its own


def test_make_test_all_computes_again_as_an_older_processor_would() -> None:
    every, again = make("-n", "test-all", "ARGS=-k store").splitlines()[-2:]
    assert every == ".venv/bin/python -m pytest -k store"
    older = "ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2"
    assert again == (
        f"{older} .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist worksteal "
        '-m "not slow and not reliability" -k store || test $? -eq 5'
    )


def test_the_systems_that_are_supported_are_named() -> None:
    systems = [c for c in PROJECT["project"]["classifiers"] if c.startswith("Operating System")]
    assert systems == ["Operating System :: MacOS", "Operating System :: POSIX :: Linux"]


def test_make_reproduce_runs_the_embedded_data_when_nothing_is_said() -> None:
    command = make("-n", "reproduce").splitlines()[-1]
    assert command.split() == [".venv/bin/oaa", "reproduce"]


def test_make_reproduce_hands_data_folder_and_further_arguments_on() -> None:
    said = make("-n", "reproduce", "DATA=table2_voc320", "DATA_DIR=../a b", "ARGS=seed=1")
    assert said.splitlines()[-1].endswith(
        """oaa reproduce experiment=table2_voc320 'data.root="../a b"' seed=1"""
    )
    assert "oaa data" not in said


def test_make_reproduce_fetches_the_full_size_data_first() -> None:
    folder = "it's /a, (b)"
    fetch, train = make("-n", "reproduce", "DATA=voc12", f"DATA_DIR={folder}").splitlines()[-2:]
    for line, command in ((fetch, "data"), (train, "reproduce")):
        words = [".venv/bin/oaa", command, "experiment=voc12", f'data.root="{folder}"']
        assert shlex.split(line) == words


@pytest.mark.parametrize("data", ["voc12", "table2_voc320"])
def test_make_reproduce_asks_for_the_folder_of_the_photos(data: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        make("reproduce", f"DATA={data}")
    assert f"DATA={data} needs DATA_DIR=path" in refused.value.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The built wheel, opened."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.mark.slow
class TestWheel:
    @pytest.mark.parametrize(("folder", "kind"), [("conf", "*.yaml"), ("experiments", "*.md")])
    def test_configuration_and_protocols_lie_inside_the_package(
        self, wheel: zipfile.ZipFile, folder: str, kind: str
    ) -> None:
        expected = {
            f"oaa_pl/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob(kind)
        }
        assert expected, f"{folder}/ holds no {kind}"
        assert expected <= set(wheel.namelist())

    def test_every_source_file_is_in(self, wheel: zipfile.ZipFile) -> None:
        sources = {
            path.relative_to(ROOT / "src").as_posix()
            for path in (ROOT / "src").rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert sources <= set(wheel.namelist())

    def test_nothing_else_is_in(self, wheel: zipfile.ZipFile) -> None:
        tops = {name.partition("/")[0] for name in wheel.namelist()}
        assert tops == {"oaa_pl", f"oaa_pl-{__version__}.dist-info"}

    def test_types_and_licence_are_shipped(self, wheel: zipfile.ZipFile) -> None:
        names = set(wheel.namelist())
        assert "oaa_pl/py.typed" in names
        assert f"oaa_pl-{__version__}.dist-info/licenses/LICENSE" in names

    def test_it_stays_small(self, wheel: zipfile.ZipFile) -> None:
        assert max(entry.file_size for entry in wheel.infolist()) < 1_000_000

    def test_the_command_is_called_oaa(self, wheel: zipfile.ZipFile) -> None:
        scripts = wheel.read(f"oaa_pl-{__version__}.dist-info/entry_points.txt").decode()
        assert "oaa = oaa_pl.commands.main:main" in scripts
