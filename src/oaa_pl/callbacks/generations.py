"""Which generation of a store each checkpoint names: what a commit must not drop.

A checkpoint names the generation that belongs to it. The trainer tells which file it wrote or
removed (`RecordedIO`), and a file in the store's folder keeps it (`NamedGenerations`): no guess
about the names, folders or suffixes of checkpoints. Copies that a user made beside a checkpoint
are found by reading them.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from oaa_pl.errors import WeightsError
from oaa_pl.store.files import write_text
from oaa_pl.store.generation import committed

__all__ = ["GENERATIONS", "NamedGenerations", "RecordedIO", "generations_in"]

log = logging.getLogger(__name__)

# Under this key a checkpoint names, for each store, the generation and the seal that belong to it.
GENERATIONS = "oaa_generations"

_FILE = "checkpoints.json"
_SUFFIX = ".ckpt"
# Stands for a checkpoint whose file the trainer has not reported yet, or never will.
_UNKNOWN = "unknown://"


class NamedGenerations:
    """The record, in a store's folder, of the checkpoints that name one of its generations.

    Paths are kept relative to the store, so that a run's folder can be moved as a whole. A file
    that is gone no longer needs its generation. One that was never seen (on a remote file system,
    or still being written) counts as present until the trainer removes it.

    Args:
        name: of the store in the checkpoints.
        store: the store's folder.
    """

    def __init__(self, name: str, store: Path) -> None:
        self.name, self.store = name, store
        self._copies: dict[tuple[str, int, int], int | None] = {}

    def writing(self, generation: int, checkpoint: str = _UNKNOWN) -> None:
        """Note that a checkpoint is about to be written; what it named until now counts too."""
        entries = self._read()
        path = self._relative(checkpoint)
        numbers = [*entries.get(path, {}).get("names", []), generation]
        self._write({**entries, path: {"names": sorted({*numbers}), "seen": False}})

    def written(self, generation: int, checkpoint: str) -> None:
        """Note that a checkpoint was written, or is there already, and names a generation."""
        path, entries = self._relative(checkpoint), self._read()
        entries.pop(_UNKNOWN, None)
        seen = self._absolute(path).exists()
        self._write({**entries, path: {"names": [generation], "seen": seen}})

    def removed(self, checkpoint: str) -> None:
        """Note that the trainer removed a checkpoint."""
        entries = self._read()
        if entries.pop(self._relative(checkpoint), None):
            self._write(entries)

    def clear(self) -> None:
        """Forget every checkpoint: the store starts again without maps."""
        (self.store / _FILE).unlink(missing_ok=True)

    def needed(self, folders: Iterable[Path] = ()) -> set[int]:
        """Generations that a checkpoint on disk names.

        Args:
            folders: more folders that may have checkpoints, beside the recorded ones.
        """
        entries = self._read()
        there = {
            path: entry
            for path, entry in entries.items()
            if not entry["seen"] or self._absolute(path).exists()
        }
        if there != entries:
            self._write(there)
        numbers = {number for entry in there.values() for number in entry["names"]}
        known = {self._absolute(path) for path in there}
        places = {*(path.parent for path in known), *folders}
        for copy in sorted(path for place in places for path in place.glob(f"*{_SUFFIX}")):
            if copy.resolve() not in known:
                numbers |= self._named_by(copy)
        return numbers

    def _named_by(self, copy: Path) -> set[int]:
        """The generation that an unrecorded file names; all generations if it is unreadable."""
        try:
            state = copy.stat()
        except OSError:
            return set()  # just removed
        key = str(copy), state.st_mtime_ns, state.st_size
        if key not in self._copies:
            try:
                self._copies[key] = generations_in(copy).get(self.name, 0)
            except WeightsError as error:
                log.warning("every generation of %s is kept: %s", self.store, error)
                self._copies[key] = None
        number = self._copies[key]
        return set(committed(self.store)) if number is None else {number}

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            entries = json.loads((self.store / _FILE).read_text())
            return {
                str(path): {"names": [int(one) for one in entry["names"]], "seen": entry["seen"]}
                for path, entry in entries.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read (%s); checkpoints are searched", _FILE, error)
            return {}

    def _write(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        write_text(self.store / _FILE, json.dumps(entries, indent=1, sort_keys=True) + "\n")

    def _relative(self, checkpoint: str) -> str:
        if "://" in checkpoint:
            return checkpoint
        return os.path.relpath(Path(checkpoint).resolve(), self.store.resolve())

    def _absolute(self, path: str) -> Path:
        return Path(path) if "://" in path else (self.store.resolve() / path).resolve()


class RecordedIO:
    """A trainer's checkpoint plugin that records which file names which generation.

    Args:
        inner: the plugin that writes and removes the files; everything else is left to it.
        named: the record of each store, by the store's name in the checkpoints.
    """

    def __init__(self, inner: Any, named: Mapping[str, NamedGenerations]) -> None:
        self.inner, self.named = inner, named

    def save_checkpoint(
        self, checkpoint: Mapping[str, Any], path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> None:
        """Write a checkpoint, recorded before and after: a crash in between keeps both."""
        names = {
            self.named[name]: found[0]
            for name, found in checkpoint.get(GENERATIONS, {}).items()
            if found is not None and name in self.named
        }
        for record, generation in names.items():
            record.writing(generation, os.fspath(path))
        self.inner.save_checkpoint(checkpoint, path, *args, **kwargs)
        for record, generation in names.items():
            record.written(generation, os.fspath(path))

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Remove a checkpoint, and its record after it."""
        self.inner.remove_checkpoint(path)
        for record in self.named.values():
            record.removed(os.fspath(path))

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # while being copied or unpickled
            raise AttributeError(name)
        return getattr(self.inner, name)


def generations_in(path: Path) -> dict[str, int]:
    """Which generation of each store a checkpoint names; none if it accumulated nothing.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        # Mapped: of a checkpoint of any size only its table of contents is read.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        named = content[GENERATIONS].items()
        return {name: found[0] for name, found in named if found is not None}
    except KeyError:
        return {}
    except Exception as error:  # torch raises almost anything at a file of another kind
        reason = (str(error) or repr(error)).splitlines()[0]
        raise WeightsError(
            f"{path} is not a readable checkpoint ({reason}), so it is unknown which generation of "
            "the stores it needs; remove it, or copy it again"
        ) from error
