from pathlib import Path

import pytest
from tests.data.tiny_archives import TRAIN, save_voc

from oaa_pl.data import voc_folder
from oaa_pl.data.voc import VocSource
from oaa_pl.data.voc_folder import check_whole, find_voc
from oaa_pl.errors import IncompleteDataError, MissingSplitError


@pytest.mark.parametrize("named", [".", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_is_found_in_the_folder_that_somebody_names(tmp_path: Path, named: str) -> None:
    voc = save_voc(tmp_path)
    assert (find_voc(tmp_path / named) or tmp_path).samefile(voc)
    assert VocSource(tmp_path / named, "train").ids == TRAIN


def test_a_folder_without_voc_has_none(tmp_path: Path) -> None:
    assert find_voc(tmp_path) is None
    assert find_voc(tmp_path / "new") is None


def test_a_home_folder_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voc = save_voc(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_voc(Path("~")) == voc
    assert VocSource("~", "train").ids == TRAIN


def test_a_missing_train_aug_says_what_makes_it(tmp_path: Path) -> None:
    save_voc(tmp_path)
    with pytest.raises(MissingSplitError, match="'oaa data' fetches VOC 2012 and makes train_aug"):
        VocSource(tmp_path, "train_aug")


def test_everything_that_is_short_is_said_with_what_was_expected(tmp_path: Path) -> None:
    voc = save_voc(tmp_path)
    expected = (
        r"photos in JPEGImages 6, expected 17,125; masks in SegmentationClass 4, expected 2,913; "
        r"ids in train\.txt 2, expected 1,464; ids in val\.txt 2, expected 1,449; move it away"
    )
    with pytest.raises(IncompleteDataError, match=expected):
        check_whole(voc)


def test_photos_of_the_test_set_may_lie_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in {"PHOTOS": 5, "TRAIN": 2, "VAL": 2, "MASKS": 4}.items():
        monkeypatch.setattr(voc_folder, name, count)
    voc = save_voc(tmp_path)
    check_whole(voc)
    (voc / "ImageSets/Segmentation/val.txt").unlink()
    with pytest.raises(IncompleteDataError, match=r"trainval: ids in val\.txt 0, expected 2; move"):
        check_whole(voc)


def test_the_home_of_nobody_is_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingSplitError, match=r"~no-such-user/voc.* does not exist"):
        VocSource("~no-such-user/voc", "train")
