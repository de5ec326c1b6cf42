import errno
import os
from pathlib import Path

import pytest
import torch
from tests.modules.tiny import OPTIMIZER, SCHEDULE, TinyNet, loader, quiet_trainer

from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO
from oaa_pl.callbacks.epoch_checkpoint import EpochCheckpoint
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.errors import OutputError
from oaa_pl.modules.classifier import Classifier


def test_a_checkpoint_is_read_back(tmp_path: Path) -> None:
    content = {"state_dict": {"weight": torch.arange(3.0)}, "epoch": 2}
    AtomicCheckpointIO().save_checkpoint(content, tmp_path / "run" / LAST)
    read = torch.load(tmp_path / "run" / LAST, weights_only=True)
    assert torch.equal(read["state_dict"]["weight"], torch.arange(3.0))
    assert [file.name for file in (tmp_path / "run").iterdir()] == [LAST]


def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / LAST)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"last\.ckpt cannot be written \(No space left.*free di"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 2}, tmp_path / LAST)
    assert torch.load(tmp_path / LAST, weights_only=True) == {"epoch": 1}
    assert [file.name for file in tmp_path.iterdir()] == [LAST]


def test_a_folder_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written .*choose another"):
        AtomicCheckpointIO().save_checkpoint({}, tmp_path / "file" / "run" / LAST)


def fitted(folder: Path, **settings: int) -> None:
    trainer = quiet_trainer(
        folder,
        enable_checkpointing=True,
        callbacks=[EpochCheckpoint(folder)],
        plugins=[AtomicCheckpointIO()],
        **settings,
    )
    trainer.fit(Classifier(TinyNet(), OPTIMIZER, SCHEDULE, 3), loader(), loader())


def test_the_last_epoch_is_the_only_checkpoint(tmp_path: Path) -> None:
    fitted(tmp_path, max_epochs=3)
    assert [file.name for file in tmp_path.iterdir()] == [LAST]
    assert torch.load(tmp_path / LAST, weights_only=True)["epoch"] == 2


def test_a_training_that_ends_within_an_epoch_is_checkpointed_too(tmp_path: Path) -> None:
    fitted(tmp_path, max_epochs=9, max_steps=4)
    assert torch.load(tmp_path / LAST, weights_only=True)["global_step"] == 4


def test_what_a_killed_process_left_of_a_checkpoint_is_removed_by_the_next_one(
    tmp_path: Path,
) -> None:
    for name in (f".0123456789abcdef.{2**22 + 1}.partial", f".{LAST}.partial"):  # and an older one
        (tmp_path / name).write_text("half")
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / LAST)
    assert [file.name for file in tmp_path.iterdir()] == [LAST]
