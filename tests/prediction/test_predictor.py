"""A trained segmenter as a function, from its folder alone."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from tests.commands.tiny import oaa

from oaa_pl import Predictor
from oaa_pl.data.images import read_photo
from oaa_pl.errors import (
    BadImageError,
    ConfigError,
    MissingImageError,
    MissingInputError,
    ShapeError,
    WeightsError,
)
from oaa_pl.proxy.palette import load_label

SEGMENTER = "runs/tiny/seed-0/segmenter/oaa_max"


@pytest.fixture
def folder(again: Path) -> Path:
    """A trained segmenter's folder, to work on."""
    return again / SEGMENTER


@pytest.fixture
def photo(tiny_voc_once: Path) -> Path:
    return tiny_voc_once / "JPEGImages" / "2007_000005.jpg"


def test_a_photo_becomes_the_mask_of_the_command_line(folder: Path, photo: Path) -> None:
    photos = folder / "photos"
    photos.mkdir()
    shutil.copy(photo, photos / "cat.jpg")
    said = oaa("predict", f"predict.checkpoint={folder}/last.ckpt", f"predict.photos={photos}")
    assert said.status == 0, said.err
    predictor = Predictor.load(folder)
    mask = predictor(photo)
    assert (mask.shape, mask.dtype) == ((50, 64), np.uint8)
    np.testing.assert_array_equal(mask, load_label(Path("predictions/masks/cat.jpg.png")))
    assert predictor.classes[7] == "cat"
    assert len(predictor.classes) == 20
    assert "cat" in repr(predictor)


def test_a_photo_may_be_a_path_an_image_or_an_array(folder: Path, photo: Path) -> None:
    predictor = Predictor.load(str(folder))
    expected = predictor(photo)
    # Or two photos would be alike whatever is read.
    assert len(np.unique(expected)) > 1
    for one in (str(photo), Image.open(photo), read_photo(photo)):
        np.testing.assert_array_equal(predictor(one), expected)
    both = predictor([photo, photo.with_name("2007_000006.jpg")])
    assert [mask.shape for mask in both] == [(50, 64), (64, 64)]
    np.testing.assert_array_equal(both[0], expected)
    assert predictor([]) == []


def test_masks_come_with_their_confidence_when_asked(folder: Path, photo: Path) -> None:
    predictor = Predictor.load(folder)
    mask, confidence = predictor(photo, confidence=True)
    np.testing.assert_array_equal(mask, predictor(photo))
    assert (confidence.shape, confidence.dtype) == (mask.shape, np.float32)
    # The highest of 21 probabilities.
    assert 1 / 21 - 1e-6 <= confidence.min() < confidence.max() <= 1 + 1e-6
    other = photo.with_name("2007_000006.jpg")
    masks, confidences = predictor([photo, other], confidence=True)
    np.testing.assert_array_equal(masks[0], mask)
    np.testing.assert_array_equal(confidences[0], confidence)
    assert [one.shape for one in confidences] == [(50, 64), (64, 64)]
    assert predictor([], confidence=True) == ([], [])


def test_photos_are_read_and_segmented_a_batch_at_a_time(folder: Path, photo: Path) -> None:
    predictor = Predictor.load(folder, batch_size=2)
    read = []

    def photos() -> Iterator[Path]:
        for number in (1, 2, 3, 4, 5):
            read.append(number)
            yield photo.with_name(f"2007_00000{number}.jpg")

    made = predictor.each(photos())
    first = next(made)
    assert read == [1, 2]
    rest = list(made)
    alone = Predictor.load(folder)
    assert alone.batch_size == 1  # on a CPU
    for found, number in zip([first, *rest], read, strict=True):
        mask, confidence = alone(photo.with_name(f"2007_00000{number}.jpg"), confidence=True)
        # A batch may be summed in another order: 1e-6 was seen.
        np.testing.assert_allclose(found.confidence, confidence, rtol=0, atol=1e-4)
        assert (found.mask == mask).mean() > 0.99


def test_a_large_photo_goes_through_in_tiles(folder: Path, photo: Path) -> None:
    whole, tiles = (
        Predictor.load(folder, size=None, tile=None),
        Predictor.load(folder, size=None, tile=32),
    )
    large = np.tile(read_photo(photo), (3, 3, 1))
    mask, confidence = tiles(large, confidence=True)
    assert mask.shape == confidence.shape == large.shape[:2]
    # The context at the border of a tile differs, the rest does not.
    assert (mask == whole(large)).mean() > 0.5


def test_a_turned_image_is_segmented_as_its_file_is(
    folder: Path, photo: Path, tmp_path: Path
) -> None:
    image = Image.open(photo)
    notes = image.getexif()
    notes[274] = 6  # to be turned by a quarter
    image.save(tmp_path / "turned.png", exif=notes)
    predictor = Predictor.load(folder)
    mask = predictor(tmp_path / "turned.png")
    assert mask.shape == (64, 50)
    np.testing.assert_array_equal(predictor(Image.open(tmp_path / "turned.png")), mask)


