"""The record of a stage's folder."""

import json
import os
from pathlib import Path

import pytest
from tests.commands.tiny import files

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import RunMismatchError, StoreError
from oaa_pl.runs.record import StageRecord

CONFIG = "seed: 0\n"


def test_a_stage_without_any_result_may_be_begun_anew(tmp_path: Path) -> None:
    StageRecord(tmp_path / "stage", {"lr": 1}).begin(CONFIG)
    (tmp_path / "stage/history.csv").touch()
    second = StageRecord(tmp_path / "stage", {"lr": 2})
    assert not second.finished
    second.begin(CONFIG)
    assert files(tmp_path / "stage") == {"stage.json", "config.yaml", "writer.lock"}


@pytest.mark.parametrize("result", [LAST, "done.json"])
def test_a_stage_with_a_result_is_kept(tmp_path: Path, result: str) -> None:
    StageRecord(tmp_path / "stage", {"lr": 1}).begin(CONFIG)
    (tmp_path / "stage" / result).touch()
    second = StageRecord(tmp_path / "stage", {"lr": 2})
    with pytest.raises(RunMismatchError, match="made with lr=1, requested 2"):
        second.begin(CONFIG)
    assert result in files(tmp_path / "stage")


@pytest.mark.parametrize("older", [False, True])
def test_a_callback_that_only_looked_is_not_asked_for_again(tmp_path: Path, older: bool) -> None:
    """What a record's key leaves out is not looked up in its configuration, if the key has all."""
    stage, key = tmp_path / "stage", {"precision": "32-true"}
    looking = "trainer: {devices: 1}\ncallbacks: {mine: {_target_: not_imported_here.Watcher}}\n"
    StageRecord(stage, key, processes=1).begin(looking)
    (stage / "done.json").touch()
    if older:  # its key had nothing of the trainer but the precision
        (stage / "stage.json").write_text(json.dumps({"made_from": key}))
        with pytest.raises(RunMismatchError, match=r"made with trainer\.callbacks=.*Watcher"):
            StageRecord(stage, key, processes=1).require_same()
    else:
        StageRecord(stage, key, processes=1).require_same()


def record(stage: Path) -> dict:
    content: dict = json.loads((stage / "stage.json").read_text())
    return content


def test_a_resumed_stage_remembers_who_worked_on_it_before(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    StageRecord(stage, {"lr": 1}).begin(CONFIG)
    first = record(stage)
    (stage / LAST).touch()
    left = first["started"] + 100
    os.utime(stage / LAST, (left, left))
    other = {**first, "commit": "abc", "command": "oaa fit then"}
    (stage / "stage.json").write_text(json.dumps(other))
    StageRecord(stage, {"lr": 1}).begin(CONFIG)
    (leg,) = record(stage)["earlier"]
    assert (leg["commit"], leg["command"], leg["seconds"]) == ("abc", "oaa fit then", 100)
    assert record(stage)["commit"] == first["commit"]
    # A store is opened, and touched, before the stage is begun.
    (stage / "store").mkdir()
    (stage / "store/writer.lock").touch()
    os.utime(stage / "store/writer.lock", (left + 10**6, left + 10**6))
    # Killed again, before it left anything: what was there counts once.
    third = StageRecord(stage, {"lr": 1})
    os.utime(stage / LAST, (left - 200, left - 200))
    third.begin(CONFIG)
    assert [leg["seconds"] for leg in record(stage)["earlier"]] == [100]
    third.finish(pairs=3)
    done = json.loads((stage / "done.json").read_text())
    assert 100 <= done.pop("seconds") < 200
    assert done == {"pairs": 3}


def test_other_files_of_the_same_name_are_told_apart_while_they_are_there(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    StageRecord(stage, {}, {"weights": "aa"}).begin(CONFIG)
    (stage / LAST).touch()
    with pytest.raises(RunMismatchError, match="made with other weights"):
        _ = StageRecord(stage, {}, {"weights": "bb"}).finished
    for same in ({"weights": "aa"}, {}, {"saliency maps": "cc"}):
        assert not StageRecord(stage, {}, same).finished
    (stage / LAST).unlink()
    StageRecord(stage, {}, {"weights": "bb"}).begin(CONFIG)
    assert record(stage)["files"] == {"weights": "bb"}


def test_another_number_of_processes_than_before_is_refused(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    StageRecord(stage, {}, processes=2).begin(CONFIG)
    (stage / LAST).touch()
    with pytest.raises(RunMismatchError, match="for 2 processes, requested 1"):
        _ = StageRecord(stage, {}, processes=1).finished
    for same in (2, None):
        assert not StageRecord(stage, {}, processes=same).finished


def test_the_folder_is_free_when_the_block_ends_though_the_record_is_kept(tmp_path: Path) -> None:
    with StageRecord(tmp_path / "stage", {"lr": 1}) as kept:
        kept.begin(CONFIG)
        with pytest.raises(StoreError, match="being written"):
            StageRecord(tmp_path / "stage", {"lr": 1}).begin(CONFIG)
    StageRecord(tmp_path / "stage", {"lr": 1}).begin(CONFIG)
    assert not kept.finished
