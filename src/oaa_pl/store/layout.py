"""What a store is made of: its header, its pairs, its per-row record, its files.

    <store>/header.json            what the maps mean, which data set they belong to, its checksum
    <store>/images.txt             one image a line: id, then its classes; rows follow this order
    <store>/writer.lock            held by the one process that may commit
    <store>/live/rank-<r>.state    a rank's working maps since the last commit; never read back
    <store>/generations/<g>/       one committed, immutable state: state.npy, rows.npy, seal.json

Only a generation that was renamed into place exists, so a reader sees a whole one or none.

Shapes: N images, C foreground classes, R rows (present pairs), h x w cells of the grid.
"""

import json
import zlib
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oaa_pl.attention.fusion import FUSIONS, Fusion
from oaa_pl.errors import StoreError, StoreMismatchError

__all__ = ["ORIGIN_ACCEPTED", "ORIGIN_FALLBACK", "ORIGIN_NONE", "ROW", "Header", "Pairs"]

FORMAT = "oaa_pl attention store"
VERSION = 1

ORIGIN_NONE, ORIGIN_ACCEPTED, ORIGIN_FALLBACK = 0, 1, 2

# What is known of each row. The checksum, set by a commit, is that of the row's state and of the
# fields before it: a flipped bit in either file of a generation can be traced to its row.
ROW = np.dtype(
    [("updates", "<u4"), ("last_epoch", "<i4"), ("origin", "u1"), ("checksum", "<u4")], align=False
)


@dataclass(frozen=True)
class Pairs:
    """The present (image, class) pairs of a data set, and the row of each.

    Args:
        ids: image ids, N of them, in the data set's order.
        classes: foreground class names, C of them.
        labels: whether the class is in the image, (N, C).

    Raises:
        StoreError: if the labels are not (N, C), or an id or class name contains white space or
            comes twice.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.bool_]

    def __post_init__(self) -> None:
        expected = (len(self.ids), len(self.classes))
        if self.labels.shape != expected:
            raise StoreError(f"labels must be {expected} (N, C), got {self.labels.shape}")
        for word in (*self.ids, *self.classes):
            if word.split() != [word]:
                raise StoreError(
                    f"image ids and class names must be words without white space, got {word!r}; "
                    "rename it"
                )
        for words in (self.ids, self.classes):
            if len(set(words)) < len(words):
                twice = next(word for word in words if words.count(word) > 1)
                raise StoreError(f"image ids and class names must differ, got {twice!r} twice")

    @cached_property
    def row_of(self) -> NDArray[np.int64]:
        """Row of each pair, -1 where the class is absent: (N, C)."""
        present = self.labels.astype(bool)
        rows = np.full(present.shape, -1, dtype=np.int64)
        rows[present] = np.arange(present.sum())
        return rows

    @cached_property
    def pairs(self) -> NDArray[np.int64]:
        """(image index, class) of each row: (R, 2)."""
        return np.argwhere(self.labels)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over ids, classes and labels: the same data set, whatever its folder."""
        return sha256(json.dumps([self.classes, self.text()]).encode()).hexdigest()

    def text(self) -> str:
        """The lines of `images.txt`."""
        rows = (
            " ".join([name, *(self.classes[c] for c in np.flatnonzero(present))])
            for name, present in zip(self.ids, self.labels, strict=True)
        )
        return "".join(f"{row}\n" for row in rows)

    @classmethod
    def parse(cls, text: str, classes: tuple[str, ...], path: Path) -> Self:
        """Read `images.txt` back.

        Raises:
            StoreError: if a line names no id or an unknown class, then with file and line; or if
                the pairs are none.
        """
        place = {name: c for c, name in enumerate(classes)}
        lines = text.split("\n")
        if lines.pop():
            raise StoreError(f"{path} is damaged: its last line has no end; restore it")
        labels = np.zeros((len(lines), len(classes)), dtype=bool)
        ids: list[str] = []
        for n, line in enumerate(lines):
            name, *present = line.split(" ")
            if not name or not all(word in place for word in present):
                raise StoreError(f"{path}:{n + 1}: not an image id and known classes: {line!r}")
            ids.append(name)
            labels[n, [place[word] for word in present]] = True
        try:
            return cls(tuple(ids), classes, labels)
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error

    def require_same(self, other: "Pairs", path: Path) -> None:
        """Refuse another data set's pairs, naming the first difference.

        Raises:
            StoreMismatchError: if classes, ids, their order or their labels differ.
        """
        if self.fingerprint == other.fingerprint:
            return
        if self.classes != other.classes:
            what = f"classes are {self.classes}, the data set's are {other.classes}"
        else:
            mine, theirs = self.text().splitlines(), other.text().splitlines()
            n = next(
                (n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b),
                min(len(mine), len(theirs)),
            )
            here, there = (rows[n] if n < len(rows) else "nothing" for rows in (mine, theirs))
            what = f"image {n} is {here!r}, the data set's is {there!r}"
        raise StoreMismatchError(
            f"{path} belongs to another data set: its {what}; give another store folder"
        )


