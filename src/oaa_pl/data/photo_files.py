"""Find photos by name: suffixes of photos, names in lists, ids."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from oaa_pl.files.image import is_there
from oaa_pl.names import look, same_text

__all__ = ["PHOTO_SUFFIXES", "Found", "NamedFiles", "find_photo", "image_id", "list_photos"]

# In lower case. For a name without a suffix, the first one that exists wins.
PHOTO_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif", ".jpe",
)  # fmt: skip


class Found(NamedTuple):
    """A file found by name.

    Attributes:
        path: of the file, as on disk.
        name: path below the folder, with suffix, spelled as in the list: the same on every
            machine, with any encoding of accents on disk.
    """

    path: Path
    name: str


class NamedFiles:
    """Find the files of a folder by names from a list.

    A name matches with any case of its suffix and with either encoding of accents (NFC from most
    keyboards, NFD on some file systems). An exact match always wins.

    Args:
        folder: folder to search; it is listed only if there is no exact match.
        suffixes: possible suffixes of a name without one, in lower case, best first.
    """

    def __init__(self, folder: Path, suffixes: Sequence[str] = PHOTO_SUFFIXES) -> None:
        self.folder, self.suffixes = folder, tuple(suffixes)
        self._listed: dict[Path, tuple[Path, ...]] = {}

    def find(self, name: str) -> Found | None:
        r"""Find the file for `name`.

        Args:
            name: a path below the folder, with or without its suffix; `\` may stand for `/`.

        Returns:
            The file; None if it does not exist.
        """
        found = self._find(name)
        if found is None and "\\" in name:  # a list that was written on Windows
            found = self._find(name.replace("\\", "/"))
        return found

    def like(self, name: str) -> str | None:
        """A file with a similar name (other case, other suffix), for the advice in an error."""
        asked = Path(name.replace("\\", "/"))
        wanted = {look(asked.name), look(self._bare(asked.name))}
        for entry in self._entries(self.folder / asked.parent):
            if look(self._bare(entry.name)) in wanted and entry.suffix.lower() in self.suffixes:
                return str(entry.relative_to(self.folder))
        return None

    def _find(self, name: str) -> Found | None:
        for candidate in self._candidates(name):
            if is_there(self.folder / candidate):
                # Path makes `./a` and `a` the same name.
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
        folder: folder to search; one that does not exist has no photos.

    Returns:
        The paths, `folder` included. Hidden files and folders are skipped.
    """
    found = (p for p in folder.rglob("*") if p.suffix.lower() in PHOTO_SUFFIXES and p.is_file())
    return sorted(p for p in found if not any(s[0] == "." for s in p.relative_to(folder).parts))


def find_photo(folder: Path, name: str) -> Path | None:
    """Find one photo by its name in a list. For many names, use `NamedFiles`.

    Args:
        folder: folder of the photos.
        name: the photo's path below `folder`, with or without its suffix.

    Returns:
        Its path; None if it does not exist. Without a suffix, `.jpg` wins over other formats.
    """
    found = NamedFiles(folder).find(name)
    return None if found is None else found.path


def image_id(name: str) -> str:
    """An id that can be a file name: the path below the photo folder without its suffix.

    Args:
        name: the photo's path below its folder, with or without its suffix.

    Returns:
        The id; folders are joined by `__`.

    Examples:
        >>> image_id("cats/one.v2.JPG"), image_id("2007_000032")
        ('cats__one.v2', '2007_000032')
    """
    path = Path(name)
    stem = path.with_suffix("") if path.suffix.lower() in PHOTO_SUFFIXES else path
    return "__".join(stem.parts)


def _same(one: str, other: str) -> bool:
    return same_text(one) == same_text(other)
