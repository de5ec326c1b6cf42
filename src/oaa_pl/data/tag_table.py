"""Read the rows of a tag file, a CSV or a plain list, without splitting the tags.

A CSV has a header with the columns `image` and `tags`. Columns are separated by commas, semicolons
(Excel in much of Europe) or tabs. A plain list has one image per line, followed by its tags,
separated by blanks or by a tab.
"""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from oaa_pl.data.photo_files import PHOTO_SUFFIXES
from oaa_pl.errors import BadTagFileError
from oaa_pl.files.text import read_text
from oaa_pl.files.unreadable import TABLE

__all__ = ["TagCell", "is_table", "read_cells", "split_image", "words_of"]

_COLUMNS = ("image", "tags")
_DELIMITERS = (",", ";", "\t")
_TABLES = (".csv", ".tsv")

# Blanks separate words. A no-break space is part of a word: people type it on purpose.
_BLANKS = re.compile(r"[^\S\u00a0\u2007\u202f]+")


class TagCell(NamedTuple):
    """One image of a tag file.

    Attributes:
        line: in the file, from 1.
        image: the photo's name, without blanks around it.
        tags: all its tags as one text, without blanks around it.
    """

    line: int
    image: str
    tags: str


def words_of(text: str) -> list[str]:
    """Words between blanks; a no-break space is part of a word."""
    return [word for word in _BLANKS.split(text) if word]


def is_table(path: Path, text: str) -> bool:
    """Whether a tag file is a CSV: by its suffix, or by its first line."""
    return path.suffix.lower() in _TABLES or _delimiter(text.partition("\n")[0]) is not None


def read_cells(path: Path) -> tuple[list[TagCell], bool]:
    """The rows of a tag file, and whether it is a CSV.

    Args:
        path: of the file.

    Returns:
        Its rows in file order, without empty lines, and without comments of a list.

    Raises:
        BadTagFileError: if the file does not exist, is not text, or has a malformed row.
    """
    try:
        text = read_text(path, "tag file", BadTagFileError)
    except FileNotFoundError:
        raise BadTagFileError(f"tag file {path} does not exist: give its path") from None
    if is_table(path, text):
        return list(_of_table(path, text)), True
    return list(_of_list(text)), False


def split_image(line: str) -> tuple[str, str]:
    """Split a line of a list into the image and the rest.

    The image ends at a tab; or after the first word with a photo's suffix; or after the first word.

    Examples:
        >>> split_image("my photo.jpg dog cat"), split_image("2007_000032 dog")
        (('my photo.jpg', 'dog cat'), ('2007_000032', 'dog'))
    """
    if "\t" in line.strip():
        image, _, rest = line.strip().partition("\t")
        return image.strip(), rest.strip()
    words = words_of(line)
    ends = (n for n, word in enumerate(words, 1) if word.lower().endswith(PHOTO_SUFFIXES))
    end = next(ends, 1)
    # Cut the line itself, so that a name keeps its double blanks.
    match = re.match(r"\s*(" + r"\s+".join(map(re.escape, words[:end])) + r")\s*(.*)", line)
    return (match[1], match[2].strip()) if match else ("", "")


def _of_table(path: Path, text: str) -> Iterator[TagCell]:
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines) if line.strip()), 0)
    note = re.fullmatch(r"sep=(.)\s*", lines[first]) if lines else None  # Excel writes it
    start = first + 1 if note else first
    header = lines[start] if start < len(lines) else ""
    delimiter = _delimiter(header)
    if delimiter is None or (note and note[1] != delimiter):
        raise BadTagFileError(
            f"{path}:{start + 1}: expected the header 'image,tags', got {header!r}: put it on the "
            "first line, columns separated by commas, semicolons or tabs"
        )
    reader = csv.reader(
        io.StringIO("\n".join(lines[start:]), newline="\n"),
        delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True,
    )  # fmt: skip
    try:
        names = [cell.strip().lower() for cell in next(reader)]
        while names and not names[-1]:
            names.pop()
        twice = [name for name in _COLUMNS if names.count(name) > 1]
        if twice:
            raise BadTagFileError(
                f"{path}:{start + 1}: the column {twice[0]!r} comes twice: keep one of them"
            )
        image, tags = (names.index(name) for name in _COLUMNS)
        for cells in reader:
            row = [cell.strip() for cell in cells]
            while len(row) > len(names) and not row[-1]:
                row.pop()
            if not any(row):
                continue
            line = start + reader.line_num
            if len(row) > len(names) or len(row) <= max(image, tags):
                raise BadTagFileError(
                    f"{path}:{line}: expected {len(names)} columns ({','.join(names)}), got "
                    f"{len(row)}: separate tags by ';', and put cells that contain {delimiter!r} "
                    "in quotes"
                )
            yield TagCell(line, row[image], row[tags])
    except TABLE as error:
        line = start + max(1, reader.line_num)
        raise BadTagFileError(f"{path}:{line}: is not a CSV ({error})") from error


def _delimiter(header: str) -> str | None:
    """The separator of a header with both columns; None if the line is not such a header."""
    for delimiter in _DELIMITERS:
        names = [cell.strip().strip('"').strip().lower() for cell in header.split(delimiter)]
        if set(_COLUMNS) <= set(names):
            return delimiter
    return None


def _of_list(text: str) -> Iterator[TagCell]:
    # Not `splitlines`: it breaks lines at eight characters at which editors do not.
    for line, row in enumerate(text.split("\n"), start=1):
        if row.strip() and not row.lstrip().startswith("#"):
            image, tags = split_image(row)
            yield TagCell(line, image.lstrip("/"), tags)
