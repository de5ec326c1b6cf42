"""A stage that several jobs of a sweep need, made once: the others copy it."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from oaa_pl.config.sweep import running
from oaa_pl.errors import InUseError, RunMismatchError
from oaa_pl.files.lock import WriterLock
from oaa_pl.runs.record import StageRecord
from oaa_pl.runs.stage_folder import clear, read_json, write_json, writing

__all__ = ["copy_stage", "one_job_at_a_time", "twin_of"]

# What belongs to the other job: its lock, its scores, which name its experiment, its dashboards.
_NOT_COPIED = ("writer.lock", "done.json", "metrics.csv", "scored.json", "wandb-id")
_DASHBOARDS = ("wandb", "tensorboard", "predictions")
_SECONDS = 1.0  # between two looks at a lock


@contextmanager
def one_job_at_a_time(what: str) -> Iterator[None]:
    """Wait until no other job of this sweep is inside a block of the same name; else no lock.

    Args:
        what: name of the work.
    """
    sweep = running()
    if sweep is None:
        yield
        return
    path = sweep.journal.folder / f"{hashlib.sha256(what.encode()).hexdigest()}.lock"
    while True:
        try:
            lock = WriterLock(path)
            break
        except InUseError:
            time.sleep(_SECONDS)
    try:
        yield
    finally:
        lock.release()


def twin_of(record: StageRecord, folders: Sequence[Path]) -> Path | None:
    """A finished stage of another job that was made from the same values and files.

    Args:
        record: of the stage that is needed.
        folders: where the same stage of other jobs would be.
    """
    for folder in folders:
        other = StageRecord(folder, record.made_from, record.files, record.processes)
        try:
            if folder != record.folder and other.finished:
                return folder
        except RunMismatchError:
            continue
    return None


def copy_stage(source: Path, target: Path) -> None:
    """Copy a finished stage; `done.json` comes last, and names where it is from.

    Checkpoints are hard links where the disk has them: no process changes one in place.

    Args:
        source: folder of the finished stage.
        target: folder of the same stage of another job; what is in it is removed.

    Raises:
        StoreError: if another process writes the target.
        OutputError: if the target cannot be written.
    """
    with writing(target):
        clear(target)
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            place = file.relative_to(source)
            if place.name in _NOT_COPIED or place.parts[0] in _DASHBOARDS:
                continue
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".ckpt":
                _link(file, target / place)
            else:
                shutil.copy2(file, target / place)
        done = read_json(source / "done.json")
        write_json(target / "done.json", {**done, "copied_from": os.path.relpath(source, target)})


def _link(file: Path, target: Path) -> None:
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copy2(file, target)
