"""The sets that experiments/photos draws."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.scripts import loaded

from oaa_pl.data.voc import VocSource
from oaa_pl.proxy.palette import load_label

DRAW = Path(__file__).parents[2] / "experiments/photos/draw.py"


def test_small_sets_are_drawn_as_a_user_has_them(
    tiny_voc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = loaded(DRAW)
    lists = tiny_voc / "ImageSets/Segmentation"
    for old, new in (("train", "train_lite"), ("val", "val_dev")):
        shutil.copy(lists / f"{old}.txt", lists / f"{new}.txt")
    monkeypatch.setattr(draw, "SETS", (("cat", "person"),))
    monkeypatch.setattr(draw, "PHOTOS", 2)
    draw.main(str(tiny_voc), str(tmp_path / "sets"))
    home, source = tmp_path / "sets/set0", VocSource(tiny_voc, "train")
    with (home / "tags.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert len(rows) == 2
    for row in rows:
        name = row["image"].removesuffix(".jpg")
        place = source.ids.index(name)
        known = {"cat": source.labels[place, 7], "person": source.labels[place, 14]}
        assert row["tags"].split(";") == [tag for tag, there in known.items() if there]
        assert (home / "photos" / row["image"]).is_file()
        mask, true = load_label(home / f"masks/{name}.png"), source.mask(place)
        for own, theirs in ((1, 8), (2, 15), (255, 255)):
            np.testing.assert_array_equal(mask == own, true == theirs)


def test_photos_with_another_class_are_left_out(tiny_voc: Path) -> None:
    source = VocSource(tiny_voc, "train")
    some = loaded(DRAW).only(source, [7])
    assert some == [place for place in range(4) if source.labels[place].sum() == 1
                    and source.labels[place, 7]]  # fmt: skip
