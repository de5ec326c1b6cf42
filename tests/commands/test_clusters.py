"""Labels, saliency maps, exports and scores by every backend: the same files, byte for byte.

`python -m tests.commands.test_clusters [[COMMAND, WORD...]...]`, in JSON, runs commands.
"""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.commands.tiny import oaa, require_refusal, surroundings, words
from tests.conftest import TINY_SPLITS
from tests.parallel.test_fan_out import require_installed
from tests.proxy.tiny_onnx import save_model

from oaa_pl.commands.main import main

SEED = Path("runs/tiny/seed-0")
LABELS, ATTENTION = SEED / "labels/oaa_max", SEED / "attention/oaa_max"
KILLS = """
import os
from pathlib import Path
from oaa_pl.proxy.background import ConstantCue
class KillsOnce(ConstantCue):
    def __call__(self, image_id, photo):
        if image_id == "{}":
            try:
                Path("killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os._exit(1)
        return super().__call__(image_id, photo)
"""


def run(*lines: tuple[str, ...]) -> None:
    """Commands in a process of their own: the backends leave threads and warnings behind."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.commands.test_clusters", json.dumps(lines)], check=False,
        env=surroundings(), text=True, capture_output=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def contents(*places: Path) -> dict[str, bytes]:
    """Path to bytes of files, and of all files in folders, but for a record's seconds."""
    found = {}
    for place in places:
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if path.is_file() and path.suffix != ".json":
                found[str(path)] = path.read_bytes()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "loky", "dask", "ray"])
def test_every_backend_makes_the_same_files(
    again: Path, tiny_voc_once: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_installed(backend)
    if find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed: the extra saliency")
    spread = (f"parallel.backend={backend}", "parallel.workers=2")
    (again / "killing.py").write_text(KILLS.format(TINY_SPLITS["train"][2]))
    monkeypatch.syspath_prepend(again)

    def scored() -> dict[str, bytes]:
        tables = ("metrics.csv", "classes.csv", "confusion.csv")
        scores = contents(*(place / name for place in (LABELS, ATTENTION) for name in tables))
        return scores | {"curve": (ATTENTION / "curve.json").read_bytes()}

    pngs, scores = contents(LABELS / "proxy", LABELS / "hard"), scored()
    assert (len(pngs), len(scores)) == (8, 7)
    shutil.copytree(tiny_voc_once / "JPEGImages", again / "photos")
    (again / "photos/broken.jpg").write_bytes(b"no photo")
    model = f"saliency.model={save_model(again / 'red.onnx', size=(8, 8))}"
    saliency = ("saliency", model, "saliency.photos=photos")
    export = ("store", "export", str(ATTENTION / "store"))
    assert oaa(*saliency, "saliency.output=one/saliency").status == 0
    assert oaa(*export, "one/maps", "format=npz").status == 0

    shutil.rmtree(LABELS)
    for name in ("scored.json", "metrics.csv", "curve.json"):
        (ATTENTION / name).unlink()
    # With `processes`, a killed worker is an error.
    killing = () if backend == "processes" else ("background._target_=killing.KillsOnce",)
    plain = (*words(tiny_voc_once), "label.workers=2", *spread)
    run(
        ("label", "method=oaa_max", *plain, *killing),
        ("evaluate", *plain),
        (*export, "two/maps", "format=npz", *spread),
        (*saliency, "saliency.output=two/saliency", *spread),
    )
    assert (again / "killed").is_file() is bool(killing)
    assert contents(LABELS / "proxy", LABELS / "hard") == pngs
    assert scored() == scores
    one, two = contents(again / "one"), contents(again / "two")
    assert len(one) == 4 + 1 + 6  # maps, the list of images, saliency maps
    assert two == {name.replace("/one/", "/two/"): content for name, content in one.items()}


@pytest.mark.parametrize(
    "line", ["label method=oaa_max", "evaluate", "saliency saliency.output=maps"]
)
def test_an_unknown_backend_is_one_line_with_the_choices(
    again: Path, tiny_voc_once: Path, line: str
) -> None:
    command, *more = line.split()
    if command == "saliency":
        if find_spec("onnxruntime") is None:
            pytest.skip("onnxruntime is not installed: the extra saliency")
        more.append(f"saliency.model={save_model(again / 'red.onnx', size=(8, 8))}")
    said = oaa(command, *words(tiny_voc_once), *more, "parallel.backend=spark")
    require_refusal(said, "parallel.backend must be one of processes, loky, dask, ray, got 'spark'")


@pytest.mark.parametrize(
    ("word", "fragment"),
    [
        ("parallel.backend=spark", "must be one of processes, loky, dask, ray, got 'spark'"),
        ("parallel.workers=none", "parallel.workers must be a whole number of 1 or more"),
        ("parallel.number=2", "options are generation=..., format=..., photos=..., parallel.back"),
    ],
)
def test_an_export_refuses_what_does_not_fit(again: Path, word: str, fragment: str) -> None:
    said = oaa("store", "export", str(ATTENTION / "store"), "maps", word)
    require_refusal(said, fragment)
    assert not (again / "maps").exists()


if __name__ == "__main__":
    for line in json.loads(sys.argv[1]):
        if status := main(line):
            sys.exit(status)
