from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from tests.conftest import TINY
from tests.data.tiny_archives import IDS, ONLY_SBD, VAL, save_mat, save_sbd, save_voc, sbd_truth

from oaa_pl.data import train_aug
from oaa_pl.data.images import read_mask
from oaa_pl.data.train_aug import (
    check_photos,
    make_masks,
    sbd_mask,
    train_aug_ids,
    without_mask,
    write_list,
)
from oaa_pl.errors import (
    BadMaskError,
    IncompleteDataError,
    MissingImageError,
    MissingMaskError,
    OutputError,
)
from oaa_pl.proxy.palette import voc_palette


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return save_voc(tmp_path)


@pytest.fixture
def sbd(tmp_path: Path) -> Path:
    return save_sbd(tmp_path)


def test_the_list_is_all_of_sbd_and_voc_s_train_less_voc_s_val(
    voc: Path, sbd: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_aug, "IMAGES", 4)
    ids = train_aug_ids(voc, sbd)
    assert ids == sorted(set(IDS) - set(VAL))
    write_list(voc, ids)
    assert (voc / "ImageSets/Segmentation/train_aug.txt").read_text().split() == ids


def test_a_list_of_another_length_is_refused_with_both_numbers(voc: Path, sbd: Path) -> None:
    with pytest.raises(IncompleteDataError, match="has 4 ids, expected 10,582: a list is not"):
        train_aug_ids(voc, sbd)


def test_masks_are_voc_s_where_voc_has_one_and_sbd_s_elsewhere(voc: Path, sbd: Path) -> None:
    assert list(make_masks(voc, sbd, IDS)) == list(IDS)
    made = voc / "SegmentationClassAug"
    assert sorted(path.name for path in made.iterdir()) == [f"{name}.png" for name in IDS]
    for name in IDS:
        own = voc / "SegmentationClass" / f"{name}.png"
        if name in ONLY_SBD:
            assert np.array_equal(read_mask(made / f"{name}.png"), sbd_truth(name))
            with Image.open(made / f"{name}.png") as image:
                assert image.mode == "P"
                assert image.getpalette()[:63] == voc_palette()[:21].ravel().tolist()
        else:
            assert (made / f"{name}.png").read_bytes() == own.read_bytes()


def test_what_was_interrupted_goes_on_with_the_masks_that_lack(voc: Path, sbd: Path) -> None:
    assert without_mask(voc, IDS) == list(IDS)
    making = make_masks(voc, sbd, IDS[:3])
    next(making)
    making.close()
    assert set(without_mask(voc, IDS)) <= set(IDS[1:])
    (voc / "SegmentationClassAug" / f"{IDS[0]}.png").write_bytes(b"")
    assert IDS[0] in without_mask(voc, IDS)
    list(make_masks(voc, sbd, without_mask(voc, IDS)))
    assert without_mask(voc, IDS) == []
    assert [p for p in (voc / "SegmentationClassAug").iterdir() if p.name[0] == "."] == []


def test_a_mask_in_neither_place_is_named(voc: Path, sbd: Path) -> None:
    (sbd / "cls" / f"{ONLY_SBD[0]}.mat").unlink()
    with pytest.raises(MissingMaskError, match=rf"{ONLY_SBD[0]}\.mat does not exist, and VOC has"):
        list(make_masks(voc, sbd, IDS))


def test_a_mask_of_another_size_than_its_photo_is_named(voc: Path, sbd: Path) -> None:
    save_mat(sbd / "cls" / f"{ONLY_SBD[0]}.mat", np.zeros((9, 7), dtype=np.uint8))
    with pytest.raises(BadMaskError, match=r"is 7 x 9 px but its photo is 64 x 50 px"):
        list(make_masks(voc, sbd, ONLY_SBD))


@pytest.mark.parametrize("content", [b"", b"no file of Matlab's", b"MATLAB 5.0" + bytes(200)])
def test_a_damaged_mask_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(BadMaskError, match=r"x\.mat is not a mask of SBD"):
        sbd_mask(path)


def test_a_file_without_segmentation_is_named(tmp_path: Path) -> None:
    savemat(tmp_path / "x.mat", {"GTinst": {"Segmentation": np.zeros((2, 2), dtype=np.uint8)}})
    with pytest.raises(BadMaskError, match=r"is not a mask of SBD \(KeyError: 'GTcls'\)"):
        sbd_mask(tmp_path / "x.mat")


def test_a_segmentation_of_another_type_is_named(tmp_path: Path) -> None:
    save_mat(tmp_path / "x.mat", np.zeros((4, 4)))
    with pytest.raises(BadMaskError, match=r"must hold \(H, W\) uint8, got \(4, 4\) float64"):
        sbd_mask(tmp_path / "x.mat")


def test_photos_that_lack_are_counted_and_named(voc: Path) -> None:
    check_photos(voc, IDS)
    for name in IDS[:2]:
        (voc / "JPEGImages" / f"{name}.jpg").unlink()
    with pytest.raises(MissingImageError, match=rf"2 of 6 photos: {IDS[0]}, {IDS[1]}; unpack"):
        check_photos(voc, tuple(TINY))


def test_a_place_that_cannot_be_written_is_named(voc: Path, sbd: Path) -> None:
    (voc / "SegmentationClassAug").write_text("in the way")
    with pytest.raises(OutputError, match=r"SegmentationClassAug/\S+ cannot be written"):
        list(make_masks(voc, sbd, IDS[:1]))
