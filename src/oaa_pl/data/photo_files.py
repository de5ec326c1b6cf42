"""Photos by name: which suffixes are photos, how a listed name is found, which id it has."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from oaa_pl.files.image import is_there
from oaa_pl.names import look, same_text

__all__ = ["PHOTO_SUFFIXES", "Found", "NamedFiles", "find_photo", "image_id", "list_photos"]

# In lower case, the first wins where a name is given without one. Every command reads these.
PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif", ".jpe",
)  # fmt: skip


class Found(NamedTuple):
    """A file that a name means.

    Attributes:
        path: of the file, as it is on disk.
        name: the file's path below the folder, its suffix included, spelled as it was asked for:
            the same on every machine, whichever encoding of accents its disk has.
    """

    path: Path
    name: str


class NamedFiles:
    """The files of a folder, found by names that people wrote.

    A name matches whatever the case of its suffix, and in either encoding of accents (NFC as most
    keyboards type, NFD as some disks keep). The exact name always wins.

    Args:
        folder: where to look; it is listed only if an exact name is not there.
        suffixes: what a name without suffix may end with, in lower case, the best first.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str] = PHOTO_SUFFIXES) -> None:
        self.folder, self.suffixes = folder, tuple(suffixes)
        self._listed: dict[Path, tuple[Path, ...]] = {}

    def find(self, name: str) -> Found | None:
        r"""The file that `name` means.

        Args:
            name: a path below the folder, with or without its suffix; `\` may stand for `/`.

        Returns:
            The file, or None if there is none.
        """
        found = self._find(name)
        if found is None and "\\" in name:  # a list that was written on Windows
            found = self._find(name.replace("\\", "/"))
        return found

    def like(self, name: str) -> str | None:
        """A file that `name` may have meant, for an error's advice: other case, other suffix."""
        asked = Path(name.replace("\\", "/"))
        wanted = {look(asked.name), look(self._bare(asked.name))}
        for entry in self._entries(self.folder / asked.parent):
            if look(self._bare(entry.name)) in wanted and entry.suffix.lower() in self.suffixes:
                return str(entry.relative_to(self.folder))
        return None

    def _find(self, name: str) -> Found | None:
        for candidate in self._candidates(name):
            if is_there(self.folder / candidate):
                # Through Path, as `./a` and `a` are one name.
                path = self.folder / candidate
                return Found(path, str(path.relative_to(self.folder)))
        return self._alike(name)

    def _candidates(self, name: str) -> Iterator[str]:
        if Path(name).suffix.lower() in self.suffixes:
            yield name
        for suffix in self.suffixes:
            yield name + suffix
            yield name + suffix.upper()

    def _alike(self, name: str) -> Found | None:
        *folders, last = Path(name).parts or ("",)
        folder = self.folder
        for part in folders:
            inner = next((e for e in self._entries(folder) if _same(e.name, part)), None)
            if inner is None:
                return None
            folder = inner
        whole = Path(last).suffix.lower() in self.suffixes
        for entry in self._entries(folder):
            suffix = entry.suffix.lower()
            if whole and suffix == Path(last).suffix.lower() and _same(entry.stem, Path(last).stem):
                return Found(entry, str(Path(name))) if entry.is_file() else None
        for suffix in self.suffixes:
            for entry in self._entries(folder):
                if entry.suffix.lower() == suffix and _same(entry.stem, last) and entry.is_file():
                    return Found(entry, str(Path(name)) + entry.suffix)
        return None

    def _entries(self, folder: Path) -> tuple[Path, ...]:
        if folder not in self._listed:
            try:
                self._listed[folder] = tuple(sorted(folder.iterdir()))
            except (OSError, ValueError):
                self._listed[folder] = ()
        return self._listed[folder]

    def _bare(self, name: str) -> str:
        path = Path(name)
        return path.stem if path.suffix.lower() in self.suffixes else name


def list_photos(folder: Path) -> list[Path]:
    """Every photo of a folder and its subfolders, by suffix, sorted by path.

    Args:
        folder: where to look; a folder that does not exist has no photos.

    Returns:
        The paths, `folder` included. Hidden files and folders are passed over.
    """
    found = (p for p in folder.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file())
    return sorted(p for p in found if not any(s[0] == "." for s in p.relative_to(folder).parts))


def find_photo(folder: Path, name: str) -> Path | None:
    """The photo that a split or a tag file means by `name`; for many names use `NamedFiles`.

    Args:
        folder: where the photos lie.
        name: the photo's path below `folder`, with or without its suffix.

    Returns:
        Its path, or None if there is none. Without a suffix, `.jpg` wins over the other formats.
    """
    found = NamedFiles(folder).find(name)
    return None if found is None else found.path


def image_id(name: str) -> str:
    """An id that is safe as a file name: the path below the photo folder without its suffix.

    Args:
        name: the photo's path below its folder, with or without its suffix.

    Returns:
        The id; folders are joined by `__`.

    Example:
        >>> image_id("cats/one.v2.JPG"), image_id("2007_000032")
        ('cats__one.v2', '2007_000032')
    """
    path = Path(name)
    stem = path.with_suffix("") if path.suffix.lower() in PHOTO_SUFFIXES else path
    return "__".join(stem.parts)


def _same(one: str, other: str) -> bool:
    return same_text(one) == same_text(other)
