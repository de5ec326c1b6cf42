"""The manifest of a folder of predictions: what each photo got, and by which settings.

A file of JSON lines: first the settings, then a line for each photo, appended as soon as the
photo's files are complete. So a killed command loses no finished photo, and the same command
computes only what is missing. Predictions by other settings are refused, never mixed.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TextIO

from oaa_pl.errors import OutputError, RunMismatchError
from oaa_pl.files.atomic import sweep
from oaa_pl.files.json_text import parse_json
from oaa_pl.files.lock import WriterLock
from oaa_pl.runs.difference import first_difference
from oaa_pl.runs.inputs import digest_of
from oaa_pl.runs.provenance import provenance
from oaa_pl.runs.stage_folder import locked, write_text

__all__ = ["NAME", "Entry", "Manifest"]

NAME = "manifest.jsonl"

Entry = dict[str, Any]
"""A photo's line: `photo`, `sha256`, `width`, `height`, `confidence` (mean), `classes` (by name:
`id`, `pixels`, `confidence`) and `files` (by kind: `path`, `sha256`)."""

_FORMAT = 1


class Manifest:
    """The manifest of a folder; nothing is written before `add`.

    Args:
        folder: of the predictions.
        settings: plain values that determine a mask.
        classes: names of the foreground classes.

    Raises:
        RunMismatchError: if the folder has a manifest of other settings, or a damaged one.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], classes: Collection[str]) -> None:
        self.folder = folder
        # Through JSON and back, as they will be when read again.
        self.settings = json.loads(json.dumps({**settings, "classes": list(classes)}))
        self.entries: dict[str, Entry] = {}
        self._lock: WriterLock | None = None
        self._file: TextIO | None = None
        if self.path.is_file():
            self._read()

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.folder / NAME

    def has(self, photo: str, digest: str | None, kinds: Collection[str]) -> bool:
        """Whether a photo's files are complete: made from this very photo, and unchanged since.

        Args:
            photo: its name.
            digest: of the photo's file.
            kinds: of files that are needed.
        """
        entry = self.entries.get(photo)
        if entry is None or digest is None or entry["sha256"] != digest:
            return False
        files = entry["files"]
        return all(
            kind in files and digest_of(self.folder / files[kind]["path"]) == files[kind]["sha256"]
            for kind in kinds
        )

    def add(self, entry: Entry) -> None:
        """Note a photo whose files are complete.

        Raises:
            StoreError: if another process writes the folder.
            OutputError: if the folder cannot be written.
        """
        self.begin()
        self.entries[entry["photo"]] = entry
        try:
            if self._file is None:
                self._write()
                self._file = self.path.open("a", encoding="utf-8")
            else:
                self._file.write(_line(entry))
            self._file.flush()
        except OutputError:  # it names the file
            raise
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written ({error.strerror}); free disk space, or choose "
                "another folder (predict.output=...)"
            ) from error

    def begin(self) -> None:
        """Take the folder's lock, and remove what a killed process was just writing.

        Raises:
            StoreError: if another process writes the folder.
            OutputError: if the folder cannot be written.
        """
        if self._lock is None:
            self._lock = locked(self.folder)
            sweep(self.folder)

    def close(self) -> None:
        """Let go of the folder; the lines are sorted by photo, each photo once."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._write()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _write(self) -> None:
        header = {"format": _FORMAT, "settings": self.settings, "made": provenance()}
        lines = [header, *(self.entries[name] for name in sorted(self.entries))]
        write_text(self.path, "".join(map(_line, lines)))

    def _read(self) -> None:
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # the line that a killed process was just writing
        try:
            header, *entries = map(parse_json, lines)
            made, settings = header["format"], header["settings"]
            if made == _FORMAT:
                self.entries = {one["photo"]: one for one in map(_sound, entries)}
        except (ValueError, KeyError, TypeError) as error:
            raise RunMismatchError(
                f"{self.path} is damaged ({error!r}); remove it to predict every photo again"
            ) from error
        if made != _FORMAT:
            raise RunMismatchError(
                f"{self.path} has format {made!r}, this version reads {_FORMAT}; choose another "
                "folder (predict.output=...)"
            )
        if different := first_difference(settings, self.settings):
            raise RunMismatchError(
                f"{self.folder} has predictions made with {different}; choose another folder "
                "(predict.output=...), or remove this one to predict every photo again"
            )


def _sound(entry: Entry) -> Entry:
    """A photo's line; raises KeyError or TypeError if it lacks what later readers use."""
    names = {"photo": str, "sha256": str, "width": int, "height": int, "files": dict}
    for name, kind in {**names, "classes": dict}.items():
        if not isinstance(entry[name], kind):
            raise TypeError(f"{name}: {entry[name]!r}")
    entry["files"]["mask"]  # raises KeyError
    for file in entry["files"].values():
        if not isinstance(file["path"], str) or not isinstance(file["sha256"], str):
            raise TypeError(f"files: {file!r}")
    for found in entry["classes"].values():
        if not all(isinstance(found[key], int | float) for key in ("id", "pixels", "confidence")):
            raise TypeError(f"classes: {found!r}")
    return entry


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, allow_nan=False) + "\n"
