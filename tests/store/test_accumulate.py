import math
from typing import Any

import albumentations as A
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.contract import EVERY_FUSION, PAIRS, PAPERS, header_of, snapshot
from torch import Tensor

from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.gate import accept_all, beats_absent_classes, top_k
from oaa_pl.attention.view import identity_view
from oaa_pl.data.transforms import ViewTransform
from oaa_pl.errors import ShapeError, StoreError
from oaa_pl.store.accumulate import Gate, accumulate
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memory import MemoryStore

LABELS = torch.from_numpy(PAIRS.labels).float()
FLIP = torch.tensor([[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def stores() -> list[MemoryStore]:
    return [MemoryStore(header_of(fusion), PAIRS) for fusion in PAPERS]


def scores(seed: int, batch: int = 4) -> Tensor:
    return torch.randn(batch, 3, 3, 4, generator=torch.Generator().manual_seed(seed))


def oracle(batches: list[tuple[Tensor, Tensor]]) -> dict[tuple[int, int], list[np.ndarray]]:
    """The paper's section 3.2 in plain loops over whole images: the accepted maps of each pair."""
    accepted: dict[tuple[int, int], list[np.ndarray]] = {}
    for score_map, index in batches:
        for b, image in enumerate(index.tolist()):
            labels = PAIRS.labels[image]
            mean = [float(score_map[b, c].mean()) for c in range(3)]
            for c in range(3):
                peak = float(score_map[b, c].max())
                beaten = any(mean[k] >= mean[c] for k in range(3) if not labels[k])
                if labels[c] and not beaten and peak > 0:
                    attention = (score_map[b, c].clamp(min=0) / peak).numpy()  # Eq. (2)
                    accepted.setdefault((image, c), []).append(attention)
    return accepted


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10_000))
def test_accumulation_is_section_3_2_in_plain_loops(seed: int) -> None:
    fed = stores()
    batches = []
    for step in range(4):
        generator = torch.Generator().manual_seed(seed + step)
        index = torch.randint(0, 4, (5,), generator=generator)
        batches.append((scores(seed + step, 5), index))
        accumulate(fed, batches[-1][0], LABELS[index], index, epoch=step)
    accepted = oracle(batches)
    for store in fed:
        assert store.rows["updates"].tolist() == [
            len(accepted.get((int(image), int(c)), ())) for image, c in PAIRS.pairs
        ]
        for (image, c), maps in accepted.items():
            stacked = np.stack(maps)
            maximum = store.header.fusion == "maximum"
            expected = stacked.max(axis=0) if maximum else stacked.mean(axis=0)
            assert store.dense(image)[c] == pytest.approx(expected, abs=1e-3)  # float16


def test_what_was_accepted_is_told() -> None:
    score_map = scores(1)
    accepted = accumulate(stores(), score_map, LABELS, torch.arange(4))
    expected = beats_absent_classes(score_map.mean(dim=(2, 3)), LABELS > 0)
    assert accepted.dtype == torch.bool
    assert torch.equal(accepted, expected & (score_map.amax(dim=(2, 3)) > 0))


@pytest.mark.parametrize("gate", [beats_absent_classes, top_k, accept_all])
def test_what_the_gate_lets_through_is_fused(gate: Gate) -> None:
    (store, _) = stores()
    accepted = accumulate([store], scores(2).abs(), LABELS, torch.arange(4), gate=gate)
    assert store.rows["origin"].tolist() == accepted[LABELS > 0].int().tolist()


def test_a_map_with_no_positive_value_is_rejected() -> None:
    (store, _) = stores()
    score_map = -scores(3).abs()
    score_map[3] *= -1
    assert accumulate([store], score_map, LABELS, torch.arange(4), gate=accept_all).sum() == 3
    assert store.missing().tolist() == [[0, 1], [2, 0], [2, 2]]


def test_a_map_with_its_only_peak_in_the_padding_is_not_fused() -> None:
    fed = stores()
    zoomed_out = torch.tensor([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])  # the photo is the middle half
    image, category = (int(n) for n in PAIRS.pairs[0])
    score_map = torch.full((1, 3, 8, 8), -1.0)
    score_map[0, category, 0, 0] = 300.0  # trusted, by its mean
    taken = accumulate(fed, score_map, LABELS[[image]], torch.tensor([image]), zoomed_out)
    assert bool(taken[0, category])
    for store in fed:
        assert store.rows["updates"].sum() == 0


def test_attention_above_1_is_stored_as_1() -> None:
    fed = stores()
    index = torch.arange(4)
    accumulate(
        fed, scores(1), LABELS, index, gate=accept_all,
        to_attention=lambda score_map: torch.full_like(score_map, 1.01),
    )  # fmt: skip
    for store in fed:
        peaks = [store.dense(image).max() for image in range(4)]
        assert max(peaks) == pytest.approx(1, abs=1e-6)


def test_the_release_accepts_a_map_with_no_positive_value() -> None:
    (store, _) = stores()
    score_map = -scores(3).abs()
    score_map[3, 1, 0, 0] = math.nan
    index = torch.arange(4)
    accepted = accumulate([store], score_map, LABELS, index, gate=accept_all, keep_empty=True)
    assert accepted[3].tolist() == [True, False, True]
    assert store.missing().tolist() == [[3, 1]]
    assert not store.maps(2).attention.any()


def test_in_the_releases_last_epoch_a_rejected_map_is_better_than_none() -> None:
    """Here the gate trusts the first image's class alone."""
    fed = stores()
    first, last = scores(5).abs(), scores(6).abs()
    index, repeat = torch.arange(4), torch.tensor([False, False, False, True])

    def gate(scores: Tensor, labels: Tensor) -> Tensor:
        return labels & (torch.arange(4) == 0)[:, None]

    accumulate(fed, first, LABELS, index, gate=gate, epoch=0)
    accepted = accumulate(
        fed, last, LABELS, index, repeat=repeat, gate=gate, epoch=1, fill_rejected=True
    )
    assert accepted.any(dim=1).tolist() == [True, False, False, False]
    for store in fed:
        assert store.rows["updates"].tolist() == [2, 0, 0, 0, 0, 0]
        assert store.rows["origin"].tolist() == [1, 2, 2, 0, 0, 0]
        whole = class_attention(last)[2, [0, 2]].numpy()
        assert store.maps(2).attention == pytest.approx(whole, abs=1e-3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("gate", [beats_absent_classes, top_k, accept_all])
def test_a_number_that_is_none_never_enters_a_store(value: float, gate: Gate) -> None:
    fed = stores()
    score_map = scores(4).abs()
    score_map[2, 2, 1, 1] = value
    score_map[3, :, 0, 0] = value
    accumulate(fed, score_map, LABELS, torch.arange(4), gate=gate)
    for store in fed:
        for image in range(4):
            attention = store.maps(image).attention
            assert ((attention >= 0) & (attention <= 1)).all()
        assert not store.dense(3).any() or value == -math.inf


def test_a_repeat_is_not_fused_again() -> None:
    (_, mean) = stores()
    score_map, index = scores(5).abs(), torch.tensor([3, 0, 3, 2])
    repeat = torch.tensor([False, False, True, False])
    accepted = accumulate([mean], score_map, LABELS[index], index, repeat=repeat, gate=accept_all)
    assert accepted.any(dim=1).tolist() == [True, True, False, True]
    assert mean.rows["updates"].tolist() == [1] * 6


def test_every_store_is_fed_alike_whatever_the_others() -> None:
    together, alone = stores(), stores()
    for step in range(3):
        batch = scores(step), LABELS, torch.arange(4)
        accumulate(together, *batch, epoch=step)
        for store in alone:
            accumulate([store], *batch, epoch=step)
    for one, other in zip(together, alone, strict=True):
        assert snapshot(one) == snapshot(other)


def test_stores_may_have_different_grids() -> None:
    fine = MemoryStore(Header(PAIRS.classes, PAIRS.fingerprint, (12, 16), "maximum"), PAIRS)
    (coarse, _) = stores()
    accumulate([fine, coarse], scores(6).abs(), LABELS, torch.arange(4), gate=accept_all)
    assert fine.maps(3).attention.shape == (3, 12, 16)
    assert fine.maps(3).attention.mean() == pytest.approx(coarse.maps(3).attention.mean(), abs=0.1)


def test_a_flip_is_undone_before_fusing() -> None:
    straight, flipped = stores(), stores()
    score_map = scores(7)
    view = identity_view(4)
    view[1::2] = FLIP
    seen = score_map.clone()
    seen[1::2] = seen[1::2].flip(3)
    accumulate(straight, score_map, LABELS, torch.arange(4))
    accumulate(flipped, seen, LABELS, torch.arange(4), view)
    for one, other in zip(straight, flipped, strict=True):
        for image in range(4):
            assert np.allclose(one.dense(image), other.dense(image), atol=1e-3)


def test_nothing_is_remembered_for_gradients() -> None:
    score_map = scores(8).requires_grad_()
    assert not accumulate(stores(), score_map, LABELS, torch.arange(4)).requires_grad


def test_the_arguments_are_left_alone() -> None:
    score_map, labels, index, view = scores(9), LABELS.clone(), torch.arange(4), identity_view(4)
    accumulate(stores(), score_map, labels, index, view)
    assert torch.equal(score_map, scores(9))
    assert torch.equal(labels, LABELS)
    assert torch.equal(view, identity_view(4))


def test_half_precision_scores_are_accumulated() -> None:
    (store, _) = stores()
    assert accumulate([store], scores(10).bfloat16(), LABELS, torch.arange(4)).any()


def test_an_image_of_another_data_set_is_refused() -> None:
    with pytest.raises(StoreError, match="below 4 and 3"):
        accumulate(stores(), scores(11).abs(), LABELS, torch.arange(4) + 3, gate=accept_all)


SIDE = 24
VIEWS = {
    "flips": [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)],
    "crops": [A.RandomCrop(16, 16)],
    "flipped crops": [A.HorizontalFlip(p=0.5), A.RandomCrop(12, 16), A.VerticalFlip(p=0.5)],
    "turned crops": [A.RandomRotate90(p=1), A.RandomCrop(16, 16)],
    "padded crops": [A.PadIfNeeded(32, 32), A.RandomCrop(20, 20)],
}


@pytest.mark.parametrize("augmentations", VIEWS.values(), ids=list(VIEWS))
@pytest.mark.parametrize("fusion", [one for one in EVERY_FUSION if one != "noisy_or"])
def test_epochs_of_crops_and_flips_add_up_to_the_whole_photo(
    augmentations: list[A.BasicTransform], fusion: str
) -> None:
    """A net of one 1 x 1 convolution scores each pixel by itself, wherever a view shows it."""
    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    pairs = Pairs(("photo",), ("red", "green"), np.ones((1, 2), bool))
    store = MemoryStore(Header(pairs.classes, pairs.fingerprint, (SIDE, SIDE), fusion), pairs)
    transform = ViewTransform(augmentations, mean=(0, 0, 0), std=(1, 1, 1))
    for epoch in range(80):
        seen = transform(photo, (0, epoch, 0))
        # Not divided by the view's own peak, which differs from crop to crop.
        accumulate(
            [store],
            seen.image[None, :2],
            torch.ones(1, 2),
            torch.tensor([0]),
            seen.view[None],
            to_attention=lambda score_map: score_map.clamp(0, 1),
        )
    whole = photo.transpose(2, 0, 1)[:2] / 255
    cumulative = store.maps(0).attention
    shown = cumulative > 0
    assert shown[:, whole.min(axis=0) > 0].mean() > 0.95
    assert np.abs(cumulative - whole)[shown].max() < 0.01


def test_a_maximum_over_epochs_grows_to_cover_what_single_epochs_show_in_part() -> None:
    (store, _) = stores()
    left, right = torch.zeros(2, 1, 3, 3, 4)
    left[:, 1, :, :2], right[:, 1, :, 2:] = 1, 2
    covered = []
    for epoch, score_map in enumerate((left, right)):
        assert (class_attention(score_map)[0, 1] > 0).float().mean() == 0.5
        accumulate([store], score_map, LABELS[:1], torch.tensor([0]), epoch=epoch)
        covered.append(float(store.maps(0).attention.mean()))
    assert covered == [0.5, 1.0]


# The border: what a stranger's loop may hand over

INDEX = torch.arange(4)


def fused(**given: Any) -> list[tuple[bytes, bytes]]:
    fed = stores()
    accumulate(**{"store": fed, "score_map": scores(1), "labels": LABELS, "index": INDEX} | given)
    return [snapshot(store) for store in fed]


@pytest.mark.parametrize(
    "given",
    [
        {"labels": PAIRS.labels},
        {"labels": PAIRS.labels.astype(int).tolist()},
        {"labels": LABELS.bool()},
        {"labels": LABELS.double()},
        {"index": [0, 1, 2, 3]},
        {"index": np.arange(4)},
        {"index": INDEX.int()},
        {"score_map": scores(1).numpy()},
        {"score_map": scores(1).double()},
        {"repeat": [False] * 4},
        {"repeat": torch.zeros(4)},
        {"view": np.tile(np.eye(2, 3, dtype=np.float32), (4, 1, 1))},
    ],
    ids=str,
)
def test_lists_arrays_and_other_number_types_are_as_good(given: dict[str, Any]) -> None:
    assert fused(**given) == fused()


def test_one_store_need_not_be_a_list() -> None:
    one, listed = stores()[0], stores()[0]
    accumulate(one, scores(1), LABELS, INDEX)
    accumulate([listed], scores(1), LABELS, INDEX)
    assert snapshot(one) == snapshot(listed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"score_map": torch.ones(4, 3)}, r"\(B, C, H, W\).*got \(4, 3\).*pooled scores"),
        ({"score_map": torch.ones(4, 196, 3)}, r"got \(4, 196, 3\).*tokens.*reshape to the grid"),
        ({"score_map": torch.ones(3, 4, 4)}, r"got \(3, 4, 4\)"),
        ({"score_map": torch.ones(4)}, r"got \(4,\): one map for each image and class"),
        ({"score_map": torch.ones(4, 4, 2, 2)}, r"like score_map.*background.*score_map\[:, 1:\]"),
        ({"score_map": torch.ones(4, 5, 2, 2)}, r"labels must be \(B, C\) = \(4, 5\)"),
        ({"score_map": torch.ones(2, 3, 2, 2)}, r"labels must be \(B, C\) = \(2, 3\)"),
        (
            {"score_map": torch.ones(4, 2, 2, 2), "labels": LABELS[:, :2]},
            r"score_map has 2 classes, the store 3: cat, dog",
        ),
        ({"score_map": torch.ones(4, 3, 1, 1)}, r"\(4, 3, 1, 1\) has one cell .*larger images"),
        ({"labels": LABELS[:, 0]}, r"labels must be .* got \(4,\); .*one_hot\(labels, 3\)"),
        ({"score_map": torch.ones(8, 3, 2, 2)}, r"\(8, 3\).*got \(4, 3\); .*the same images"),
        ({"labels": torch.tensor([0, 1, 2, 0])}, r"labels must be .* got \(4,\)"),
        ({"index": torch.arange(3)}, r"index must be 4 whole numbers.*\(3,\)"),
        ({"index": torch.arange(4.0)}, r"index must be 4 whole numbers.*float32"),
        ({"index": torch.zeros(4, 1, dtype=torch.long)}, r"index must be 4 whole numbers"),
        ({"index": torch.ones(4, dtype=torch.bool)}, r"index must be 4 whole numbers.*bool"),
        ({"view": torch.eye(2, 3)}, r"view must be \(B, 2, 3\) = \(4, 2, 3\).*got \(2, 3\)"),
        ({"repeat": torch.zeros(3)}, r"repeat must be \(B,\) = \(4,\), got \(3,\)"),
    ],
    ids=str,
)
def test_what_is_no_score_map_with_its_tags_is_refused_by_name(
    given: dict[str, Any], message: str
) -> None:
    fed = stores()
    empty = [snapshot(store) for store in fed]
    with pytest.raises(ShapeError, match=message):
        accumulate(
            **{"store": fed, "score_map": scores(1), "labels": LABELS, "index": INDEX} | given
        )
    assert [snapshot(store) for store in fed] == empty
