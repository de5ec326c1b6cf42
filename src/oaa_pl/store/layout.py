"""What a store is made of: its header, its pairs, its per-row record, its files.

    <store>/header.json            what the maps mean, which data set they belong to, its checksum
    <store>/images.txt             one image a line, rows follow this order: see `store.pairs`
    <store>/writer.lock            held by the one process that may commit
    <store>/live/rank-<r>.state    a rank's working maps since the last commit; never read back
    <store>/generations/<g>/       one committed, immutable state: state.npy, rows.npy, seal.json;
                                   of a large store also files of changes: see `store.changes`

Only a generation that was renamed into place exists, so a reader sees a whole one or none.

Shapes: N images, C foreground classes, R rows (present pairs), h x w cells of the grid.
"""

import json
import operator
import zlib
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from oaa_pl.attention import fusion_beyond_paper  # noqa: F401  # makes its rules known by name
from oaa_pl.attention.fusion import Fusion, fusion_named
from oaa_pl.errors import ConfigError, StoreError, StoreMismatchError
from oaa_pl.store.image_ids import texts
from oaa_pl.store.pairs import CHANGES, VERSION, Pairs

__all__ = ["ORIGIN_ACCEPTED", "ORIGIN_FALLBACK", "ORIGIN_NONE", "ROW", "Header", "Pairs"]

FORMAT = "oaa_pl attention store"

ORIGIN_NONE, ORIGIN_ACCEPTED, ORIGIN_FALLBACK = 0, 1, 2

# What is known of each row. The checksum, set by a commit, is that of the row's state and of the
# fields before it: a flipped bit in either file of a generation can be traced to its row.
ROW = np.dtype(
    [("updates", "<u4"), ("last_epoch", "<i4"), ("origin", "u1"), ("checksum", "<u4")], align=False
)


@dataclass(frozen=True)
class Header:
    """What the maps of a store mean; two stores with equal headers may be merged or resumed.

    Lists, arrays and numbers of numpy are taken as what they hold, so that a header equals the one
    that is read back.

    Args:
        classes: foreground class names.
        fingerprint: of the data set, see `Pairs.fingerprint`.
        grid: cells (h, w) of every map.
        fusion: label of the fusion rule: see `attention.fusion.fusion_named`.
        gate: name of the rule that accepts maps.
        first_epoch: first epoch that was accumulated.
        normalisation: name of the function that turns score maps into attention.
        version: of the store's format, which names and generations decide: see `store.pairs`.

    Raises:
        StoreError: if the fusion is unknown, or the grid or `first_epoch` is not valid.
    """

    classes: tuple[str, ...]
    fingerprint: str
    grid: tuple[int, int]
    fusion: str
    gate: str = "none"
    first_epoch: int = 0
    normalisation: str = "class_attention"
    version: int = field(default=1, compare=False)

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "fusion", fusion_named(self.fusion).label)
        except ConfigError as error:
            raise StoreError(str(error)) from error
        object.__setattr__(self, "classes", texts("classes", self.classes))
        object.__setattr__(self, "grid", _grid(self.grid))
        object.__setattr__(self, "first_epoch", _whole("first_epoch", self.first_epoch))

    @cached_property  # every update asks for it
    def rule(self) -> Fusion:
        """The fusion rule itself."""
        return fusion_named(self.fusion)

    def state_shape(self, rows: int) -> tuple[int, int, int, int]:
        """Shape of the state of that many rows: (R, planes, h, w)."""
        return (rows, self.rule.planes, *self.grid)

    def is_of(self, pairs: Pairs) -> bool:
        """Whether the store is of these pairs, and of a version that their names need."""
        versions = pairs.version, pairs.version + CHANGES
        return self.fingerprint == pairs.fingerprint and self.version in versions

    def dump(self) -> str:
        """JSON text of `header.json`, its own checksum in it."""
        # `version` comes second, as it always has, with the value of its field.
        content = {"format": FORMAT, "version": self.version, **asdict(self)}
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
        if kind != FORMAT or type(version) is not int or version < 1:
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
            header = cls(**raw, version=version)
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
        for known in fields(self):
            mine, wanted = getattr(self, known.name), getattr(other, known.name)
            if known.compare and mine != wanted:
                raise StoreMismatchError(
                    f"{path} was made with {known.name}={mine!r}, requested {wanted!r}; "
                    "give another store folder, or the same configuration"
                )


def _grid(sides: Any) -> tuple[int, int]:
    """Cells (h, w) as numbers of Python, from a tuple, a list, an array or a generator."""
    found = sides
    try:
        found = tuple(sides)
        height, width = (_whole("grid", side) for side in found)
        if 0 < height <= 4096 and 0 < width <= 4096:
            return height, width
    except (TypeError, ValueError, StoreError):
        pass  # no list, not two of them, not whole
    raise StoreError(f"grid must be (h, w) of 1 to 4096 cells each, got {found!r}")


def _whole(name: str, value: Any) -> int:
    """A whole number of Python, numpy or torch; True is refused."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError("a truth value")
        return operator.index(value)
    except TypeError as error:
        raise StoreError(f"{name} must be a whole number, got {value!r}") from error
