"""A second run beside the first: what is refused, what is skipped, which photos are in both."""

import json
import logging
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.commands.tiny import METHODS

from oaa_pl.data.voc import VocSource
from oaa_pl.errors import ConfigError, MissingInputError, RunMismatchError
from oaa_pl.proxy.palette import save_label
from oaa_pl.runs.folders import Run
from oaa_pl.stages.photo_layers import Predicted, explored_photos
from oaa_pl.stages.run_beside import RunBeside, beside_of, short_names

NAMES = ("this", "other")


@pytest.fixture
def own(finished: Path) -> Run:
    return Run.named(finished / "runs", "tiny", 0)


@pytest.fixture
def other(own: Run, finished: Path, tmp_path: Path) -> Run:
    """A copy of the finished run, to be changed."""
    shutil.copytree(own.root, tmp_path / "other/seed-1")
    found = beside_of(own, str(tmp_path / "other/seed-1"))
    assert found is not None
    return found


@pytest.fixture
def train(tiny_voc_once: Path) -> VocSource:
    return VocSource(tiny_voc_once, "train")


@pytest.fixture
def val(tiny_voc_once: Path) -> VocSource:
    return VocSource(tiny_voc_once, "val")


def renamed(source: VocSource, *ids: str) -> Any:
    """The same photos under other names."""
    return SimpleNamespace(
        name=source.name, split=source.split, classes=source.classes, labels=source.labels, ids=ids
    )


