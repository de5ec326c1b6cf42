"""Tag files of label tools, JSON and Parquet, recognised by their content.

    folder of folders     one subfolder a class, photos in it
    JSON                  [{"image": ..., "tags": [...]}, ...], or {"photo.jpg": ["dog"], ...}
    JSON Lines            one {"image": ..., "tags": [...]} a line
    Label Studio          its JSON and its JSON-MIN export, choices of one or several classes
    FiftyOne              {"classes": [...], "labels": {id: class, number or several}}
    CVAT for images       XML: tags of an image, and labels of its shapes
    Roboflow              CSV with `filename` and one column of 0 and 1 a class
    Parquet               columns `image` and `tags`, a list or one text

Parquet needs the extra `parquet`. Image names are paths below the folder of the photos; a URL or an
upload folder of a tool is cut off.
"""

import csv
import importlib
import importlib.util
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from oaa_pl.data.json_tags import IMAGE_KEYS, TAG_KEYS, Entry, entries_of_json, names_of
from oaa_pl.data.photo_files import list_photos
from oaa_pl.errors import BadTagFileError, ConfigError
from oaa_pl.files.text import read_text
from oaa_pl.files.unreadable import TABLE, XML

__all__ = ["Entry", "read_export"]

_PARQUET = b"PAR1"
_JSON = (".json", ".jsonl", ".ndjson")


def read_export(path: Path) -> list[Entry] | None:
    """Read a tag file of a label tool.

    Args:
        path: the file, or a folder with one subfolder a class.

    Returns:
        Its images in file order; None if it is a CSV with `image` and `tags`, or a plain list.

    Raises:
        BadTagFileError: if it cannot be read, or it is in no known form.
        ConfigError: if reading it needs an extra that is not installed.
    """
    if path.is_dir():
        return list(_of_folders(path))
    if _begins(path, _PARQUET):
        return list(_of_parquet(path))
    try:
        text = read_text(path, "tag file", BadTagFileError)
    except FileNotFoundError:
        return None  # whose reader reports it
    start = text.lstrip()
    if path.suffix.lower() == ".xml" or start.startswith(("<?xml", "<annotation")):
        return list(_of_cvat(path))
    if path.suffix.lower() in _JSON or (start.startswith(("{", "[")) and _is_json(text)):
        return list(entries_of_json(path, text))
    header = next(csv.reader(io.StringIO(text)), [])
    names = [cell.strip().lower() for cell in header]
    # Two columns are not one-hot: the header of a CSV of ours is wrong.
    if names[:1] == ["filename"] and len(names) > 2 and "tags" not in names:
        return list(_of_one_hot(path, text))
    return None


def _begins(path: Path, mark: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark
    except OSError:
        return False  # the next reader reports it


def _is_json(text: str) -> bool:
    """Whether a text is JSON; the name of a photo in a plain list may begin with a bracket."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _of_folders(root: Path) -> Iterator[Entry]:
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        raise BadTagFileError(
            f"tag file {root} is a folder without subfolders: make one subfolder for each class"
        )
    photos = [(folder.name, path) for folder in folders for path in list_photos(folder)]
    for number, (name, path) in enumerate(photos, 1):
        yield Entry(number, path.relative_to(root).as_posix(), (name,))


def _of_cvat(path: Path) -> Iterator[Entry]:
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        raise BadTagFileError(f"{path}:{error.position[0]}: is not XML ({error})") from error
    except XML as error:
        raise BadTagFileError(f"{path} cannot be read ({error})") from error
    images = root.findall("image")
    if root.tag != "annotations" or not images:
        raise BadTagFileError(
            f"{path} is XML of <{root.tag}>, expected <annotations> with <image>s: export it as "
            "'CVAT for images'"
        )
    for number, image in enumerate(images, 1):
        name = image.get("name")
        labels = [child.get("label") for child in image]
        if not name or None in labels:
            raise BadTagFileError(
                f"{path}:{number}: an <image> has no name, or one of its tags no label: export it "
                "again"
            )
        yield Entry(number, name, tuple(dict.fromkeys(str(label) for label in labels)))


def _of_one_hot(path: Path, text: str) -> Iterator[Entry]:
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    try:
        _, *classes = (cell.strip() for cell in next(reader))
        if twice := [name for place, name in enumerate(classes) if name in classes[:place]]:
            raise BadTagFileError(f"{path}:1: the class {twice[0]!r} has two columns: keep one")
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if len(cells) != len(classes) + 1 or not set(cells[1:]) <= {"0", "1"}:
                raise BadTagFileError(
                    f"{path}:{reader.line_num}: expected a file name and {len(classes)} times 0 or "
                    f"1, got {','.join(row)!r}"
                )
            tags = tuple(c for c, one in zip(classes, cells[1:], strict=True) if one == "1")
            yield Entry(reader.line_num, cells[0], tags)
    except TABLE as error:
        raise BadTagFileError(f"{path}:{reader.line_num}: is not a CSV ({error})") from error


def _of_parquet(path: Path) -> Iterator[Entry]:
    if importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f"{path} is Parquet, which needs: pip install 'oaa_pl[parquet]'")
    read: Callable[..., Any] = importlib.import_module("pyarrow.parquet").read_table
    try:
        table = read(path)
    except Exception as error:  # of Arrow, by the kind of damage
        raise BadTagFileError(f"{path} is not a readable Parquet file ({error})") from error
    image = next((key for key in IMAGE_KEYS if key in table.column_names), None)
    tags = next((key for key in TAG_KEYS if key in table.column_names), None)
    if image is None or tags is None:
        raise BadTagFileError(
            f"{path} has the columns {', '.join(table.column_names)}, expected image and tags"
        )
    columns = table[image].to_pylist(), table[tags].to_pylist()
    for number, (name, names) in enumerate(zip(*columns, strict=True), 1):
        if not isinstance(name, str):
            raise BadTagFileError(f"{path}:{number}: the image must be a name, got {name!r}")
        yield Entry(number, name, names_of(path, number, names))
