"""Runs that commit d22cc02 made are opened, resumed, scored and reported by today's code.

`old_runs/d22cc02/README.md` says how they were made. Their records name parts as that commit did,
`oaa_pl.labels.crf.no_crf` for one: wherever a part lies now, an old run is still the same run.
"""

import csv
import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.tiny import Said, inside, oaa
from torch import nn

from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.reader import StoreReader

MADE = Path(__file__).parent / "old_runs" / "d22cc02"
SETTINGS = (MADE / "settings.txt").read_text().split()
FINISHED, INTERRUPTED = Path("runs/finished"), Path("runs/interrupted")
SEED = FINISHED / "seed-0"
METHODS = ("cam", "oaa_max", "oaa_mean", "oaa_plus_hybrid", "oaa_plus_mce")
STAGES = (
    "classifier", "integral/cross_entropy", "integral/hybrid",
    *(f"{stage}/{method}" for stage in ("attention", "labels", "segmenter") for method in METHODS),
)  # fmt: skip


def run(command: str, *more: str, name: str = "finished") -> Said:
    said = oaa(command, *SETTINGS, f"name={name}", *more)
    assert said.status == 0, said.err
    return said


def arithmetic() -> str:
    """Digest of a small training that has nothing of ours in it."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 8, 3, 2, 2, dilation=2), nn.ReLU(), nn.Conv2d(8, 8, 1),
    ).to(memory_format=torch.channels_last)  # fmt: skip
    for parameter in net.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    for _ in range(4):
        images = torch.randn(5, 3, 32, 32, generator=generator)
        maps = nn.functional.interpolate(net(images), size=(32, 32), mode="bilinear")
        loss = nn.functional.softplus(maps).mean() + maps.softmax(1).log().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    numbers = torch.cat([parameter.detach().flatten() for parameter in net.parameters()])
    return hashlib.sha256(numbers.numpy().tobytes()).hexdigest()


@pytest.fixture(scope="module")
def tolerance(one_thread: None) -> float:
    """0 where plain sums come out as where the runs were made; else what rounding may change."""
    return 0.0 if arithmetic() == (MADE / "arithmetic.txt").read_text().strip() else 2e-3


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs as they were made; to be read only."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(MADE / "runs.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(scope="module")
def reproduced(
    one_thread: None, unpacked: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Said]]:
    """The finished run after `oaa reproduce` with the same settings; to be read only."""
    folder = tmp_path_factory.mktemp("reproduced") / "work"
    shutil.copytree(unpacked, folder)
    with inside(folder):
        said = run("reproduce")
    return folder, said


@pytest.fixture
def old(one_thread: None, unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the old runs to work on, in the current folder."""
    shutil.copytree(unpacked, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def rows(path: Path) -> dict[tuple[str, ...], float]:
    with path.open(newline="") as file:
        return {tuple(row[:-1]): float(row[-1]) for row in list(csv.reader(file))[1:]}


def made(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of what a stage makes, apart from scores, which may be taken again."""
    again = {"metrics.csv", "scored.json", "curve.json", "writer.lock"}
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in again
    }


def test_the_runs_have_every_stage_and_name_parts_where_they_were(unpacked: Path) -> None:
    for stage in STAGES:
        assert (unpacked / SEED / stage / "done.json").is_file()
        record = json.loads((unpacked / SEED / stage / "stage.json").read_text())
        assert record["commit"] == "d22cc02fc8cd"
    records = "".join(path.read_text() for path in (unpacked / SEED).rglob("stage.json"))
    named = set(re.findall(r'"_target_": "(oaa_pl\.[\w.]+)"', records))
    assert named == {
        "oaa_pl.attention.cam.class_attention",
        "oaa_pl.attention.gate.accept_all",
        "oaa_pl.labels.boundary_cue.BoundaryCue",
        "oaa_pl.labels.crf.no_crf",
        "oaa_pl.labels.proxy.ProxyRule",
        "oaa_pl.losses.hybrid_loss",
        "oaa_pl.losses.soft_label_cross_entropy",
        "oaa_pl.modules.optim.poly_schedule",
        "oaa_pl.modules.optim.sgd",
        "oaa_pl.modules.optim.step_schedule",
        "oaa_pl.nets.attention.AttentionNet",
        "oaa_pl.nets.deeplab.DeepLabLargeFov",
        "oaa_pl.nets.small.SmallTrunk",
        "oaa_pl.nets.weights.with_weights",
    }


@pytest.mark.parametrize("stage", STAGES)
def test_a_finished_stage_is_not_made_again(
    reproduced: tuple[Path, Said], unpacked: Path, stage: str
) -> None:
    folder, _ = reproduced
    assert made(folder / SEED / stage) == made(unpacked / SEED / stage)


def test_results_have_the_same_rows_and_values(
    reproduced: tuple[Path, Said], unpacked: Path
) -> None:
    folder, _ = reproduced
    file = FINISHED / "results.csv"
    assert (folder / file).read_bytes() == (unpacked / file).read_bytes()


def test_the_page_is_written_from_old_records_with_their_numbers(
    reproduced: tuple[Path, Said], old: Path
) -> None:
    run("report")
    page = (FINISHED / "report" / "index.html").read_text()
    assert "d22cc02" in page
    for (*_, method, metric), value in rows(FINISHED / "results.csv").items():
        if metric == "segmentation/miou":
            assert re.search(rf"\b{value:.1f}\b", page), (method, value)
    table = FINISHED / "report" / "table.md"
    assert table.read_bytes() == (reproduced[0] / table).read_bytes()


def test_scores_taken_again_are_the_same(old: Path, tolerance: float) -> None:
    before = rows(FINISHED / "results.csv")
    for name in ("scored.json", "metrics.csv", "curve.json"):
        for path in SEED.rglob(name):
            path.unlink()
    shutil.rmtree(SEED / "segmenter" / "cam" / "predictions")
    (FINISHED / "results.csv").unlink()
    run("evaluate")
    run("report")
    after = rows(FINISHED / "results.csv")
    assert after.keys() == before.keys()
    for row, value in before.items():
        assert after[row] == pytest.approx(value, abs=500 * tolerance), row


def newest(store: Path) -> tuple[np.ndarray, np.ndarray]:
    """Maps of every image and class, (N, C, h, w), and the record of each pair, (R,)."""
    reader = StoreReader(store)
    images = range(len(reader.pairs.ids))
    return np.stack([reader.dense(image) for image in images]), np.array(reader.rows)


@pytest.mark.parametrize("method", METHODS)
def test_a_store_reads_the_maps_that_were_read_when_it_was_made(old: Path, method: str) -> None:
    store = SEED / "attention" / method / "store"
    with np.load(store.with_name("maps.npz")) as recorded:
        maps, records = recorded["maps"], recorded["rows"]
    assert maps.any()
    read, rows_read = newest(store)
    np.testing.assert_array_equal(read, maps)
    np.testing.assert_array_equal(rows_read, records)
    reader = StoreReader(store)
    with MemmapStore(store, reader.header, reader.pairs, resume=True) as writer:
        assert writer.generations() == reader.generations()
        for image, of_image in enumerate(maps):
            np.testing.assert_array_equal(writer.dense(image), of_image)
    said = oaa("store", "verify", str(store))
    assert said.status == 0, said.err


def test_a_killed_classifier_is_resumed_to_the_maps_of_one_that_was_not(
    old: Path, tolerance: float
) -> None:
    first = INTERRUPTED / "seed-0" / "classifier"
    assert not (first / "done.json").exists()
    assert torch.load(first / "last.ckpt", weights_only=True)["epoch"] == 0
    history = (first / "history.csv").read_text().splitlines()
    run("fit", name="interrupted")
    for method in ("oaa_max", "oaa_mean"):
        place = Path("seed-0", "attention", method, "store")
        (resumed, of_resumed), (whole, of_whole) = map(
            newest, (INTERRUPTED / place, FINISHED / place)
        )
        np.testing.assert_allclose(resumed, whole, rtol=0, atol=tolerance)
        for field in ("origin", "updates", "last_epoch"):
            np.testing.assert_array_equal(of_resumed[field], of_whole[field])
        assert of_whole["updates"].max() == 2  # one of them before the kill
    states = [
        torch.load(run / "seed-0/classifier/last.ckpt", weights_only=True)["state_dict"]
        for run in (INTERRUPTED, FINISHED)
    ]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=0, atol=tolerance)
    went_on = (first / "history.csv").read_text().splitlines()
    steps = [int(line.split(",")[0]) for line in went_on[1:]]
    assert steps == sorted(steps)
    assert steps[-1] == 3
    first_epoch = [line for line in history if line.startswith(("0,", "1,"))]
    assert went_on[1 : 1 + len(first_epoch)] == first_epoch
    earlier = json.loads((first / "stage.json").read_text())["earlier"]
    assert [leg["commit"] for leg in earlier] == ["d22cc02fc8cd"]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.mode == "P"
        return np.array(image)


def test_proxy_labels_from_old_maps_are_the_same_pictures(old: Path, tolerance: float) -> None:
    before = SEED / "labels" / "oaa_max"
    kept = before.rename(before.with_name("kept"))
    run("label", "method=oaa_max")
    for kind in ("proxy", "hard"):
        assert len(list((kept / kind).glob("*.png"))) == 8
        for path in (kept / kind).glob("*.png"):
            again = pixels(before / kind / path.name)
            assert (again != pixels(path)).mean() <= 10 * tolerance, path.name
    ours, theirs = (json.loads((f / "done.json").read_text()) for f in (before, kept))
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_an_old_segmenter_labels_photos_wherever_its_folder_lies(
    old: Path, tolerance: float
) -> None:
    moved = shutil.move(SEED / "segmenter" / "oaa_max", "a segmenter")
    (photos,) = Path("data/synthetic").glob("val-*/JPEGImages")
    run("predict", f"predict.photos='{photos}'", f"predict.checkpoint='{moved}/last.ckpt'")
    scored = sorted(Path(moved, "predictions").glob("*.png"))
    assert len(scored) == 6
    for path in scored:
        mask = pixels(Path("predictions/masks", f"{path.name}.png"))
        assert (mask != pixels(path)).mean() <= 50 * tolerance, path.name
    classes = json.loads(Path(moved, "stage.json").read_text())["classes"]
    lines = Path("predictions/classes.txt").read_text().splitlines()
    assert lines == [f"{n} {name}" for n, name in enumerate(["background", *classes])]


@pytest.mark.slow
def test_later_stages_made_again_are_those_that_were_made(old: Path, tolerance: float) -> None:
    """Every folder but the classifier's and its maps is gone: the rest is made from them."""
    kept = old / "kept"
    kept.mkdir()
    for folder in ("integral", "labels", "segmenter"):
        shutil.move(SEED / folder, kept / folder)
    (kept / "attention").mkdir()
    for method in ("cam", "oaa_plus_hybrid", "oaa_plus_mce"):
        shutil.move(SEED / "attention" / method, kept / "attention" / method)
    before = rows(FINISHED / "results.csv")
    run("reproduce")
    for path in kept.rglob("last.ckpt"):
        place = path.relative_to(kept)
        one, other = (
            torch.load(file, weights_only=True)["state_dict"] for file in (path, SEED / place)
        )
        assert one.keys() == other.keys()
        for name, value in one.items():
            torch.testing.assert_close(value, other[name], rtol=0, atol=tolerance)
    for row, value in rows(FINISHED / "results.csv").items():
        assert value == pytest.approx(before[row], abs=500 * tolerance), row
