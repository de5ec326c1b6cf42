"""`segmenter=frozen_head` from the command line: a cheap judge of labels, and its upper bound."""

import csv
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.killed import run_until
from tests.commands.tiny import files, oaa, require_refusal, words

from oaa_pl import Predictor

SEED = Path("runs/tiny/seed-0")
FEATURES = SEED / "features/32/features.npy"
HEAD = SEED / "segmenter/oaa_max-frozen_head"


def judge(root: Path) -> tuple[str, ...]:
    """The tiny run with small heads."""
    own = [word for word in words(root) if not word.startswith("segmenter.")]
    head = ("size=32", "target=16", "epochs=2", "batch_size=2", "net.hidden=4")
    return (*own, "segmenter=frozen_head", *(f"segmenter.frozen_head.{one}" for one in head))


def fit(root: Path, *more: str) -> tuple[str, ...]:
    return ("fit", *judge(root), "stage=segmenter", "method=oaa_max", *more)


def scores() -> dict[str, float]:
    with Path("runs/tiny/results.csv").open(newline="") as file:
        return {
            row["method"]: float(row["value"])
            for row in csv.DictReader(file)
            if row["metric"] == "segmentation/miou"
        }


def state(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "last.ckpt", weights_only=True)[
        "state_dict"
    ]
    return found


def require_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_head_is_trained_scored_and_asked_as_any_segmenter(
    again: Path, tiny_voc_once: Path
) -> None:
    before = scores()
    said = oaa(*fit(tiny_voc_once))
    assert said.status == 0, said.err
    assert {*scores()} == {*before, "oaa_max-frozen_head"}
    trunk = state(SEED / "classifier")
    for name, value in state(HEAD).items():
        if name.startswith("net.trunk."):
            assert torch.equal(value, trunk[name.replace("trunk.trunk", "trunk")]), name
    predictor = Predictor.load(HEAD)
    photo = tiny_voc_once / "JPEGImages/2007_000005.jpg"
    with Image.open(HEAD / "predictions/2007_000005.png") as png:
        assert np.array_equal(predictor(photo), np.asarray(png))
    checkpoint = f"predict.checkpoint={HEAD / 'last.ckpt'}"
    said = oaa("predict", f"predict.photos={photo.parent}", checkpoint)
    assert said.status == 0, said.err
    assert len(list((again / "predictions/masks").iterdir())) == 6


def test_all_methods_of_a_run_share_the_features(again: Path, tiny_voc_once: Path) -> None:
    methods = "methods=[cam,cam_probability,tags_hard,masks]"
    said = oaa("reproduce", *judge(tiny_voc_once), methods, "estimate=true")
    assert said.status == 0, said.err
    made = {f"{name}-frozen_head" for name in ("cam", "cam_probability", "tags_hard", "masks")}
    assert made < {*scores()}
    assert len(list(SEED.glob("features/*/features.npy"))) == 1
    heads = [state(SEED / "segmenter" / name) for name in sorted(made)]
    moments = [head["net.head.0.mean"] for head in heads]
    assert all(torch.equal(moments[0], one) for one in moments[1:])
    page = (again / "runs/tiny/report/index.html").read_text()
    assert "true masks (frozen_head)" in page
    # The true masks are what was learned, and the control learned labels without ignored pixels.
    mask = tiny_voc_once / "SegmentationClass/2007_000001.png"
    with Image.open(mask) as true, Image.open(SEED / "labels/masks/proxy" / mask.name) as made_of:
        assert np.array_equal(np.asarray(true), np.asarray(made_of))
    record = json.loads((SEED / "segmenter/tags_hard-frozen_head/stage.json").read_text())
    assert record["made_from"]["segmenter"]["learns"] == "hard"


def test_masks_teach_a_whole_segmenter_too(again: Path, tiny_voc_once: Path) -> None:
    said = oaa("reproduce", *words(tiny_voc_once), "methods=[masks]")
    assert said.status == 0, said.err
    assert "masks" in scores()
    said = oaa("attend", *words(tiny_voc_once), "method=masks")
    require_refusal(said, "method=masks has no maps")


def test_a_share_of_the_images_reads_the_same_features(again: Path, tiny_voc_once: Path) -> None:
    assert oaa(*fit(tiny_voc_once)).status == 0
    written = FEATURES.stat().st_mtime_ns
    said = oaa(*fit(tiny_voc_once, "segmenter.fraction=0.5"))
    assert said.status == 0, said.err
    assert FEATURES.stat().st_mtime_ns == written
    assert "oaa_max-frozen_head-50pc" in scores()