@dataclass(frozen=True)
class Header:
    """What the maps of a store mean; two stores with equal headers may be merged or resumed.

    Args:
        classes: foreground class names.
        fingerprint: of the data set, see `Pairs.fingerprint`.
        grid: cells (h, w) of every map.
        fusion: name of the fusion rule, a key of `FUSIONS`.
        gate: name of the rule that accepts maps.
        first_epoch: first epoch that was accumulated.
        normalisation: name of the function that turns score maps into attention.
    """

    classes: tuple[str, ...]
    fingerprint: str
    grid: tuple[int, int]
    fusion: str
    gate: str = "none"
    first_epoch: int = 0
    normalisation: str = "class_attention"

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise StoreError(f"fusion must be one of {sorted(FUSIONS)}, got {self.fusion!r}")
        if [type(side) is int and 0 < side <= 4096 for side in self.grid] != [True, True]:
            raise StoreError(f"grid must be (h, w) of 1 to 4096 cells each, got {self.grid}")

    @property
    def rule(self) -> Fusion:
        """The fusion rule itself."""
        return FUSIONS[self.fusion]

    def state_shape(self, rows: int) -> tuple[int, int, int, int]:
        """Shape of the state of that many rows: (R, planes, h, w)."""
        return (rows, self.rule.planes, *self.grid)

    def dump(self) -> str:
        """JSON text of `header.json`, its own checksum in it."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        content["crc32"] = zlib.crc32(json.dumps(content).encode())
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def parse(cls, text: str, path: Path) -> Self:
        """Read `header.json` back.

        Raises:
            StoreError: if the text is not a header, is damaged, or of a newer version.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            kind, version = raw.pop("format"), raw.pop("version")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(f"{path} is not a store header: {error!r}; restore it") from error
        if kind != FORMAT or not isinstance(version, int) or version < 1:
            raise StoreError(f"{path} is not a store header: format {kind!r}, version {version!r}")
        if version > VERSION:
            raise StoreError(
                f"{path} has store version {version}, this package reads up to {VERSION}; upgrade"
            )
        try:
            raw.pop("crc32")
            raw["classes"], raw["grid"] = tuple(raw["classes"]), tuple(raw["grid"])
            names = [raw[key] for key in ("fingerprint", "fusion", "gate", "normalisation")]
            if {type(name) for name in (*raw["classes"], *names)} != {str}:
                raise TypeError("class names, fingerprint and names of rules must be text")
            if {type(number) for number in (*raw["grid"], raw["first_epoch"])} != {int}:
                raise TypeError("grid and first_epoch must be whole numbers")
            header = cls(**raw)
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from error
        except (KeyError, TypeError) as error:
            raise StoreError(f"{path} is not a store header: {error}; restore it") from error
        if text != header.dump():
            raise StoreError(f"{path} is damaged: its checksum is not its content's; restore it")
        return header

    def require_same(self, other: "Header", path: Path) -> None:
        """Refuse maps that were accumulated under another rule.

        Raises:
            StoreMismatchError: naming the first field that differs.
        """
        for field in fields(self):
            mine, wanted = getattr(self, field.name), getattr(other, field.name)
            if mine != wanted:
                raise StoreMismatchError(
                    f"{path} was made with {field.name}={mine!r}, asked for {wanted!r}; "
                    "give another store folder, or the same configuration"
                )
