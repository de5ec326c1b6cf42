"""Masks and overlays for new photos; what is no photo is named."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import files, oaa, words

from oaa_pl.labels.palette import load_label

CHECKPOINT = "runs/tiny/seed-0/segmenter/oaa_max/last.ckpt"


@pytest.fixture
def holiday(tiny_voc_once: Path, tmp_path: Path) -> Path:
    """A folder with two photos, a broken file and a text file."""
    folder = tmp_path / "holiday"
    (folder / "beach").mkdir(parents=True)
    photos = tiny_voc_once / "JPEGImages"
    shutil.copy(photos / "2007_000005.jpg", folder / "cat.jpg")
    Image.open(photos / "2007_000006.jpg").save(folder / "beach/cat.png")
    (folder / "broken.jpg").write_bytes((photos / "2007_000001.jpg").read_bytes()[:300])
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_photos_get_masks_and_overlays_and_the_rest_is_named(
    again: Path, tiny_voc_once: Path, holiday: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        said = oaa("predict", *words(tiny_voc_once), f"predict.photos={holiday}")
    assert said.status == 0, said.err
    made = files(again / "predictions")
    both = {
        f"{kind}/{name}"
        for kind in ("masks", "overlays")
        for name in ("cat.jpg.png", "beach/cat.png.png")
    }
    assert made == both | {"classes.txt"}
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 2
    assert "broken.jpg" in warned[0]
    assert "notes.txt" in warned[1]
    assert "2 of 4 files" in caplog.text


def test_a_mask_has_its_photo_s_size_and_known_ids(
    again: Path, tiny_voc_once: Path, holiday: Path
) -> None:
    oaa("predict", *words(tiny_voc_once), f"predict.photos={holiday}")
    mask = load_label(again / "predictions/masks/cat.jpg.png")
    with Image.open(holiday / "cat.jpg") as photo:
        assert mask.shape == photo.size[::-1]
    assert mask.max() <= 20
    names = (again / "predictions/classes.txt").read_text().splitlines()
    assert names[0] == "0 background"
    assert names[8] == "8 cat"
    assert len(names) == 21


def test_the_checkpoint_knows_its_network_and_its_classes(
    again: Path, holiday: Path, tmp_path: Path
) -> None:
    # Nothing said of data or net: the folder of the checkpoint does.
    said = oaa(
        "predict", f"predict.checkpoint={CHECKPOINT}", f"predict.photos={holiday}",
        "predict.output=elsewhere", "evaluate.flip=true", "evaluate.scales=[1.0,1.5]",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert "masks/cat.jpg.png" in files(again / "elsewhere")


def test_what_was_predicted_before_is_no_new_photo(
    again: Path, tiny_voc_once: Path, holiday: Path
) -> None:
    arguments = (*words(tiny_voc_once), f"predict.photos={holiday}")
    for _ in range(2):
        assert oaa("predict", *arguments, f"predict.output={holiday}/made").status == 0
    assert len(files(holiday / "made/masks")) == 2


@pytest.mark.parametrize("content", [None, b"", b"no photo"])
def test_a_folder_without_one_readable_photo_is_an_error(
    again: Path, tiny_voc_once: Path, tmp_path: Path, content: bytes | None
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    if content is not None:
        (folder / "a.jpg").write_bytes(content)
    said = oaa("predict", *words(tiny_voc_once), f"predict.photos={folder}")
    assert said.status == 2
    assert f"{folder}: none of its {int(content is not None)} files" in said.last
    assert not (again / "predictions").exists()


def test_a_classifier_s_checkpoint_is_refused(
    again: Path, tiny_voc_once: Path, holiday: Path
) -> None:
    said = oaa(
        "predict", *words(tiny_voc_once), f"predict.photos={holiday}",
        "predict.checkpoint=runs/tiny/seed-0/classifier/last.ckpt",
    )  # fmt: skip
    assert said.status == 2
    assert "not a segmenter" in said.last


def test_a_checkpoint_alone_is_asked_for_its_configuration(
    again: Path, holiday: Path, tmp_path: Path
) -> None:
    shutil.copy(again / CHECKPOINT, tmp_path / "last.ckpt")
    said = oaa("predict", f"predict.photos={holiday}", f"predict.checkpoint={tmp_path}/last.ckpt")
    assert said.status == 2
    assert "config.yaml" in said.last


def test_predictions_do_not_depend_on_what_else_lies_in_the_folder(
    again: Path, tiny_voc_once: Path, holiday: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(holiday / "cat.jpg", alone)
    for folder, output in ((holiday, "many"), (alone, "one")):
        oaa(
            "predict", *words(tiny_voc_once), f"predict.photos={folder}", f"predict.output={output}"
        )
    masks = [load_label(again / f"{output}/masks/cat.jpg.png") for output in ("many", "one")]
    np.testing.assert_array_equal(*masks)
