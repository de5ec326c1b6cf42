"""The photos of the page's explorer, read from a finished run."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.commands.tiny import METHODS

from oaa_pl.data.voc import VocSource
from oaa_pl.errors import ConfigError
from oaa_pl.proxy.palette import load_label
from oaa_pl.proxy.resize import to_photo
from oaa_pl.runs.folders import Run
from oaa_pl.stages.figures import image_miou
from oaa_pl.stages.growth import growth_epochs, watched_in
from oaa_pl.stages.photo_layers import Predicted, _strongest, explored_photos


@pytest.fixture(scope="module")
def photos(finished: Path) -> list[dict[str, Any]]:
    text = (finished / "runs/tiny/report/index.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'id="explorer-data">(.*?)</script>', text, re.DOTALL)
    return json.loads(data)["photos"]


def test_a_small_data_set_is_shown_whole_training_photos_first(
    photos: list[dict[str, Any]], tiny_voc_once: Path
) -> None:
    train, val = (VocSource(tiny_voc_once, split) for split in ("train", "val"))
    assert [one["id"] for one in photos] == [*train.ids, *val.ids]
    assert {one["split"] for one in photos} == {"train", "val"}


def test_a_training_photo_has_the_map_and_the_proxy_label_of_every_method(
    photos: list[dict[str, Any]],
) -> None:
    for one in (one for one in photos if one["split"] == "train"):
        for layer in ("map", "proxy"):
            assert {*METHODS} <= {*one["layers"][layer]}
            # A label that is ignored everywhere has no score.
            assert one["scores"][layer].keys() <= one["layers"][layer].keys()
        assert one["truth"].startswith("data:image/png")


def test_the_watched_photos_have_a_map_of_every_epoch(
    photos: list[dict[str, Any]], tiny_voc_once: Path
) -> None:
    watched = [frames for one in photos for frames in one["epochs"] if frames]
    assert len(watched) == min(12, len(VocSource(tiny_voc_once, "train").ids))
    assert all([epoch for epoch, _ in frames] == [1, 2] for frames in watched)


@pytest.mark.parametrize("wanted", [-1, 2.5, "many", None])
def test_a_number_of_photos_that_is_none_is_refused(
    tmp_path: Path, tiny_voc_once: Path, wanted: Any
) -> None:
    train, run = VocSource(tiny_voc_once, "train"), Run(tmp_path, "x", tmp_path)
    with pytest.raises(ConfigError, match=r"report\.photos: expected a whole number, 0 or more"):
        explored_photos(run, train, None, 0.3, wanted, Predicted("", {}))


def test_fewer_photos_are_evenly_spread_and_those_predicted_are_always_shown(
    tmp_path: Path, finished: Path, tiny_voc_once: Path
) -> None:
    train = VocSource(tiny_voc_once, "train")
    run = Run.named(finished / "runs", "tiny", 0)
    watched = set(watched_in(growth_epochs(run.classifier)))
    label = np.zeros(train.mask(1).shape, np.uint8)
    photos = explored_photos(run, train, None, 0.3, 2, Predicted("oaa_max", {1: label}))
    shown = {0, 1, len(train.ids) - 1} | watched
    assert [one.image_id for one in photos] == [train.ids[index] for index in sorted(shown)]
    (one,) = (one for one in photos if one.image_id == train.ids[1])
    assert {*one.layers["prediction"]} == {"oaa_max"}


def test_scores_are_those_of_the_figures(
    photos: list[dict[str, Any]], finished: Path, tiny_voc_once: Path
) -> None:
    val = VocSource(tiny_voc_once, "val")
    shown = [one for one in photos if one["split"] == "val"]
    for index, one in enumerate(shown):
        for method in METHODS:
            folder = finished / f"runs/tiny/seed-0/segmenter/{method}/predictions"
            wanted = 100 * image_miou(val, folder, index)
            assert one["scores"]["prediction"][method] == pytest.approx(wanted, abs=0.051)


def test_proxy_labels_are_scored_without_the_ignored_pixels(
    photos: list[dict[str, Any]], finished: Path, tiny_voc_once: Path
) -> None:
    train = VocSource(tiny_voc_once, "train")
    label = load_label(
        finished / f"runs/tiny/seed-0/labels/oaa_max/proxy/{train.ids[0]}.png"
    ).astype(int)
    truth = train.mask(0).astype(int)
    valid = (label != 255) & (truth != 255)
    ratios = []
    for one in {*label[valid], *truth[valid]}:
        found, true = (label == one) & valid, (truth == one) & valid
        ratios.append((found & true).sum() / (found | true).sum())
    got = photos[0]["scores"]["proxy"].get("oaa_max")
    if not ratios:  # everything is ignored: no score
        assert got is None
    else:
        assert got == pytest.approx(100 * np.mean(ratios), abs=0.051)


def test_the_strongest_class_wins_and_weak_pixels_are_background() -> None:
    maps = np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)
    categories, size = np.array([2, 7, 11]), (9, 8)
    label = _strongest(categories, maps, size, 0.6)
    whole = to_photo(maps, size)
    for row in range(size[0]):
        for column in range(size[1]):
            values = whole[:, row, column]
            wanted = categories[values.argmax()] + 1 if values.max() >= 0.6 else 0
            assert label[row, column] == wanted
    assert 0 in label
    assert len(np.unique(label)) > 2