def skipped(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [one.getMessage() for one in caplog.records]
    return [line for line in lines if line.startswith("skipped: ")]


def test_without_a_value_there_is_no_second_run(own: Run) -> None:
    assert beside_of(own, None) is None


@pytest.mark.parametrize("value", [3, True, ["a"], ""])
def test_what_is_no_path_is_refused(own: Run, value: Any) -> None:
    with pytest.raises(ConfigError, match=r"report\.beside: expected the folder of a run"):
        beside_of(own, value)


def test_a_folder_that_is_missing_or_has_nothing_finished_is_refused(
    own: Run, tmp_path: Path
) -> None:
    with pytest.raises(MissingInputError, match="nowhere is not a folder"):
        beside_of(own, str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/done.json").write_text("{}")  # of another program
    with pytest.raises(MissingInputError, match="empty has no finished stage of a run"):
        beside_of(own, str(tmp_path / "empty"))


def test_the_run_itself_is_refused_by_any_of_its_paths(own: Run, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(own.root)
    for path in (own.root, own.home, tmp_path / "link"):
        with pytest.raises(ConfigError, match="is this run itself"):
            beside_of(own, str(path))


def test_a_run_of_one_seed_is_that_seed_and_of_two_seeds_is_refused(own: Run, other: Run) -> None:
    found = beside_of(own, str(other.root.parent))
    assert found is not None
    assert found.root == other.root
    shutil.copytree(other.root, other.root.parent / "seed-2")
    with pytest.raises(ConfigError, match=r"several seeds \(seed-1, seed-2\); say which"):
        beside_of(own, str(other.root.parent))


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ("/runs/a/seed-0", "/runs/b/seed-0", ("a", "b")),
        ("/runs/a/seed-0", "/runs/a/seed-10", ("seed-0", "seed-10")),
        ("/runs/a/seed-0", "/old/a/seed-0", ("runs", "old")),
        ("/runs/a/lr=1/seed-0", "/runs/a/seed-0", ("a/lr=1", "a")),
        ("/runs/a/seed-0", "/runs/b/seed-1", ("a/seed-0", "b/seed-1")),
    ],
)
def test_two_runs_are_named_by_what_tells_their_folders_apart(
    one: str, two: str, expected: tuple[str, str]
) -> None:
    assert short_names(Path(one), Path(two)) == expected


def test_of_the_same_photos_all_are_in_both(
    other: Run, train: VocSource, val: VocSource, caplog: pytest.LogCaptureFixture
) -> None:
    beside = RunBeside(other, NAMES, train, val)
    assert beside.train == [*range(len(train.ids))]
    assert beside.val == [*range(len(val.ids))]
    assert skipped(caplog) == []


def test_other_classes_are_refused_and_the_first_one_is_named(
    other: Run, train: VocSource, val: VocSource
) -> None:
    record = other.classifier / "stage.json"
    content = json.loads(record.read_text())
    content["classes"][1] = "</script>"
    record.write_text(json.dumps(content))
    with pytest.raises(RunMismatchError, match=r"class 2 is '</script>' there and '.+' in this"):
        RunBeside(other, NAMES, train, val)
    content["classes"] = content["classes"][:1]
    record.write_text(json.dumps(content))
    with pytest.raises(RunMismatchError, match="class 2 is 'none' there"):
        RunBeside(other, NAMES, train, val)


def test_a_run_of_other_photos_is_refused(other: Run, train: VocSource, val: VocSource) -> None:
    others = renamed(train, *(f"other-{one}" for one in train.ids))
    with pytest.raises(RunMismatchError, match="of none of this run's photos"):
        RunBeside(other, NAMES, others, None)


def test_only_photos_with_the_same_name_and_the_same_tags_are_in_both(
    other: Run, train: VocSource
) -> None:
    source = renamed(train, "new", *train.ids[1:])
    source.labels = train.labels.copy()
    source.labels[2] = 1 - source.labels[2]
    assert RunBeside(other, NAMES, source, None).train == [1, *range(3, len(train.ids))]


def test_segmentations_of_another_split_are_named_and_left_out(
    other: Run, train: VocSource, val: VocSource, caplog: pytest.LogCaptureFixture
) -> None:
    val.split = "test"
    beside = RunBeside(other, NAMES, train, val)
    assert beside.val == []
    assert len(skipped(caplog)) == len(METHODS)
    assert "segmenter/cam is of voc12 val, not of voc12 test" in skipped(caplog)[0]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_what_is_damaged_is_named_once_and_the_rest_is_shown(
    own: Run, other: Run, train: VocSource, val: VocSource, caplog: pytest.LogCaptureFixture
) -> None:
    damage(next((other.attention("cam") / "store/generations").rglob("state.npy")))
    for image_id in train.ids:
        damage(other.labels("oaa_max") / f"proxy/{image_id}.png")
    (other.labels("oaa_mean") / f"proxy/{train.ids[0]}.png").unlink()
    save_label(
        other.labels("oaa_plus_mce") / f"proxy/{train.ids[0]}.png", np.zeros((3, 3), np.uint8)
    )
    (other.segmentations("oaa_max") / "metrics.csv").write_bytes(b"epoch,loss\n0,\xff\n")
    damage(sorted((other.classifier / "growth").iterdir())[0])
    with caplog.at_level(logging.WARNING):
        beside = RunBeside(other, NAMES, train, val)
        photos = explored_photos(own, train, val, 0.3, 99, Predicted("", {}), beside)
    lines = skipped(caplog)
    for place in ("attention/cam", "labels/oaa_max", "labels/oaa_mean", "labels/oaa_plus_mce",
                  "segmenter/oaa_max", "growth/epoch-000.npz"):  # fmt: skip
        assert sum(place in line for line in lines if "in all" not in line) == 1, (place, lines)
    assert any(f"{len(train.ids)} files of" in line and "labels/oaa_max" in line for line in lines)
    first = photos[0].layers
    assert "beside/cam" not in first["map"]
    assert {"beside/oaa_max", "cam"} <= {*first["map"]}
    theirs = {name for name in first["proxy"] if name.startswith("beside/")}
    assert theirs == {"beside/cam", "beside/oaa_plus_hybrid"}
    assert photos[0].epochs[0] != []
    assert photos[0].epochs[1] == []
    assert "beside/oaa_max" not in photos[-1].layers["prediction"]
    assert "beside/oaa_mean" in photos[-1].layers["prediction"]


def test_both_runs_are_scored_against_the_same_masks(
    own: Run, other: Run, train: VocSource, val: VocSource
) -> None:
    for method in METHODS:
        for index, image_id in enumerate(train.ids):
            save_label(other.labels(method) / f"proxy/{image_id}.png", train.mask(index))
    beside = RunBeside(other, NAMES, train, val)
    photos = explored_photos(own, train, val, 0.3, 99, Predicted("", {}), beside)
    for photo in photos[: len(train.ids)]:
        assert photo.scores["proxy"]["beside/cam"] == pytest.approx(100)
        assert photo.scores["map"]["beside/cam"] == photo.scores["map"]["cam"]
        assert photo.layers["map"]["beside/cam"] == photo.layers["map"]["cam"]
        assert photo.layers["proxy"]["beside/cam"] != photo.layers["proxy"]["cam"]
        assert photo.epochs[0] == photo.epochs[1]


def test_only_photos_of_both_runs_are_shown(
    own: Run, other: Run, train: VocSource, val: VocSource
) -> None:
    beside = RunBeside(other, NAMES, train, val)
    beside.train, beside.val = [1, 2], [0]
    predicted = Predicted("cam", {0: train.mask(0)})
    photos = explored_photos(own, train, val, 0.3, 99, predicted, beside)
    assert [one.image_id for one in photos] == [train.ids[1], train.ids[2], val.ids[0]]