def test_a_gray_or_transparent_image_is_taken_as_its_file_is(
    folder: Path, photo: Path, tmp_path: Path
) -> None:
    predictor = Predictor.load(folder)
    for mode in ("L", "RGBA", "P", "1"):
        path = tmp_path / f"{mode}.png"
        Image.open(photo).convert(mode).save(path)
        np.testing.assert_array_equal(predictor(Image.open(path)), predictor(path))


RGB = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(("given", "error", "match"), [
    ("nowhere.jpg", MissingImageError, "nowhere.jpg does not exist"),
    (RGB.astype(np.float32), ShapeError, r"got \(4, 5, 3\) float32; scale it to 0..255"),
    (RGB.transpose(2, 0, 1), ShapeError, "put the channels last"),
    (RGB[..., 0], ShapeError, r"got \(4, 5\) uint8; repeat a gray photo"),
    (RGB[None], ShapeError, r"list\(photos\)"),
    (RGB[:0], ShapeError, r"must be \(H, W, 3\) uint8 RGB, got \(0, 5, 3\)"),
    (3, ShapeError, "a photo must be a path, a Pillow image or .* got int"),
    ({"a.jpg"}, ShapeError, "got set; give several photos as a list"),
    (Image.new("I;16", (4, 4)), BadImageError, "mode 'I;16'; give the file's path"),
    (Image.new("F", (4, 4)), BadImageError, "mode 'F'"),
])  # fmt: skip
def test_what_is_no_photo_is_named(
    folder: Path, given: Any, error: type[Exception], match: str
) -> None:
    predictor = Predictor.load(folder)
    with pytest.raises(error, match=match):
        predictor(given)
    with pytest.raises(error, match=match):
        predictor([given])


def test_what_is_asked_for_takes_the_place_of_what_is_recorded(folder: Path, photo: Path) -> None:
    recorded = Predictor.load(folder)(photo)
    for views in ({"size": 24}, {"size": None}, {"scales": (0.5, 2)}, {"flip": True}):
        asked = Predictor.load(folder, **views)(photo)
        cfg = OmegaConf.load(folder / "config.yaml")
        cfg.evaluate.update({k: list(v) if isinstance(v, tuple) else v for k, v in views.items()})
        changed = folder.with_name("changed")
        shutil.copytree(folder, changed, dirs_exist_ok=True)
        OmegaConf.save(cfg, changed / "config.yaml")
        np.testing.assert_array_equal(asked, Predictor.load(changed)(photo))
    assert not np.array_equal(recorded, Predictor.load(folder, size=24)(photo))


@pytest.mark.parametrize(("asked", "match"), [
    ({"size": 0}, "^size must be a whole number"),
    ({"scales": []}, "^scales must be a list of numbers above 0"),
    ({"scales": 0.5}, "^scales must be a list"),
    ({"flip": 1}, "^flip must be true or false"),
    ({"keep_shape": 3}, "^keep_shape must be true or false"),
    ({"crf": "dense"}, "crf must be one of none, release, got 'dense'"),
    ({"device": "tpu"}, "^device must be one of cpu, gpu, cuda, mps, auto"),
    ({"tile": 0}, "^tile must be a whole number of pixels"),
    ({"batch_size": 0}, "^batch_size must be a whole number of photos"),
    ({"batch_size": 2.5}, "^batch_size must be a whole number of photos"),
    ({"allow": ["os.path"]}, "allow_targets must list modules that hold networks"),
])  # fmt: skip
def test_a_value_that_cannot_be_used_is_named(
    folder: Path, asked: dict[str, Any], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        Predictor.load(folder, **asked)


def test_a_folder_that_is_no_segmenter_is_named(folder: Path, again: Path) -> None:
    with pytest.raises(MissingInputError, match=r"nowhere does not exist; give the folder of a"):
        Predictor.load("nowhere")
    with pytest.raises(MissingInputError, match=r"runs/last.ckpt does not exist"):
        Predictor.load(again / "runs")
    with pytest.raises(ConfigError, match="is not a segmenter's"):
        Predictor.load(again / "runs/tiny/seed-0/classifier")
    (folder / "last.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="not a checkpoint of this network"):
        Predictor.load(folder)


@pytest.mark.parametrize("part", ["net.segmenter", "crf"])
def test_a_stranger_s_record_calls_no_code_but_ours(folder: Path, part: str) -> None:
    cfg = OmegaConf.load(folder / "config.yaml")
    OmegaConf.update(cfg, part, {"_target_": "os.mkdir", "path": "owned"}, merge=False)
    OmegaConf.save(cfg, folder / "config.yaml")
    with pytest.raises(ConfigError, match=r"'os\.mkdir', which is not a part of ours"):
        Predictor.load(folder)
    assert not Path("owned").exists()


def test_the_example_of_the_docs_runs(folder: Path, photo: Path, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/how-to/application.md").read_text("utf-8")
    example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    for name in ("beach.jpg", "cat.jpg"):
        shutil.copy(photo, name)
    scope: dict[str, Any] = {"many_photos": iter([photo, photo])}
    exec(example.replace("runs/photos/seed-0/segmenter/oaa_max-frozen_head", str(folder)), scope)
    assert len(scope["masks"]) == 2
    np.testing.assert_array_equal(scope["mask"], Predictor.load(folder)(photo))
    assert scope["confidence"].shape == scope["mask"].shape
