"""Labels, saliency maps, exports and scores by every backend: the same files, byte for byte."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image
from tests.commands.tiny import oaa, require_refusal, surroundings, words
from tests.conftest import TINY_SPLITS
from tests.parallel.test_fan_out import SLOW, require_installed
from tests.proxy.tiny_onnx import save_model

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


def run(*arguments: str) -> None:
    """A command in a process of its own: the backends leave threads and warnings behind."""
    done = subprocess.run(
        [sys.executable, "-m", "oaa_pl", *arguments], check=False, env=surroundings(),
        text=True, capture_output=True, timeout=400,
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
@pytest.mark.parametrize("backend", ["processes", "loky", *SLOW])
def test_every_backend_makes_the_same_files(
    again: Path, tiny_voc_once: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_installed(backend)
    (again / "killing.py").write_text(KILLS.format(TINY_SPLITS["train"][2]))
    monkeypatch.syspath_prepend(again)
    plain = (*words(tiny_voc_once), "method=oaa_max")
    spread = (f"parallel.backend={backend}", "parallel.workers=2")

    def scored() -> dict[str, bytes]:
        tables = ("metrics.csv", "classes.csv", "confusion.csv")
        scores = contents(*(place / name for place in (LABELS, ATTENTION) for name in tables))
        return scores | {"curve": (ATTENTION / "curve.json").read_bytes()}

    pngs, scores = contents(LABELS / "proxy", LABELS / "hard"), scored()
    assert (len(pngs), len(scores)) == (8, 7)

    shutil.rmtree(LABELS)
    killing = ("background._target_=killing.KillsOnce", "label.workers=2")
    if backend != "processes":  # for which a killed worker is an error
        run("label", *plain, *killing, *spread)
        assert (again / "killed").is_file()
    else:
        run("label", *plain, "label.workers=2", *spread)
    assert contents(LABELS / "proxy", LABELS / "hard") == pngs

    (ATTENTION / "scored.json").unlink()
    (ATTENTION / "metrics.csv").unlink()
    (ATTENTION / "curve.json").unlink()
    run("evaluate", *words(tiny_voc_once), "label.workers=2", *spread)
    assert scored() == scores

    assert oaa("store", "export", str(ATTENTION / "store"), "one", "format=npz").status == 0
    run("store", "export", str(ATTENTION / "store"), "two", "format=npz", *spread)
    exports = [contents(again / name) for name in ("one", "two")]
    assert [Path(name).name for name in exports[0]] == [Path(name).name for name in exports[1]]
    assert [*exports[0].values()] == [*exports[1].values()]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "loky", *SLOW])
def test_every_backend_makes_the_same_saliency_maps(
    empty: Path, tiny_voc_once: Path, backend: str
) -> None:
    require_installed(backend)
    if find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed: the extra saliency")
    model = f"saliency.model={save_model(empty / 'red.onnx', size=(8, 8))}"
    shutil.copytree(tiny_voc_once / "JPEGImages", empty / "photos")
    (empty / "photos/broken.jpg").write_bytes(b"no photo")
    line = ("saliency", model, "saliency.photos=photos")
    assert oaa(*line, "saliency.output=one").status == 0
    spread = (f"parallel.backend={backend}", "parallel.workers=2")
    run(*line, "saliency.output=two", *spread)
    one, two = (
        {path.name: path.read_bytes() for path in (empty / name).iterdir()}
        for name in ("one", "two")
    )
    assert len(one) == 6
    assert one == two
    with Image.open(empty / "two" / next(iter(two))) as image:
        assert image.mode == "L"


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
