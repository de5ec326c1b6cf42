"""The record that each stage of a run keeps of how it was made.

A stage's folder has `stage.json` (what it was made from, and by which command and commit; for a
resumed stage, also the earlier ones), `config.yaml` (the whole resolved configuration), what it
makes, and last `done.json`. A finished stage is skipped, an interrupted one resumed, and one that
was made from something else refused. A folder without a result and without a checkpoint is made
again, so that a mistyped first run does not block the next.

The process that writes the folder holds its lock, `writer.lock`. The lock is free again when the
process ends or is killed.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.trainer_key import recorded_trainer
from oaa_pl.errors import MissingInputError, RunMismatchError
from oaa_pl.files.atomic import sweep
from oaa_pl.files.lock import WriterLock
from oaa_pl.runs.difference import first_difference
from oaa_pl.runs.provenance import provenance
from oaa_pl.runs.renamed import today
from oaa_pl.runs.stage_folder import (
    LOCK,
    clear,
    damaged,
    locked,
    read_json,
    write_json,
    write_text,
    writing,
)

__all__ = [
    "StageRecord", "read_done", "read_files", "read_key", "write_json", "write_text",
    "writing",
]  # fmt: skip

_RECORD = ("stage.json", "config.yaml", LOCK)


class StageRecord:
    """The record of one stage's folder; as a context, it releases the folder's lock at its end.

    Args:
        folder: the stage's folder.
        made_from: plain values that determine what the stage makes; compared at the next run.
        files: digests of input files by what they are, such as "weights"; compared as well, but
            only where both records have one: a finished stage no longer needs its inputs.
        processes: number of processes that train the stage, if known: it multiplies the batch size.
            Compared if both records have it.
    """

    def __init__(
        self,
        folder: Path,
        made_from: Mapping[str, Any],
        files: Mapping[str, str] | None = None,
        processes: int | None = None,
    ) -> None:
        self.folder = folder
        self.processes = processes
        # Through JSON and back: tuples become lists, as they will be when read again.
        self.made_from: dict[str, Any] = json.loads(json.dumps(made_from, sort_keys=True))
        self.files = dict(files or {})
        self._started = time.time()
        self._before = 0.0
        self._facts: dict[str, Any] = {}
        self._lock: WriterLock | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    @property
    def finished(self) -> bool:
        """Whether the stage is complete; checks that it is the same stage.

        Raises:
            RunMismatchError: if the folder was made from something else.
        """
        self.require_same()
        return (self.folder / "done.json").is_file()

    def begin(self, config: str, **facts: Any) -> None:
        """Make the folder, take its lock, and write down what is about to be made.

        First it removes files of another configuration that has no result there, and half-written
        files of a killed process. One process of a training does this for all.

        Args:
            config: the resolved configuration as YAML, kept beside the record.
            **facts: further values of the record.

        Raises:
            RunMismatchError: if the folder was made from something else.
            StoreError: if another process writes the folder.
            OutputError: if the folder cannot be written.
        """
        self.require_same()
        if self._lock is None:
            self._lock = locked(self.folder)
        if self._difference():
            clear(self.folder)
        sweep(self.folder)
        earlier = self._earlier()
        self._started, self._before = time.time(), sum(leg["seconds"] for leg in earlier)
        record = {"made_from": self.made_from, "files": self.files, **facts, **provenance()}
        record |= {"started": self._started, "earlier": earlier}
        if self.processes is not None:
            record["processes"] = self.processes
        write_json(self.folder / "stage.json", record)
        write_text(self.folder / "config.yaml", config)

    @property
    def stopped(self) -> bool:
        """Whether this training stopped before its planned length and is not to be resumed."""
        return "stopped" in self._facts

    def add(self, **facts: Any) -> None:
        """Facts to be kept when the stage is finished."""
        self._facts |= facts

    def finish(self, **facts: Any) -> None:
        """Mark the stage complete, with its wall time and other facts, and release its lock.

        The time runs from `begin`; for a resumed stage, earlier processes count up to the last
        file that each left.
        """
        seconds = round(self._before + time.time() - self._started, 1)
        write_json(self.folder / "done.json", {"seconds": seconds, **self._facts, **facts})
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _earlier(self) -> list[dict[str, Any]]:
        """Commit, command and seconds of each process that worked here before and left a file.

        A process counts as working until its last file. Stores do not count: they
        are opened, and their files changed, before it is known what there is to do.
        """
        try:
            record = json.loads((self.folder / "stage.json").read_text())
            started = float(record["started"])
            earlier = list(record["earlier"])
        except (OSError, ValueError, KeyError, TypeError):
            return []  # nothing, or an older package's record
        files = (p.relative_to(self.folder) for p in self.folder.rglob("*") if p.is_file())
        made = [self.folder / p for p in files if p.name not in _RECORD and p.parts[0] != "store"]
        seconds = round(max((p.stat().st_mtime for p in made), default=started) - started, 1)
        if seconds <= 0:
            return earlier
        leg = {name: record.get(name) for name in ("commit", "command", "versions")}
        return [*earlier, {**leg, "seconds": seconds}]

    def _difference(self) -> str:
        """In what the folder's stage differs from this one; empty if it does not, or is absent."""
        path = self.folder / "stage.json"
        if not path.is_file():
            return ""
        try:
            record = json.loads(path.read_text())
            old, files = today(dict(record["made_from"])), dict(record.get("files", {}))
            processes = record.get("processes")
        except (ValueError, KeyError, TypeError) as error:
            raise RunMismatchError(damaged(path, repr(error))) from error
        if "precision" in old and not {"trainer", "processes"} & {*old, *record}:
            # A training's; an older package's key has no more of the trainer than that.
            trainer, asked = recorded_trainer(self.folder)
            old, processes = {**old, **trainer}, processes or asked
        if different := first_difference(old, self.made_from):
            return different
        others = [name for name, sum_ in self.files.items() if files.get(name, sum_) != sum_]
        if others:
            return f"other {others[0]}"
        if self.processes is not None and processes not in (None, self.processes):
            return f"trainer.devices for {processes} processes, requested {self.processes}"
        return ""

    def require_same(self) -> None:
        """Check that the folder has no result and no checkpoint of another stage.

        Raises:
            RunMismatchError: if it is.
        """
        kept = any((self.folder / name).is_file() for name in ("done.json", LAST))
        different = self._difference()
        if different and kept:
            raise RunMismatchError(
                f"{self.folder} was made with {different}; give the run another name "
                "(name=...), or remove the folder to make the stage again"
            )


