"""`differences.csv`: paired differences between the segmenters of a run, with 95 % intervals.

Its rows are the paper's effects (section 4.3), and those of our controls. They are made of
`confusion.npz`, which `oaa evaluate evaluate.by_photo=true` writes beside a segmenter's scores.

Shapes: N photos, C foreground classes.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oaa_pl.errors import RunMismatchError
from oaa_pl.files.atomic import write_whole
from oaa_pl.files.csv_text import csv_text
from oaa_pl.metrics.bootstrap import difference, resampled
from oaa_pl.report.paper import EFFECTS

__all__ = ["COLUMNS", "PAIRS", "read_counts", "write_counts", "write_differences"]

PAIRS = (
    *((effect.better, effect.baseline) for effect in EFFECTS),
    ("oaa_plus_hybrid", "cam"),
    ("oaa_plus_hybrid", "tags_hard"),
    ("cam", "tags_hard"),
    ("cam_probability", "cam"),
    ("oaa_plus_hybrid", "cam_probability"),
    ("masks", "oaa_plus_hybrid"),
)
"""Methods that are compared: the first one minus the second one."""

COLUMNS = (
    "variant", "split", "method", "minus", "difference", "low", "high", "seeds", "by_seed",
)  # fmt: skip
_FILE = "confusion.npz"


class _Group(NamedTuple):
    """Segmenters that may be compared: of one variant of a run, on the same photos."""

    variant: str
    split: str
    data: str
    suffix: str


def write_counts(folder: Path, ids: Iterable[str], confusion: NDArray[np.int64]) -> None:
    """Write the confusion matrix of every photo, whole or not at all.

    Args:
        folder: of a segmenter's scores.
        ids: of the photos, N.
        confusion: pixels counted by (truth, prediction), (N, C + 1, C + 1).

    Raises:
        OutputError: if it cannot be written.
    """
    content = io.BytesIO()
    np.savez_compressed(content, ids=np.array([*ids]), confusion=confusion)
    write_whole(folder / _FILE, content.getvalue())


def read_counts(folder: Path) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """What `write_counts` wrote: ids and confusion matrices.

    Raises:
        RunMismatchError: if the file is damaged.
    """
    try:
        content = io.BytesIO((folder / _FILE).read_bytes())
        with np.load(content, allow_pickle=False) as found:
            return tuple(map(str, found["ids"])), found["confusion"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RunMismatchError(
            f"{folder / _FILE} cannot be read ({error}); remove {folder / 'scored.json'} and run "
            "'oaa evaluate evaluate.by_photo=true' again"
        ) from error


def write_differences(home: Path) -> Path | None:
    """Compare the segmenters of a run whose scores have counts by photo.

    Args:
        home: folder of all seeds and variants of a run.

    Returns:
        The table; None, and no table is written, if no two methods can be compared.

    Raises:
        RunMismatchError: if a file of counts is damaged, or two seeds have other photos.
        OutputError: if the table cannot be written.
    """
    groups: dict[_Group, dict[str, dict[int, NDArray[np.int64]]]] = {}
    photos: dict[_Group, tuple[str, ...]] = {}
    for path in sorted(home.glob(f"**/seed-*/segmenter/*/{_FILE}")):
        scored = path.with_name("scored.json")
        if not scored.is_file():
            continue  # its scores are being taken
        how = json.loads(scored.read_text())
        method, _, suffix = path.parent.name.partition("-")
        run = path.parents[2]
        variant = run.parent.relative_to(home).as_posix()
        group = _Group(variant.removeprefix("."), how["split"], how["data"], suffix)
        ids, confusion = read_counts(path.parent)
        if photos.setdefault(group, ids) != ids:
            raise RunMismatchError(f"{path} has other photos than other seeds have; score again")
        seed = int(re.sub("^seed-", "", run.name))
        groups.setdefault(group, {}).setdefault(method, {})[seed] = confusion
    rows = [row for group, methods in groups.items() for row in _rows(group, methods)]
    if not rows:
        return None
    write_whole(home / "differences.csv", csv_text(COLUMNS, rows).encode())
    return home / "differences.csv"


def _rows(
    group: _Group, methods: dict[str, dict[int, NDArray[np.int64]]]
) -> Iterable[tuple[str | int, ...]]:
    drawn: dict[tuple[str, tuple[int, ...]], NDArray[np.float64]] = {}
    suffix = f"-{group.suffix}" * bool(group.suffix)
    for pair in PAIRS:
        seeds = tuple(sorted({*methods.get(pair[0], {})} & {*methods.get(pair[1], {})}))
        if not seeds:
            continue
        ours, theirs = ({seed: methods[name][seed] for seed in seeds} for name in pair)
        for name, counts in zip(pair, (ours, theirs), strict=True):
            if (name, seeds) not in drawn:
                drawn[name, seeds] = resampled(counts)
        one = difference(ours, theirs, (drawn[pair[0], seeds], drawn[pair[1], seeds]))
        yield (
            group.variant, group.split, pair[0] + suffix, pair[1] + suffix,
            *(f"{value:+.2f}" for value in (one.mean, one.low, one.high)), len(seeds),
            " ".join(f"{value:+.2f}" for value in one.by_seed.values()),
        )  # fmt: skip
