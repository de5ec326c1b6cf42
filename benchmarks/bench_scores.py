"""100 thresholds in one pass or in one each; how much of a score is decoding."""

import time
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import Bench
from runs import PHOTOS, composed

from oaa_pl.data.images import read_mask
from oaa_pl.metrics.segmentation import SegmentationScore
from oaa_pl.metrics.threshold import ThresholdCurve, cut
from oaa_pl.stages.counters import ProxyCounter

CLASSES, THRESHOLDS = 21, 100


@pytest.mark.benchmark(timer=time.process_time)
def test_thresholds_in_one_pass(bench: Bench) -> None:
    generator = torch.Generator().manual_seed(0)
    attention = torch.rand(2, 240, 320, generator=generator)
    truth = torch.randint(0, CLASSES, (240, 320), generator=generator)
    categories = torch.tensor([1, 4])

    def one_each() -> None:
        for n in range(THRESHOLDS):
            scores = SegmentationScore(CLASSES)
            scores.update(cut(attention, categories, n / THRESHOLDS), truth)

    bench.ratio(
        "100 thresholds: one pass each over one pass for all", ">= 20", one_each,
        lambda: ThresholdCurve(CLASSES, THRESHOLDS).update(attention, categories, truth),
        "two classes, 320 x 240",
    )  # fmt: skip


def test_decoding(bench: Bench, tmp_path: Path) -> None:
    source, root = composed(tmp_path, PHOTOS).parts.data.train, tmp_path / f"made-{PHOTOS}"
    for name in ("proxy", "hard"):
        (root / name).symlink_to(root / "labels")
    bench.percent(
        "share of the score of proxy labels that is decoding of PNGs", ">= 50",
        partial(decoding, ProxyCounter(source, root)), f"{PHOTOS} photos of 500 px, one thread",
    )  # fmt: skip


def decoding(counter: ProxyCounter) -> float:
    """Percent of the score of proxy labels that reads their three files does."""
    counts, ids = counter.empty(), counter.truth.ids
    spent = {"decode": 0.0, "score": 0.0}
    for _ in range(3):
        for index, name in enumerate(ids):
            start = time.process_time()
            counter.truth.mask(index)
            for kind in ("proxy", "hard"):
                read_mask(counter.folder / kind / f"{name}.png")
            middle = time.process_time()
            counter.add(counts, index)
            spent["score"] += time.process_time() - middle
            spent["decode"] += middle - start
    return 100 * spent["decode"] / spent["score"]