def read_done(folder: Path, maker: str) -> dict[str, Any]:
    """Facts of a finished stage.

    Args:
        folder: the stage's folder.
        maker: the command that makes it, for the error.

    Raises:
        MissingInputError: if the stage is not finished.
        RunMismatchError: if its record is damaged.
    """
    path = folder / "done.json"
    if not path.is_file():
        raise MissingInputError(f"{folder} is not finished, or was never made; first run '{maker}'")
    return read_json(path)


def read_files(folder: Path, stage: str) -> dict[str, str]:
    """Digests of the input files of an upstream stage, under names that say whose they are.

    Args:
        folder: the upstream stage's folder, which has been begun.
        stage: what to call it.

    Raises:
        RunMismatchError: if its record is missing or damaged.
    """
    files = read_json(folder / "stage.json").get("files", {})
    return {name if " of " in name else f"{name} of {stage}": sum_ for name, sum_ in files.items()}


def read_key(folder: Path) -> dict[str, Any]:
    """What an upstream stage was made from.

    Raises:
        MissingInputError: if the stage was never begun.
        RunMismatchError: if its record is damaged.
    """
    path = folder / "stage.json"
    if not path.is_file():
        raise MissingInputError(f"{folder} was never made")
    key: Any = read_json(path).get("made_from")
    if not isinstance(key, dict):
        raise RunMismatchError(damaged(path, f"made_from is {key!r}"))
    renamed: dict[str, Any] = today(key)
    return renamed
