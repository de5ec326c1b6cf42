"""Whether a run can name its files by the images' ids: asked before the first stage."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from oaa_pl.errors import ConfigError
from oaa_pl.files.atomic import LONGEST_NAME
from oaa_pl.names import look

__all__ = ["require_file_names"]

_ENDING = ".png"


def require_file_names(ids: Sequence[str], folder: Path) -> None:
    """Refuse ids that are too long for a file's name, or that the disk takes for one another.

    Args:
        ids: of images; each names files `<id>.png`.
        folder: where the files will go; need not be there yet.

    Raises:
        ConfigError: with the first id that will not do.
    """
    place = _nearest(folder)
    limit = _limit(place) - len(_ENDING)
    for name in ids:
        length = len(os.fsencode(name))
        if length > limit:
            raise ConfigError(
                f"the image {name[:40]!r}... makes a file name of {length + len(_ENDING)} bytes "
                f"(folders are part of it), at most {limit + len(_ENDING)} are allowed in {place}: "
                "rename the photo or its folders"
            )
    seen: dict[str, str] = {}
    for name in ids:
        other = seen.setdefault(look(name), name)
        if other != name and _one_file(place, other, name):
            raise ConfigError(
                f"the images {other!r} and {name!r} are one file name on the disk of {place}: "
                "rename one of them, or choose another disk (runs=...)"
            )


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    absolute = folder.absolute()
    return next((one for one in (absolute, *absolute.parents) if one.is_dir()), Path("/"))


def _limit(place: Path) -> int:
    try:
        return os.pathconf(place, "PC_NAME_MAX")
    except (OSError, ValueError):
        return LONGEST_NAME  # where the system does not say


def _one_file(place: Path, one: str, other: str) -> bool:
    """Whether the disk takes two names for one; tried out, and where that is forbidden, no."""
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".names-") as trial:
            (Path(trial) / one).touch()
            return (Path(trial) / other).exists()
    except OSError:
        return False
