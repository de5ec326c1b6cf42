"""A folder of photos: files, manifest, COCO JSON; a second call computes only what is missing."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from oaa_pl.errors import ConfigError, RunMismatchError, WeightsError
from oaa_pl.files.installed import root_of
from oaa_pl.nets.spans import TILE
from oaa_pl.prediction.segmented_folder import Wanted, segment_folder
from oaa_pl.proxy.palette import load_label
from oaa_pl.stages.refined import Prediction

EVERYTHING = Wanted(overlays=True, confidence=True, rle=True)


class Bright:
    """In the place of a Predictor: bright pixels are a dog, very bright ones a cat."""

    classes = ("cat", "cow", "dog")
    batch_size = 2

    def __init__(self, fails_at: int | None = None) -> None:
        self.seen: list[tuple[int, int]] = []
        self.fails_at = fails_at

    def each(self, photos: Sequence[np.ndarray]) -> Iterator[Prediction]:
        for photo in photos:
            if len(self.seen) == self.fails_at:
                raise KeyboardInterrupt
            self.seen.append(photo.shape[:2])
            level = photo[..., 0]
            mask = np.where(level > 200, 1, np.where(level > 100, 3, 0)).astype(np.uint8)
            yield Prediction(mask, (level / 255).astype(np.float32))


def run(output: Path, photos: Path, predictor: Any = None, wanted: Wanted = EVERYTHING) -> Bright:
    predictor = predictor or Bright()
    segment_folder(predictor, photos, output, {"checkpoint": "abc"}, wanted)
    return predictor


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five photos of different sizes: blocks of a cat and a dog on black."""
    folder = tmp_path / "photos"
    (folder / "beach").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "beach/a.png", "c.png", "nothing.png")):
        photo = np.zeros((10 + number, 20, 3), np.uint8)
        if name != "nothing.png":
            photo[2:6, 3 : 5 + number] = 220
            photo[5:9, 12:15] = 150
        Image.fromarray(photo).save(folder / name)
    return folder


def lines(output: Path) -> dict[str, dict[str, Any]]:
    found = map(json.loads, (output / "manifest.jsonl").read_text().splitlines()[1:])
    return {one["photo"]: one for one in found}


def test_the_manifest_describes_each_photo(tmp_path: Path, photos: Path) -> None:
    output = tmp_path / "out"
    run(output, photos)
    found = lines(output)
    assert list(found) == ["a.png", "b.png", "beach/a.png", "c.png", "nothing.png"]
    one = found["b.png"]
    assert (one["width"], one["height"]) == (20, 11)
    # Two blocks of 4 x 3 pixels.
    assert one["classes"] == {
        "cat": {"id": 1, "pixels": 12, "confidence": pytest.approx(220 / 255, abs=1e-5)},
        "dog": {"id": 3, "pixels": 12, "confidence": pytest.approx(150 / 255, abs=1e-5)},
    }
    mean = (12 * 220 + 12 * 150) / 255 / (20 * 11)
    assert one["confidence"] == pytest.approx(mean, abs=1e-5)
    assert found["nothing.png"]["classes"] == {}
    for kind, file in one["files"].items():
        assert (output / file["path"]).is_file(), kind
    confidence = np.asarray(Image.open(output / one["files"]["confidence"]["path"]))
    assert confidence[3, 4] == 220
    assert confidence.shape == (11, 20)


def test_a_second_call_computes_only_what_is_missing(tmp_path: Path, photos: Path) -> None:
    output = tmp_path / "out"
    assert len(run(output, photos).seen) == 5
    before = (output / "coco.json").read_bytes()
    assert run(output, photos).seen == []
    (output / "masks/b.png.png").unlink()  # removed
    Image.new("L", (20, 10)).save(output / "overlays/a.png.png")  # replaced
    Image.fromarray(np.full((7, 7, 3), 255, np.uint8)).save(photos / "c.png")  # another photo
    assert run(output, photos).seen == [(10, 20), (11, 20), (7, 7)]
    assert (output / "coco.json").read_bytes() != before
    assert lines(output)["c.png"]["classes"]["cat"]["pixels"] == 49


