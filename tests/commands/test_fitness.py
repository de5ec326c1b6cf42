"""What `oaa reproduce` and `oaa fit` would stop at after hours, they stop at before training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import files, oaa, require_refusal, words

from oaa_pl.proxy.palette import save_label


@pytest.fixture
def annotated(tiny_voc: Path) -> tuple[str, ...]:
    """A run whose tags do not come from the masks, so that training alone would not open one."""
    return (*words(tiny_voc), "data.tags=annotations", "methods=[oaa_max]")


def untouched(folder: Path) -> bool:
    return not [name for name in files(folder) if name.endswith((".ckpt", "stage.json"))]


@pytest.mark.parametrize("split", ["2007_000002", "2007_000006"], ids=["train", "val"])
@pytest.mark.parametrize("command", ["reproduce", "fit"])
def test_a_mask_of_another_size_is_refused_before_training(
    empty: Path, tiny_voc: Path, annotated: tuple[str, ...], command: str, split: str
) -> None:
    if (command, split) == ("fit", "2007_000006"):
        pytest.skip("what validates a classifier needs no mask")
    save_label(tiny_voc / f"SegmentationClass/{split}.png", np.zeros((9, 9), np.uint8))
    require_refusal(oaa(command, *annotated), f"{split}.png is 9 x 9 px but its photo is")
    assert untouched(empty)


@pytest.mark.parametrize("command", ["reproduce", "fit"])
def test_masks_that_lack_are_refused_before_training(
    empty: Path, tiny_voc: Path, annotated: tuple[str, ...], command: str
) -> None:
    (tiny_voc / "SegmentationClass/2007_000002.png").unlink()
    require_refusal(oaa(command, *annotated), "lacks the masks of 1 of 4 photos: 2007_000002")
    assert untouched(empty)


def test_a_mask_that_is_no_mask_is_refused_before_training(
    empty: Path, tiny_voc: Path, annotated: tuple[str, ...]
) -> None:
    photo = tiny_voc / "JPEGImages/2007_000002.jpg"
    with Image.open(photo) as image:
        image.save(tiny_voc / "SegmentationClass/2007_000002.png")
    require_refusal(oaa("reproduce", *annotated), "2007_000002.png is a mask of colours")
    assert untouched(empty)


@pytest.mark.parametrize("size", ["another", "turned"])
def test_a_saliency_map_of_another_size_is_refused_before_training(
    empty: Path, tiny_voc: Path, annotated: tuple[str, ...], size: str
) -> None:
    maps = empty / "maps"
    maps.mkdir()
    for photo in (tiny_voc / "JPEGImages").iterdir():
        with Image.open(photo) as image:
            image.convert("L").save(maps / f"{photo.stem}.png")
    with Image.open(maps / "2007_000002.png") as image:
        changed = (
            image.resize((9, 9))
            if size == "another"
            else image.transpose(Image.Transpose.ROTATE_90)
        )
    changed.save(maps / "2007_000002.png")
    overrides = [word for word in annotated if not word.startswith("background")]
    said = oaa("reproduce", *overrides, "background=folder", f"data.saliency={maps}")
    require_refusal(said, "saliency map", "2007_000002.png' is (", "but its photo is (64, 40)")
    assert untouched(empty)
