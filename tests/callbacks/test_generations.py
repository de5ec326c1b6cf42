import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from tests.store.contract import PAIRS, batch, header_of, random_maps

from oaa_pl.callbacks.generations import GENERATIONS, NamedGenerations, RecordedIO, generations_in
from oaa_pl.errors import WeightsError
from oaa_pl.store.memmap import MemmapStore


@pytest.fixture
def named(tmp_path: Path) -> NamedGenerations:
    store = tmp_path / "run" / "maps"
    with MemmapStore(store, header_of(), PAIRS, keep=9) as written:
        for epoch in range(5):
            written.fuse(*batch((0, 1)), random_maps(1, epoch))
            written.commit()
    return NamedGenerations("maps", store)


def checkpoint(path: Path, generation: int | None, name: str = "maps") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {"state_dict": {}}
    if generation is not None:
        content[GENERATIONS] = {name: [generation, "0123abcd"]}
    torch.save(content, path)
    return path


def io(named: NamedGenerations) -> RecordedIO:
    return RecordedIO(TorchCheckpointIO(), {"maps": named})


def content(generation: int) -> dict[str, Any]:
    return {GENERATIONS: {"maps": [generation, "0123abcd"]}}


@pytest.mark.parametrize("place", ["last.ckpt", "a/b=0.5.ckpt", "../elsewhere/x.pt", "no-ending"])
def test_a_written_checkpoint_needs_its_generation_until_it_is_gone(
    named: NamedGenerations, tmp_path: Path, place: str
) -> None:
    path = tmp_path / "run" / place
    io(named).save_checkpoint(content(3), path)
    assert NamedGenerations("maps", named.store).needed() == {3}
    io(named).save_checkpoint(content(4), path)  # replaced
    assert named.needed() == {4}
    path.unlink()  # by a person
    assert named.needed() == set()


def test_a_checkpoint_that_the_trainer_removes_needs_nothing(
    named: NamedGenerations, tmp_path: Path
) -> None:
    io(named).save_checkpoint(content(2), tmp_path / "one.ckpt")
    io(named).save_checkpoint(content(3), tmp_path / "two.ckpt")
    io(named).remove_checkpoint(tmp_path / "one.ckpt")
    assert not (tmp_path / "one.ckpt").exists()
    assert named.needed() == {3}


def test_a_writing_that_fails_keeps_what_the_old_file_and_the_new_one_name(
    named: NamedGenerations, tmp_path: Path
) -> None:
    class Full(TorchCheckpointIO):
        def save_checkpoint(self, *arguments: Any, **more: Any) -> None:
            raise OSError(28, "No space left on device")

    io(named).save_checkpoint(content(2), tmp_path / "last.ckpt")
    with pytest.raises(OSError, match="No space left"):
        RecordedIO(Full(), {"maps": named}).save_checkpoint(content(4), tmp_path / "last.ckpt")
    assert named.needed() == {2, 4}


def test_a_checkpoint_whose_file_nobody_tells_keeps_its_generation(
    named: NamedGenerations, tmp_path: Path
) -> None:
    named.writing(2)
    named.writing(3)
    assert named.needed() == {2, 3}
    named.writing(4)
    io(named).save_checkpoint(content(4), tmp_path / "last.ckpt")  # and now it is told
    assert named.needed() == {4}


def test_a_checkpoint_on_a_remote_file_system_is_taken_to_be_there(
    named: NamedGenerations, tmp_path: Path
) -> None:
    class Remote(TorchCheckpointIO):
        def save_checkpoint(self, *arguments: Any, **more: Any) -> None:
            pass

        def remove_checkpoint(self, path: Any) -> None:
            pass

    remote = RecordedIO(Remote(), {"maps": named})
    remote.save_checkpoint(content(2), "s3://bucket/run/last.ckpt")
    assert named.needed() == {2}
    remote.remove_checkpoint("s3://bucket/run/last.ckpt")
    assert named.needed() == set()


def test_a_run_may_be_moved_as_a_whole(named: NamedGenerations, tmp_path: Path) -> None:
    io(named).save_checkpoint(content(2), tmp_path / "run" / "kept" / "best.ckpt")
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert NamedGenerations("maps", tmp_path / "moved" / "maps").needed() == {2}


def test_copies_beside_a_checkpoint_are_found_by_reading_them(
    named: NamedGenerations, tmp_path: Path
) -> None:
    io(named).save_checkpoint(content(4), tmp_path / "kept" / "last.ckpt")
    checkpoint(tmp_path / "kept" / "copy.ckpt", 2)
    checkpoint(tmp_path / "kept" / "other.ckpt", 3, name="another store")
    checkpoint(tmp_path / "kept" / "before.ckpt", None)
    checkpoint(tmp_path / "more" / "old.ckpt", 1)
    assert named.needed() - {0} == {2, 4}
    assert named.needed([tmp_path / "more", tmp_path / "absent"]) - {0} == {1, 2, 4}
    checkpoint(tmp_path / "kept" / "copy.ckpt", 5)  # another one now
    assert named.needed() - {0} == {4, 5}


def test_a_file_that_cannot_be_read_keeps_every_generation(
    named: NamedGenerations, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    io(named).save_checkpoint(content(4), tmp_path / "last.ckpt")
    (tmp_path / "half.ckpt").write_bytes(b"half")
    assert named.needed() == {1, 2, 3, 4, 5}
    assert named.needed() == {1, 2, 3, 4, 5}
    assert caplog.text.count("half.ckpt is not a readable checkpoint") == 1  # said once


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a": 1}', '{"a": {"names": "x"}}', "null"])
def test_a_damaged_record_falls_back_on_the_files(
    named: NamedGenerations, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    io(named).save_checkpoint(content(4), tmp_path / "kept" / "last.ckpt")
    (named.store / "checkpoints.json").write_text(damage)
    assert named.needed([tmp_path / "kept"]) == {4}
    assert "checkpoints.json cannot be read" in caplog.text


def test_beginning_anew_forgets_every_checkpoint(named: NamedGenerations, tmp_path: Path) -> None:
    io(named).save_checkpoint(content(4), tmp_path / "last.state")
    named.clear()
    named.clear()
    assert named.needed() == set()
    assert not (named.store / "checkpoints.json").exists()


def test_the_record_is_readable(named: NamedGenerations, tmp_path: Path) -> None:
    io(named).save_checkpoint(content(4), tmp_path / "last.ckpt")
    record = json.loads((named.store / "checkpoints.json").read_text())
    assert record == {"../../last.ckpt": {"names": [4], "seen": True}}


def test_a_checkpoint_without_stores_is_written_as_it_is(
    named: NamedGenerations, tmp_path: Path
) -> None:
    io(named).save_checkpoint({"state_dict": {}}, tmp_path / "weights.ckpt")
    assert torch.load(tmp_path / "weights.ckpt", weights_only=True) == {"state_dict": {}}
    assert not (named.store / "checkpoints.json").exists()


@pytest.mark.parametrize("damage", [b"", b"half", b"PK\x03\x04"])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "last.ckpt").write_bytes(damage)
    with pytest.raises(WeightsError, match=r"last\.ckpt is not a readable checkpoint"):
        generations_in(tmp_path / "last.ckpt")
