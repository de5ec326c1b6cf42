"""Proxy labels snap to masks of no class: the rule in plain loops, and the files of the masks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.files.test_rle import runs_by_loops

from oaa_pl.errors import BadMaskError, ConfigError, MissingInputError
from oaa_pl.proxy.proposal_files import ProposalFolder, files_of
from oaa_pl.proxy.proposals import SnapToProposals, Superpixels, no_refinement, snap

H, W = 6, 8
PHOTO = np.zeros((H, W, 3), np.uint8)


def rectangles(seed: int) -> list[NDArray[np.bool_]]:
    draw = np.random.default_rng(seed)
    masks = []
    for _ in range(6):
        top, left = draw.integers(0, H), draw.integers(0, W)
        mask = np.zeros((H, W), bool)
        mask[top : top + draw.integers(1, 5), left : left + draw.integers(1, 5)] = True
        masks.append(mask)
    return masks


def by_loops(
    evidence: NDArray[np.float32], masks: list[NDArray[np.bool_]], minimum: float
) -> NDArray[np.float32]:
    taken = []
    for mask in masks:
        means = []
        for channel in evidence:
            values = [channel[r, c] for r in range(H) for c in range(W) if mask[r, c]]
            means.append(sum(values) / len(values))
        best = max(range(1, len(means)), key=lambda k: means[k])
        if means[best] >= minimum and means[best] > means[0]:
            taken.append((mask, best, means[best]))
    refined = evidence.copy()
    for r in range(H):
        for c in range(W):
            here = [(mean, best) for mask, best, mean in taken if mask[r, c]]
            if here:
                mean, best = max(here, key=lambda one: one[0])
                refined[:, r, c] = 0
                refined[best, r, c] = mean
    return refined


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("classes", [1, 3])
def test_snapping_is_the_rule_in_plain_loops(seed: int, classes: int) -> None:
    draw = np.random.default_rng(seed)
    evidence = draw.random((classes + 1, H, W), np.float32)
    evidence[0] *= 0.6
    before, masks = evidence.copy(), rectangles(seed)
    refined = snap(evidence, masks, 0.45)
    np.testing.assert_allclose(refined, by_loops(evidence, masks, 0.45), rtol=1e-5)
    assert refined.dtype == np.float32
    assert np.array_equal(evidence, before)
    assert not np.array_equal(refined, before)


def test_what_fills_no_proposal_stays_as_it_is() -> None:
    evidence = np.full((2, H, W), 0.2, np.float32)
    evidence[1] = 0.29
    everywhere = np.ones((H, W), bool)
    for masks in ([everywhere], [], [~everywhere]):
        assert np.array_equal(snap(evidence, masks, 0.3), evidence)
    evidence[:] = 0.5  # as strong as the background
    assert np.array_equal(snap(evidence, [everywhere], 0.3), evidence)
    assert np.array_equal(snap(evidence[:1], [everywhere], 0.3), evidence[:1])  # no tag


def test_a_proposal_of_another_size_is_refused_with_its_image() -> None:
    refine = SnapToProposals(lambda *_: [np.ones((W, H), bool)], 0.3)
    with pytest.raises(BadMaskError, match=r"image 'cat'.*\(8, 6\) but its photo is \(6, 8\)"):
        refine("cat", PHOTO, np.ones((2, H, W), np.float32))


def test_a_minimum_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"refine.minimum must be in \[0, 1\], got 30"):
        SnapToProposals(lambda *_: [], 30)
    with pytest.raises(ConfigError, match="count must be 1 or more, got 0"):
        Superpixels(0, 10.0)


def test_without_refinement_evidence_is_unchanged() -> None:
    evidence = np.ones((2, H, W), np.float32)
    assert no_refinement("cat", PHOTO, evidence) is evidence


def test_superpixels_cover_a_photo_once() -> None:
    photo = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    masks = list(Superpixels(20, 10.0)("cat", photo))
    assert len(masks) > 4
    assert (np.sum(masks, axis=0) == 1).all()


def as_json(folder: Path, masks: list[NDArray[np.bool_]], form: str) -> None:
    rles: Any = [{"size": [H, W], "counts": runs_by_loops(mask)} for mask in masks]
    if form != "plain":
        rles = [{"segmentation": rle, "area": 3} for rle in rles]
    if form == "annotations":
        rles = {"image": {"width": W}, "annotations": rles}
    (folder / "cat.json").write_text(json.dumps(rles))


def write(folder: Path, form: str, masks: list[NDArray[np.bool_]]) -> None:
    if form == "npz":
        np.savez_compressed(folder / "cat.npz", masks=np.stack(masks))
    elif form == "folder":
        (folder / "cat").mkdir()
        for number, mask in enumerate(masks):
            Image.fromarray(np.uint8(255) * mask).save(folder / "cat" / f"{number:03}.png")
    else:
        as_json(folder, masks, form)


@pytest.mark.parametrize("form", ["plain", "objects", "annotations", "npz", "folder"])
def test_every_form_of_a_file_gives_the_same_masks(tmp_path: Path, form: str) -> None:
    masks = rectangles(1)
    write(tmp_path, form, masks)
    proposals = ProposalFolder(tmp_path)
    proposals.require(["cat"])
    assert np.array_equal(np.stack(list(proposals("cat", PHOTO))), np.stack(masks))
    assert len(files_of(tmp_path, "cat")) == (6 if form == "folder" else 1)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_each_number_of_a_picture_but_0_is_a_proposal(tmp_path: Path, kind: Any) -> None:
    numbers = np.zeros((H, W), kind)
    numbers[:2], numbers[3:, :4] = 7, np.iinfo(kind).max
    Image.fromarray(numbers).save(tmp_path / "cat.png")
    small, large = ProposalFolder(tmp_path)("cat", PHOTO)
    assert np.array_equal(small, numbers == 7)
    assert np.array_equal(large, numbers == np.iinfo(kind).max)


def test_what_is_missing_or_there_twice_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match=r"needs data.proposals=<folder>"):
        ProposalFolder(None)
    with pytest.raises(MissingInputError, match="is not a folder"):
        ProposalFolder(tmp_path / "nothing")
    write(tmp_path, "npz", rectangles(1))
    proposals = ProposalFolder(tmp_path)
    refine = SnapToProposals(proposals, 0.3)
    with pytest.raises(MissingInputError, match=r"lacks 2 of 3 photos: dog, fish; add"):
        refine.require(["cat", "dog", "fish"])
    with pytest.raises(MissingInputError, match="image 'dog' has no proposals"):
        refine("dog", PHOTO, np.ones((2, H, W), np.float32))
    write(tmp_path, "plain", rectangles(1))
    with pytest.raises(ConfigError, match=r"'cat' has its proposals twice, cat.json and cat.npz"):
        proposals.require(["cat"])
    SnapToProposals(Superpixels(9, 1.0), 0.3).require(["dog"])  # they need no files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cat.json", b"{", r"cat.json' cannot be read"),
        ("cat.json", b"{}", "a list of masks is needed, got NoneType"),
        ("cat.json", b'[{"bbox": [1, 2]}]', "COCO's run lengths"),
        ("cat.npz", b"PK", "cat.npz' cannot be read"),
        ("cat.png", b"PNG", "cat.png' cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadMaskError, match=message):
        list(ProposalFolder(tmp_path)("cat", PHOTO))


def test_a_colour_picture_and_a_stack_of_another_shape_are_refused(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "cat.png")
    np.savez(tmp_path / "dog.npz", np.ones((H, W), bool))
    proposals = ProposalFolder(tmp_path)
    with pytest.raises(BadMaskError, match="one number for each pixel"):
        list(proposals("cat", PHOTO))
    with pytest.raises(BadMaskError, match=r"one array \(N, H, W\) is needed"):
        list(proposals("dog", PHOTO))
