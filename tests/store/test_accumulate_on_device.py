"""Accumulation from a device: the same maps, for one copy of each batch."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.store.contract import EVERY_FUSION, PAIRS, header_of, snapshot
from tests.store.device import stand_in
from torch import Tensor

from oaa_pl.attention.cam import min_max_attention, probability_attention
from oaa_pl.attention.gate import accept_all, beats_absent_classes, top_k
from oaa_pl.attention.view import identity_view
from oaa_pl.errors import StoreError
from oaa_pl.store.accumulate import Gate, accumulate
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memory import MemoryStore

LABELS = torch.from_numpy(PAIRS.labels).float()
CROP = torch.tensor([[[-2.0, 0.0, 0.4], [0.0, 1.5, -0.2]]])


def stores() -> list[MemoryStore]:
    fine = Header(PAIRS.classes, PAIRS.fingerprint, (7, 5), "maximum")
    return [*(MemoryStore(header_of(label), PAIRS) for label in EVERY_FUSION),
            MemoryStore(fine, PAIRS)]  # fmt: skip


def batch(seed: int) -> dict[str, Tensor]:
    """Five images, one of them twice, and one copy that pads the epoch."""
    random = torch.Generator().manual_seed(seed)
    index = torch.tensor([3, 0, 3, 2, 1])
    return {
        "score_map": torch.randn(5, 3, 3, 4, generator=random) + 0.3,
        "labels": LABELS[index],
        "index": index,
        "view": torch.cat([identity_view(4), CROP]).roll(seed, 0),
        "repeat": torch.arange(5) == 4,
    }


def snapshots(fed: list[MemoryStore]) -> list[tuple[bytes, bytes]]:
    return [snapshot(store) for store in fed]


@pytest.mark.parametrize("device", ["cuda:0", "mps:0"])
@pytest.mark.parametrize(
    ("gate", "settings"),
    [
        (beats_absent_classes, {}),
        (top_k, {}),
        (accept_all, {"fill_rejected": True}),
        (top_k, {"keep_empty": True, "to_attention": min_max_attention, "fill_rejected": True}),
        (accept_all, {"to_attention": probability_attention}),
    ],
)
def test_a_devices_maps_make_the_same_stores_for_one_copy_of_each_batch(
    monkeypatch: pytest.MonkeyPatch, device: str, gate: Gate, settings: dict[str, Any]
) -> None:
    here, away = stores(), stores()
    with stand_in(monkeypatch, device) as there:
        for step in range(2):
            fields = batch(step)
            expected = accumulate(here, **fields, gate=gate, epoch=step, **settings)
            placed = {name: there.place(value) for name, value in fields.items()}
            assert there.waits == []
            accepted = accumulate(away, **placed, gate=gate, epoch=step, **settings)
            assert there.waits == ["event" if device == "cuda:0" else "copy"]
            assert len(there.copies) == 1
            assert torch.equal(accepted.cpu(), expected)
            there.waits.clear()
            there.copies.clear()
    assert snapshots(away) == snapshots(here)


def test_what_a_plain_loop_keeps_on_the_host_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, away, fields = stores(), stores(), batch(1)
    accumulate(here, **fields)
    with stand_in(monkeypatch, "cuda:0") as there:
        on_host = {name: value.numpy() for name, value in fields.items()}
        accumulate(away, **on_host | {"score_map": there.place(fields["score_map"])})
    assert there.waits == ["event"]
    assert snapshots(away) == snapshots(here)


def test_a_batch_without_an_accepted_map_costs_the_same_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    away = stores()
    empty = snapshots(away)
    with stand_in(monkeypatch, "cuda:0") as there:
        placed = {name: there.place(value) for name, value in batch(1).items()}
        accumulate(away, **placed | {"score_map": there.place(-torch.ones(5, 3, 3, 4))})
    assert there.waits == ["event"]
    assert snapshots(away) == empty


def test_the_copy_has_the_maps_of_possible_tags_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred classes, three at most are in an image."""
    store = MemoryStore(header_of(), PAIRS)
    with stand_in(monkeypatch, "cuda:0") as there:
        placed = {name: there.place(value) for name, value in batch(0).items()}
        accumulate([store], **placed)
    most, cells = 5 * 3, 3 * 4
    assert there.copies == [8 + most * (8 + 8 + 1 + 1 + cells * (4 + 1))]


def test_a_second_question_to_the_device_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def asking(scores: Tensor, labels: Tensor) -> Tensor:
        return accept_all(scores, labels) if labels.any() else labels

    with stand_in(monkeypatch, "cuda:0") as there:
        placed = {name: there.place(value) for name, value in batch(0).items()}
        accumulate(stores(), **placed, gate=asking)
    assert there.waits == ["_local_scalar_dense", "event"]


def test_labels_of_another_data_set_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device sends as many maps as the store's images have tags."""
    fed = [MemoryStore(header_of(), PAIRS)]
    fields = {"score_map": torch.ones(2, 3, 3, 4), "labels": torch.ones(2, 3)}
    with stand_in(monkeypatch, "cuda:0") as there:
        placed = {name: there.place(value) for name, value in fields.items()}
        with pytest.raises(StoreError, match="image 'a' has no tag 'cat'"):
            accumulate(fed, **placed, index=[0, 1], gate=accept_all)
    assert not fed[0].rows["updates"].any()


@pytest.mark.parametrize("tags", [0, 1])
def test_more_maps_than_the_stores_images_have_tags_are_refused(
    monkeypatch: pytest.MonkeyPatch, tags: int
) -> None:
    pairs = Pairs(("a", "b"), ("cat", "dog", "cow"), np.eye(2, 3, dtype=bool) * tags)
    fed = [MemoryStore(header_of(pairs=pairs), pairs)]
    with stand_in(monkeypatch, "cuda:0") as there:
        score_map = there.place(torch.ones(2, 3, 3, 4))
        with pytest.raises(StoreError, match=r"labels must be the store's: 6 maps of 2 images"):
            accumulate(fed, score_map, torch.ones(2, 3), torch.arange(2), gate=accept_all)
    assert not fed[0].rows["updates"].any()
