"""The files of a folder of new photos."""

import logging
from collections.abc import Iterator
from pathlib import Path

__all__ = ["files_below"]

log = logging.getLogger(__name__)


def files_below(photos: Path, output: Path) -> Iterator[Path]:
    """Every file below a folder, links followed, sorted; hidden ones and `output` left out.

    A folder that cannot be read, or that a link leads round to, is named in the log.

    Args:
        photos: the folder.
        output: a folder below it to leave out, resolved.
    """

    def walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
        real = folder.resolve()
        if real == output:  # the output of an earlier call, among the photos
            return
        if real in above:
            log.warning("skipped: %s is a link back to %s, which is read already", folder, real)
            return
        try:
            found = sorted(folder.iterdir())
        except OSError as error:
            log.warning("skipped: folder %s cannot be read (%s)", folder, error.strerror)
            return
        for path in found:
            if path.name.startswith("."):
                continue
            if path.is_dir():
                yield from walk(path, (*above, real))
            elif path.is_file() or path.is_symlink():  # a broken link is named when it is opened
                yield path
            else:
                log.warning("skipped: %s is neither a file nor a folder", path)

    return walk(photos, ())
