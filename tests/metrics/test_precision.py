import math
import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor
from torchmetrics.classification import MultilabelAveragePrecision

from oaa_pl.errors import ConfigError
from oaa_pl.metrics import MeanAveragePrecision


def random_scores(seed: int, images: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (images, 3), generator=generator)
    labels[0] = 1  # every class occurs
    return torch.rand(images, 3, generator=generator), labels


def test_a_perfect_classifier_scores_one_though_a_class_never_occurs() -> None:
    metric = MeanAveragePrecision(2)
    metric.update(torch.tensor([[0.9, 0.2], [0.1, 0.3]]), torch.tensor([[1, 0], [0, 0]]))
    assert float(metric.compute()) == 1


def test_a_class_that_never_occurs_changes_nothing() -> None:
    scores, labels = random_scores(0)
    without, beside = MeanAveragePrecision(3), MeanAveragePrecision(4)
    without.update(scores, labels)
    beside.update(
        torch.cat([scores, torch.rand(12, 1)], dim=1), torch.cat([labels, 0 * labels[:, :1]], dim=1)
    )
    assert float(beside.compute()) == float(without.compute())


@pytest.mark.parametrize("seed", range(5))
def test_where_every_class_occurs_it_is_the_macro_average(seed: int) -> None:
    ours, theirs = MeanAveragePrecision(3), MultilabelAveragePrecision(3, average="macro")
    for metric in (ours, theirs):
        for first in (seed, seed + 50):
            metric.update(*random_scores(first))
    assert float(ours.compute()) == float(theirs.compute())


def test_without_any_positive_image_it_is_undefined() -> None:
    metric = MeanAveragePrecision(2)
    metric.update(torch.rand(4, 2), torch.zeros(4, 2))
    assert math.isnan(float(metric.compute()))


def test_one_class_is_enough() -> None:
    metric = MeanAveragePrecision(1)
    metric.update(torch.tensor([[0.9], [0.2]]), torch.tensor([[1], [0]]))
    assert float(metric.compute()) == 1


@pytest.mark.parametrize("shape", [(2, 4), (2,), (3, 3), (2, 3, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"expected scores and labels \(B, 3\)"):
        MeanAveragePrecision(3).update(torch.rand(shape), torch.zeros(2, 3))


def half(rank: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1"}
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    scores, labels = random_scores(7)
    metric = MeanAveragePrecision(3)
    # Unequal shares, and the second process never meets the first class.
    part = slice(0, 7) if rank == 0 else slice(7, 12)
    labels[7:, 0] = 0
    metric.update(scores[part], labels[part])
    torch.save(metric.compute(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_score_as_one(tmp_path: Path) -> None:
    mp.spawn(half, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]  # torch's own
    scores, labels = random_scores(7)
    labels[7:, 0] = 0
    alone = MeanAveragePrecision(3)
    alone.update(scores, labels)
    found = [float(torch.load(tmp_path / f"{rank}.pt", weights_only=True)) for rank in (0, 1)]
    assert found == [float(alone.compute())] * 2
