"""The record that each stage of a run keeps of how it was made.

A stage's folder has `stage.json` (what it was made from, and by which command and commit; of a
resumed stage, by those before as well), `config.yaml` (the whole resolved configuration), what it
makes, and last `done.json`. A finished stage is skipped, an interrupted one resumed, and one that
was made from something else refused. Only what holds neither a result nor a checkpoint is made
anew: a first try with a wrong value should not stand in the way.
"""

import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from oaa_pl.callbacks.checkpoint import LAST
from oaa_pl.commands.difference import first_difference
from oaa_pl.commands.provenance import provenance
from oaa_pl.errors import MissingInputError, OutputError, RunMismatchError
from oaa_pl.whole_file import put_whole

__all__ = [
    "StageRecord", "read_done", "read_files", "read_key", "sweep", "write_json", "write_text",
]  # fmt: skip

_RECORD = ("stage.json", "config.yaml")


class StageRecord:
    """The record of one stage's folder.

    Args:
        folder: the stage's folder.
        made_from: plain values that determine what the stage makes; compared when it is met again.
        files: digests of input files by what they are, such as "weights"; compared as well, but
            only where both records have one: a finished stage no longer needs its inputs.
    """

    def __init__(
        self, folder: Path, made_from: Mapping[str, Any], files: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        # Through JSON and back: tuples become lists, as they will be when read again.
        self.made_from: dict[str, Any] = json.loads(json.dumps(made_from, sort_keys=True))
        self.files = dict(files or {})
        self._started = time.time()
        self._before = 0.0

    @property
    def finished(self) -> bool:
        """Whether the stage is complete; checks that it is the same stage.

        Raises:
            RunMismatchError: if the folder was made from something else.
        """
        self._require_same()
        return (self.folder / "done.json").is_file()

    def begin(self, cfg: DictConfig, **facts: Any) -> None:
        """Make the folder and write down what is about to be made.

        What another configuration began there without any result is removed first, and so is
        what a killed process was just writing. One process of a training does this for all.

        Raises:
            RunMismatchError: if the folder was made from something else.
            OutputError: if the folder cannot be written.
        """
        self._require_same()
        if self._difference():
            shutil.rmtree(self.folder)
        sweep(self.folder)
        earlier = self._earlier()
        self._started, self._before = time.time(), sum(leg["seconds"] for leg in earlier)
        record = {"made_from": self.made_from, "files": self.files, **facts, **provenance()}
        record |= {"started": self._started, "earlier": earlier}
        write_json(self.folder / "stage.json", record)
        write_text(self.folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))

    def finish(self, **facts: Any) -> None:
        """Mark the stage complete, with its wall time and other facts.

        The time is that since `begin`, and of what was resumed, up to the last file it left.
        """
        seconds = round(self._before + time.time() - self._started, 1)
        write_json(self.folder / "done.json", {"seconds": seconds, **facts})

    def _earlier(self) -> list[dict[str, Any]]:
        """Commit, command and seconds of each process that worked here before and left a file.

        A process is taken to have worked until it left its last file. Stores do not count: they
        are opened, and touched, before it is known what there is to do.
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
            old, files = record["made_from"], dict(record.get("files", {}))
        except (ValueError, KeyError, TypeError) as error:
            raise RunMismatchError(
                f"{path} is damaged ({error!r}); remove the folder to make the stage anew"
            ) from error
        others = [name for name, sum_ in self.files.items() if files.get(name, sum_) != sum_]
        return first_difference(old, self.made_from) or (f"other {others[0]}" if others else "")

    def _require_same(self) -> None:
        kept = any((self.folder / name).is_file() for name in ("done.json", LAST))
        different = self._difference()
        if different and kept:
            raise RunMismatchError(
                f"{self.folder} was made with {different}; give the run another name "
                "(name=...), or remove the folder to make the stage anew"
            )


def sweep(folder: Path, pattern: str = "**/.*") -> None:
    """Remove the hidden files that a killed process had not yet renamed to what they became.

    Args:
        folder: where to look.
        pattern: of the hidden files; by default those of all folders below as well.
    """
    for leftover in folder.glob(pattern):
        unfinished = leftover.suffix in (".partial", ".part", ".tmp") and leftover.is_file()
        if unfinished and not _being_written(leftover):
            leftover.unlink(missing_ok=True)


def _being_written(path: Path) -> bool:
    """Whether the process whose number is in the name, if there is one, is another that lives."""
    number = path.stem.rpartition(".")[2]
    if not number.isdecimal() or int(number) == os.getpid():
        return False
    try:
        os.kill(int(number), 0)  # asks only
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def read_done(folder: Path, maker: str) -> dict[str, Any]:
    """Facts of a finished stage.

    Args:
        folder: the stage's folder.
        maker: the command that makes it, for the error.

    Raises:
        MissingInputError: if the stage is not finished.
    """
    path = folder / "done.json"
    if not path.is_file():
        raise MissingInputError(f"{folder} is not finished, or was never made; first run '{maker}'")
    facts: dict[str, Any] = json.loads(path.read_text())
    return facts


def read_files(folder: Path, stage: str) -> dict[str, str]:
    """Digests of the input files of an upstream stage, under names that say whose they are.

    Args:
        folder: the upstream stage's folder, which has been begun.
        stage: what to call it.
    """
    files = json.loads((folder / "stage.json").read_text()).get("files", {})
    return {name if " of " in name else f"{name} of {stage}": sum_ for name, sum_ in files.items()}


def read_key(folder: Path) -> dict[str, Any]:
    """What an upstream stage was made from.

    Raises:
        MissingInputError: if the stage was never begun.
    """
    path = folder / "stage.json"
    if not path.is_file():
        raise MissingInputError(f"{folder} was never made")
    key: dict[str, Any] = json.loads(path.read_text())["made_from"]
    return key


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, making its folder.

    Raises:
        OutputError: if it cannot be written.
    """
    try:
        put_whole(path, text.encode())
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); free disk space, or choose another "
            "run folder (runs=...)"
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all, making its folder.

    Raises:
        OutputError: if it cannot be written.
    """
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
