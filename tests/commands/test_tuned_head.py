"""`segmenter=tuned_head` from the command line: a frozen head first, then trunk and head."""

import csv
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.killed import run_until
from tests.commands.test_frozen_head import SEED, judge, require_equal, scores, state
from tests.commands.tiny import oaa, require_refusal

from oaa_pl import Predictor

FIRST, TUNED = (SEED / f"segmenter/oaa_max-{kind}_head" for kind in ("frozen", "tuned"))


def fit(root: Path, *more: str) -> tuple[str, ...]:
    """The tiny run's small head, and an epoch from there."""
    own = [word for word in judge(root) if not word.startswith("segmenter=")]
    tuned = ("segmenter.tuned_head.epochs=1", "segmenter.tuned_head.batch_size=2")
    words = (*own, "segmenter=tuned_head", *tuned, "segmenter.tuned_head.schedule.warmup=0")
    return ("fit", *words, "stage=segmenter", "method=oaa_max", *more)


def test_it_starts_from_the_frozen_head_and_is_asked_as_any_segmenter(
    again: Path, tiny_voc_once: Path
) -> None:
    before = scores()
    said = oaa(*fit(tiny_voc_once))
    assert said.status == 0, said.err
    assert {*scores()} == {*before, "oaa_max-tuned_head"}
    assert (FIRST / "done.json").is_file()
    first, tuned = state(FIRST), state(TUNED)
    assert first.keys() == tuned.keys()
    # AdamW moves a weight by its rate a step at the most, and decay is a hundredth of that.
    steps, rate = 3, 1e-4
    weights = [name for name in first if name.endswith((".weight", ".bias"))]
    assert all(
        float((tuned[name] - first[name]).abs().max()) < 2 * steps * rate for name in weights
    )
    moved = {name for name in first if not torch.equal(first[name], tuned[name])}
    assert {name.split(".")[1] for name in moved} == {"trunk", "head"}
    predictor, photo = Predictor.load(TUNED), tiny_voc_once / "JPEGImages/2007_000005.jpg"
    with Image.open(TUNED / "predictions/2007_000005.png") as png:
        assert np.array_equal(predictor(photo), np.asarray(png))


def test_a_frozen_head_that_is_there_is_not_trained_again(again: Path, tiny_voc_once: Path) -> None:
    judged = judge(tiny_voc_once)
    assert oaa("fit", *judged, "stage=segmenter", "method=oaa_max").status == 0
    written = (FIRST / "last.ckpt").stat().st_mtime_ns
    said = oaa(*fit(tiny_voc_once, "segmenter.tuned_head.validate_every=1"))
    assert said.status == 0, said.err
    assert (FIRST / "last.ckpt").stat().st_mtime_ns == written
    with (TUNED / "history.csv").open(newline="") as file:
        assert any(row["name"] == "val/miou" for row in csv.DictReader(file))


@pytest.mark.slow
def test_another_frozen_head_is_another_start(again: Path, tiny_voc_once: Path) -> None:
    assert oaa(*fit(tiny_voc_once)).status == 0
    said = oaa(*fit(tiny_voc_once, "segmenter.frozen_head.epochs=3"))
    require_refusal(said, "epochs")


@pytest.mark.slow
def test_killed_and_resumed_equals_never_killed(again: Path, tiny_voc_once: Path) -> None:
    longer = fit(tiny_voc_once, "segmenter.tuned_head.epochs=3")
    killed = run_until(signal.SIGKILL, "oaa_max-tuned_head/last.ckpt", 2, again, *longer)
    assert killed.status == -signal.SIGKILL, killed.err
    assert oaa(*longer).status == 0
    resumed = state(TUNED)
    shutil.rmtree(TUNED)
    assert oaa(*longer).status == 0
    require_equal(state(TUNED), resumed)


@pytest.mark.slow
def test_a_value_without_effect_is_refused(again: Path, tiny_voc_once: Path) -> None:
    for word in ("segmenter.epochs=3", "evaluate.size=48", "segmenter.init=classifier_trunk"):
        said = oaa(*fit(tiny_voc_once, word))
        require_refusal(said, f"{word.partition('=')[0]} has no effect", "segmenter.tuned_head.")
