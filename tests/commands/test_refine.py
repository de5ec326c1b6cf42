"""`refine=proposals` and `refine=superpixels`: proxy labels that snap to masks of no class."""

import shutil
from pathlib import Path

import numpy as np
from tests.commands.tiny import oaa, require_refusal, words

from oaa_pl.proxy.palette import load_label

LABELS = Path("runs/tiny/seed-0/labels/oaa_max")


def label(root: Path, *more: str) -> dict[str, np.ndarray]:
    """The hard labels of a new labelling, by image."""
    shutil.rmtree(LABELS)
    said = oaa("label", *words(root), "method=oaa_max", *more)
    assert said.status == 0, said.err
    return {path.stem: load_label(path) for path in sorted((LABELS / "hard").glob("*.png"))}


def halves_of(label_map: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half = label_map.shape[1] // 2
    return label_map[:, :half], label_map[:, half:]


def test_labels_snap_to_proposals_and_their_record_says_so(
    again: Path, tiny_voc_once: Path
) -> None:
    plain = label(tiny_voc_once)
    words_of_refine = ("refine=proposals", "data.proposals=masks", "refine.minimum=0")
    shutil.rmtree(LABELS)
    missing = oaa("label", *words(tiny_voc_once), "method=oaa_max", "refine=proposals")
    require_refusal(missing, "refine=proposals needs data.proposals=<folder>")

    Path("masks").mkdir()
    for name, hard in plain.items():
        halves = np.zeros((2, *hard.shape), bool)
        halves[0, :, : hard.shape[1] // 2] = halves[1, :, hard.shape[1] // 2 :] = True
        np.savez_compressed(f"masks/{name}.npz", halves)
    LABELS.mkdir()
    snapped = label(tiny_voc_once, *words_of_refine)
    assert any(not np.array_equal(snapped[name], plain[name]) for name in plain)
    for name, hard in snapped.items():
        for side, before in zip(halves_of(hard), halves_of(plain[name]), strict=True):
            assert len(np.unique(side)) == 1 or np.array_equal(side, before)

    # Moved, they are the same proposals; others are not.
    Path("masks").rename("moved")
    moved = [word.replace("=masks", "=moved") for word in words_of_refine]
    assert oaa("label", *words(tiny_voc_once), "method=oaa_max", *moved).status == 0
    require_refusal(oaa("label", *words(tiny_voc_once), "method=oaa_max"), "refine")


def test_superpixels_need_no_folder(again: Path, tiny_voc_once: Path) -> None:
    plain = label(tiny_voc_once)
    snapped = label(tiny_voc_once, "refine=superpixels", "refine.minimum=0.01")
    assert snapped.keys() == plain.keys()
    assert any(not np.array_equal(snapped[name], plain[name]) for name in plain)