def test_more_files_are_added_to_predictions_made_without_them(
    tmp_path: Path, photos: Path
) -> None:
    output = tmp_path / "out"
    run(output, photos, wanted=Wanted(overlays=False))
    assert {path.name for path in output.iterdir()} == {
        "masks", "classes.txt", "manifest.jsonl", "writer.lock"
    }  # fmt: skip
    assert len(run(output, photos).seen) == 5
    assert run(output, photos, wanted=Wanted(overlays=False)).seen == []


def test_a_stopped_command_continues_with_the_next_photo(tmp_path: Path, photos: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(whole, photos)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, photos, Bright(fails_at=3))
    assert len(lines(stopped)) == 3
    assert len(run(stopped, photos).seen) == 2
    for name in ("coco.json", "classes.txt"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()
    assert lines(stopped) == lines(whole)


def test_predictions_of_other_settings_are_not_mixed(tmp_path: Path, photos: Path) -> None:
    output = tmp_path / "out"
    run(output, photos)
    with pytest.raises(RunMismatchError, match=r"checkpoint='abc', requested 'xyz'; choose"):
        segment_folder(Bright(), photos, output, {"checkpoint": "xyz"}, EVERYTHING)  # type: ignore[arg-type]


def test_a_network_whose_answer_is_not_a_number_is_named(tmp_path: Path, photos: Path) -> None:
    class Broken(Bright):
        def each(self, photos: Sequence[np.ndarray]) -> Iterator[Prediction]:
            for found in super().each(photos):
                yield Prediction(found.mask, found.confidence * np.float32("nan"))

    with pytest.raises(WeightsError, match=r"answer to a\.png is not a number"):
        run(tmp_path / "out", photos, Broken())


# pycocotools 2.0.11 has not followed numpy 2's `copy` keyword; harmless.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_every_mask_and_scores_them_as_perfect(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pycocotools", reason="needs the extra 'coco'")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    output = tmp_path / "out"
    run(output, photos)
    coco = COCO(str(output / "coco.json"))
    assert [coco.cats[key]["name"] for key in sorted(coco.cats)] == ["cat", "cow", "dog"]
    assert len(coco.imgs) == 5
    for image in coco.imgs.values():
        label = load_label(output / "masks" / f"{image['file_name']}.png")
        rebuilt = np.zeros_like(label)
        for one in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            mask = coco.annToMask(one).astype(bool)
            assert one["area"] == mask.sum()
            left, top, width, height = one["bbox"]
            assert mask[top : top + height, left : left + width].sum() == mask.sum()
            rebuilt[mask] = one["category_id"]
        np.testing.assert_array_equal(rebuilt, label)
    results = coco.loadRes(json.loads((output / "coco.json").read_text())["annotations"])
    score = COCOeval(coco, results, "segm")
    score.evaluate()
    score.accumulate()
    score.summarize()
    capsys.readouterr()
    assert score.stats[0] == 1.0
    # And not perfect for other masks: one annotation of each image is another's.
    wrong = json.loads((output / "coco.json").read_text())["annotations"]
    for one in wrong:
        one["category_id"] = 4 - one["category_id"]
    score = COCOeval(coco, coco.loadRes(wrong), "segm")
    score.evaluate()
    score.accumulate()
    score.summarize()
    capsys.readouterr()
    assert score.stats[0] < 0.5


def test_the_default_tile_is_that_of_the_configuration() -> None:
    assert OmegaConf.load(root_of("conf") / "config.yaml").predict.tile == TILE


def test_the_folder_of_the_photos_cannot_be_the_output(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("kept")
    (tmp_path / "link").symlink_to(".")
    for output in (tmp_path, tmp_path / "link"):
        with pytest.raises(ConfigError, match=r"predict\.output is the folder of the photos"):
            segment_folder(None, tmp_path, output, {})  # type: ignore[arg-type]  # not reached
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "one.txt"]
