"""Counting by several workers: the counts of one process, however the images are divided."""

from dataclasses import dataclass

import pytest
import torch

from oaa_pl.metrics import BoundaryScore, HeldOutThreshold, PixelAveragePrecision, SegmentationScore
from oaa_pl.parallel.fan_out import FanOut
from oaa_pl.stages import counting
from oaa_pl.stages.counting import Counts, counted

IMAGES, IDS = 11, 4


@dataclass(frozen=True)
class Drawn:
    """Counts drawn maps against drawn masks. The first images have nothing for the last count."""

    seed: int

    def empty(self) -> Counts:
        threshold, score, edges = HeldOutThreshold(IDS), SegmentationScore(IDS), BoundaryScore(IDS)
        return threshold, score, edges, list[int](), PixelAveragePrecision()

    def add(self, counts: Counts, index: int) -> None:
        threshold, score, edges, seen, pixels = counts
        generator = torch.Generator().manual_seed(self.seed + index)
        mask = torch.randint(0, IDS, (9, 7), generator=generator)
        label = torch.randint(0, IDS, (9, 7), generator=generator)
        attention = torch.rand(2, 9, 7, generator=generator), torch.tensor([0, 2])
        threshold.update(*attention, mask)
        score.update(label, mask)
        edges.update(label, mask)
        seen.append(index)
        if index > 4:
            pixels.update(*attention, mask)


def values(counts: Counts) -> list[object]:
    threshold, score, edges, seen, pixels = counts
    curve = {name: value.tolist() for name, value in threshold.curve()._asdict().items()}
    return [
        curve, threshold.miou(), score.confusion.tolist(), score.compute(),
        edges.compute()["boundary_iou"], seen, pixels.compute(),
    ]  # fmt: skip


@pytest.mark.slow
def test_several_workers_count_what_one_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_AT_A_TIME", 3)  # odd: a part begins in either half
    alone = counted(Drawn(0), IMAGES, "alone", FanOut())
    spread = counted(Drawn(0), IMAGES, "spread", FanOut(workers=2))
    assert values(spread) == values(alone)
    assert values(alone) != values(counted(Drawn(1), IMAGES, "others", FanOut()))
