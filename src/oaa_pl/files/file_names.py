"""Check that image ids can be file names, before the first stage makes any."""

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
    """Refuse ids that are too long for a file name, or that the disk does not tell apart.

    Args:
        ids: of images; each names files `<id>.png`.
        folder: where the files will go; it need not exist yet.

    Raises:
        ConfigError: names the first id that cannot be used.
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
    """The folder, or its nearest parent that exists."""
    absolute = folder.absolute()
    return next((one for one in (absolute, *absolute.parents) if one.is_dir()), Path("/"))


def _limit(place: Path) -> int:
    try:
        return os.pathconf(place, "PC_NAME_MAX")
    except (OSError, ValueError):
        return LONGEST_NAME  # the system does not know


def _one_file(place: Path, one: str, other: str) -> bool:
    """Whether two names are one file on this disk, by trying; False where writing is forbidden."""
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".names-") as trial:
            (Path(trial) / one).touch()
            return (Path(trial) / other).exists()
    except OSError:
        return False
