"""From tags to predictions without one pixel label."""

import shutil
from pathlib import Path

import pytest
from tests.commands.tiny import files, oaa, words


@pytest.fixture
def no_masks(tiny_voc: Path) -> Path:
    shutil.rmtree(tiny_voc / "SegmentationClass")
    tags = {"2007_000001": "cat", "2007_000002": "dog", "2007_000003": "cat person"}
    tags |= {"2007_000004": "dog person", "2007_000005": "cat dog", "2007_000006": "person"}
    rows = "".join(f"{name},{value}\n" for name, value in tags.items())
    (tiny_voc / "tags.csv").write_text(f"image,tags\n{rows}")
    return tiny_voc


def scored(folder: Path) -> set[str]:
    lines = (folder / "runs/tiny/results.csv").read_text().splitlines()[1:]
    return {line.split(",")[6] for line in lines}


def test_tags_from_annotations_lead_to_a_segmenter(empty: Path, no_masks: Path) -> None:
    overrides = (*words(no_masks), "data.tags=annotations", "methods=[cam,oaa_max]")
    said = oaa("reproduce", *overrides)
    assert said.status == 0, said.err
    assert "runs/tiny/seed-0/segmenter/oaa_max/last.ckpt" in files(empty)
    assert scored(empty) == {"classification/map"}
    page = (empty / "runs/tiny/report/index.html").read_text()
    assert "CAM" in page


def test_tags_from_a_file_do_without_a_validation_split(empty: Path, no_masks: Path) -> None:
    said = oaa(
        "reproduce", *words(no_masks), "data.tags=file", f"data.tag_file={no_masks}/tags.csv",
        "data.val=null", "methods=[oaa_max]",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert "runs/tiny/results.csv" not in files(empty)
    page = (empty / "runs/tiny/report/index.html").read_text()
    assert "No true masks, no scores" in page
    said = oaa("evaluate", *words(no_masks), "data.tags=annotations", "data.val=null")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "without true masks" in said.err


def test_a_folder_of_photos_and_a_table_of_tags_are_enough(empty: Path, no_masks: Path) -> None:
    # A folder of photos has no splits: all six are trained on.
    overrides = [
        word for word in words(no_masks / "JPEGImages")
        if not word.startswith(("data=", "data.train_split", "data.val_split"))
    ]  # fmt: skip
    overrides += ["data=folder", f"data.tag_file={no_masks}/tags.csv", "methods=[oaa_max]"]
    said = oaa("reproduce", *overrides)
    assert said.status == 0, said.err
    labels = empty / "runs/tiny/seed-0/labels/oaa_max/proxy"
    assert len(list(labels.glob("*.png"))) == 6
    said = oaa("predict", *overrides, "method=oaa_max", f"predict.photos={no_masks}/JPEGImages")
    assert said.status == 0, said.err
    assert len(list((empty / "predictions/masks").iterdir())) == 6


def test_masks_asked_for_but_missing_are_named(empty: Path, no_masks: Path) -> None:
    said = oaa("fit", *words(no_masks))
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert "SegmentationClass" in said.err
    assert not files(empty)
