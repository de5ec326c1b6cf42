"""The archive for VOC's evaluation server: its layout, its palette; scores are left alone."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import METHODS, files, oaa, require_refusal, words

from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.proxy.palette import save_label, voc_palette
from oaa_pl.stages.submission import write_archive

IDS = ("2008_000006", "2008_000011")
FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    for number, name in enumerate(IDS):
        save_label(tmp_path / "made" / f"{name}.png", np.full((4, 6), 15 + number, np.uint8))
    return tmp_path / "made"


def test_the_archive_has_the_servers_layout_and_palette(tmp_path: Path, predictions: Path) -> None:
    save_label(predictions / "not_asked_for.png", np.zeros((2, 2), np.uint8))
    write_archive(tmp_path / "test.tar.gz", predictions, IDS)
    with tarfile.open(tmp_path / "test.tar.gz") as archive:
        assert archive.getnames() == [f"{FOLDER}/{name}.png" for name in IDS]
        content = archive.extractfile(f"{FOLDER}/{IDS[1]}.png")
        assert content is not None
        with Image.open(io.BytesIO(content.read())) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "P", (6, 4))
            assert (np.asarray(image) == 16).all()
            palette = np.array(image.getpalette()).reshape(-1, 3)
    assert np.array_equal(palette, voc_palette()[: len(palette)])
    assert len(palette) > 20


def test_equal_predictions_make_equal_bytes(tmp_path: Path, predictions: Path) -> None:
    for name in ("a", "b"):
        write_archive(tmp_path / name, predictions, IDS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_missing_prediction_is_named_and_nothing_written(
    tmp_path: Path, predictions: Path
) -> None:
    with pytest.raises(MissingInputError, match=r"no prediction of image '2008_000012' \(1 such\)"):
        write_archive(tmp_path / "test.tar.gz", predictions, (*IDS, "2008_000012"))
    assert not (tmp_path / "test.tar.gz").exists()


def test_another_competition_is_refused(tmp_path: Path, predictions: Path) -> None:
    with pytest.raises(ConfigError, match="comp5 or comp6, got 'comp7'"):
        write_archive(tmp_path / "test.tar.gz", predictions, IDS, "comp7")


def test_a_split_that_nobody_knows_anything_of_is_packed(again: Path, tiny_voc: Path) -> None:
    (tiny_voc / "ImageSets/Segmentation/test.txt").write_text("2007_000005\n2007_000006\n")
    for name in ("2007_000005", "2007_000006"):
        (tiny_voc / "SegmentationClass" / f"{name}.png").unlink()
        (tiny_voc / "Annotations" / f"{name}.xml").unlink()
    before = files(again)
    scores = (again / "runs/tiny/results.csv").read_bytes()
    test = ("data.val_split=test", "data.val_tags=none", "submission=true")
    said = oaa("evaluate", *words(tiny_voc), *test)
    assert said.status == 0, said.err
    assert (again / "runs/tiny/results.csv").read_bytes() == scores
    for method in METHODS:
        folder = f"runs/tiny/seed-0/segmenter/{method}/submission"
        with tarfile.open(again / folder / "test.tar.gz") as archive:
            assert archive.getnames() == [f"{FOLDER}/2007_000005.png", f"{FOLDER}/2007_000006.png"]
        with Image.open(again / folder / "test/2007_000005.png") as image:
            assert image.size == (64, 50)  # the photo's own
    made = {name for name in files(again) - before if "/submission/" not in name}
    assert made == set()


def test_before_any_segmenter_is_finished_it_says_so(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("evaluate", *words(tiny_voc_once), "submission=true")
    require_refusal(said, "submission=true needs", "oaa fit stage=segmenter")


def test_another_competition_is_refused_before_any_photo_is_segmented(
    again: Path, tiny_voc_once: Path
) -> None:
    before = files(again)
    said = oaa("evaluate", *words(tiny_voc_once), "submission=true", "competition=comp7")
    require_refusal(said, "comp5 or comp6, got 'comp7'")
    assert files(again) == before