@pytest.mark.parametrize(
    ("ending", "count"),
    [
        pytest.param("features/32/features.npy", 1, marks=pytest.mark.slow),
        pytest.param("oaa_max-frozen_head/last.ckpt", 2, marks=pytest.mark.slow),
    ],
)
def test_killed_and_resumed_equals_never_killed(
    again: Path, tiny_voc_once: Path, ending: str, count: int
) -> None:
    killed = run_until(signal.SIGKILL, ending, count, again, *fit(tiny_voc_once))
    assert killed.status == -signal.SIGKILL, killed.err
    assert (FEATURES.is_file(), HEAD.is_dir()) == (count == 2, True) or not FEATURES.is_file()
    assert oaa(*fit(tiny_voc_once)).status == 0
    features, head = FEATURES.read_bytes(), state(HEAD)
    assert not [name for name in files(again) if name.endswith(".partial")]
    shutil.rmtree(FEATURES.parent)
    shutil.rmtree(HEAD)
    assert oaa(*fit(tiny_voc_once)).status == 0
    assert FEATURES.read_bytes() == features
    require_equal(state(HEAD), head)


def test_features_are_computed_again_where_a_kill_left_a_part_of_them(
    again: Path, tiny_voc_once: Path
) -> None:
    assert oaa(*fit(tiny_voc_once)).status == 0
    features, head = FEATURES.read_bytes(), state(HEAD)
    shutil.rmtree(HEAD)
    FEATURES.with_name("done.json").unlink()
    FEATURES.rename(FEATURES.with_name(f".0123456789abcdef.{2**31 - 1}.partial"))
    assert oaa(*fit(tiny_voc_once)).status == 0
    assert FEATURES.read_bytes() == features
    assert not [name for name in files(again) if name.endswith(".partial")]
    require_equal(state(HEAD), head)


def test_damaged_features_are_named(again: Path, tiny_voc_once: Path) -> None:
    assert oaa(*fit(tiny_voc_once)).status == 0
    shutil.rmtree(HEAD)
    content = bytearray(FEATURES.read_bytes())
    content[-1] ^= 1
    FEATURES.write_bytes(content)
    require_refusal(oaa(*fit(tiny_voc_once)), "features.npy is damaged", "compute the features")
    assert not (HEAD / "last.ckpt").exists()


def test_features_of_another_classifier_are_refused(again: Path, tiny_voc_once: Path) -> None:
    assert oaa(*fit(tiny_voc_once)).status == 0
    shutil.rmtree(HEAD)
    checkpoint = SEED / "classifier/last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["net.head.6.bias"] += 1
    torch.save(content, checkpoint)
    require_refusal(oaa(*fit(tiny_voc_once)), "other classifier", "features/32")


def test_a_value_without_effect_is_refused(again: Path, tiny_voc_once: Path) -> None:
    for word in ("segmenter.epochs=3", "evaluate.size=48"):
        said = oaa(*fit(tiny_voc_once, word))
        require_refusal(said, f"{word.partition('=')[0]} has no effect", "segmenter.frozen_head.")
    said = oaa(*fit(tiny_voc_once, "segmenter.frozen_head.net.layers=[9]"))
    require_refusal(said, "layers must name modules of SmallTrunk, got 9")


def test_masks_that_are_missing_are_named(empty: Path, tiny_voc: Path) -> None:
    shutil.rmtree(tiny_voc / "SegmentationClass")
    words_of = (*words(tiny_voc), "data.tags=annotations", "data.val_tags=annotations")
    said = oaa("label", *words_of, "method=masks")
    require_refusal(said, "method=masks learns the true masks", "has none")


def test_scores_by_photo_give_differences_with_intervals(again: Path, tiny_voc_once: Path) -> None:
    own = (*words(tiny_voc_once), "methods=[cam,oaa_max]")
    assert oaa("evaluate", *own).status == 0
    assert not Path("runs/tiny/differences.csv").exists()
    before = scores()
    said = oaa("evaluate", *own, "evaluate.by_photo=true")
    assert said.status == 0, said.err
    with Path("runs/tiny/differences.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["difference"]) == pytest.approx(before["oaa_max"] - before["cam"], abs=0.006)
    assert scores() == before
