"""Tag files in JSON: our own form, JSON Lines, and exports of Label Studio and FiftyOne.

See `oaa_pl.data.exports` for the forms.
"""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from oaa_pl.errors import BadTagFileError

__all__ = ["IMAGE_KEYS", "TAG_KEYS", "Entry", "entries_of_json", "names_of"]

IMAGE_KEYS = ("image", "file_name", "filename", "img", "photo")
"""Names under which exports have the image's name."""
TAG_KEYS = ("tags", "labels", "label", "choice", "choices", "classes", "class")
"""Names under which exports have an image's tags."""

_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # Label Studio's prefix of an uploaded file


class Entry(NamedTuple):
    """One image of an export.

    Attributes:
        number: of the record, from 1; of the line in a CSV.
        image: path below the folder of the photos.
        tags: class names; none if it has none.
    """

    number: int
    image: str
    tags: tuple[str, ...]


def entries_of_json(path: Path, text: str) -> Iterator[Entry]:
    """The images of a JSON file.

    Args:
        path: of the file, for messages.
        text: its content.

    Raises:
        BadTagFileError: if it is not JSON, or it is in no known form.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        try:
            content = [json.loads(line) for line in lines] if len(lines) > 1 else None
        except (ValueError, RecursionError):
            content = None
        if content is None:
            raise BadTagFileError(
                f"{path}:{error.lineno}: is not JSON ({error.msg}): export it again"
            ) from error
    except RecursionError as error:
        raise BadTagFileError(f"{path}: is nested too deeply for a tag file") from error
    if isinstance(content, dict) and {"images", "annotations"} & set(content):
        raise BadTagFileError(f"{path} is a COCO file: give it to data=coco")
    if isinstance(content, dict) and isinstance(content.get("labels"), dict):
        yield from _of_fiftyone(path, content)
    elif isinstance(content, dict):
        for number, (name, tags) in enumerate(content.items(), 1):
            yield Entry(number, name, names_of(path, number, tags))
    else:
        for number, record in enumerate(content, 1):
            yield _of_record(path, number, record)


def _of_fiftyone(path: Path, content: dict[str, Any]) -> Iterator[Entry]:
    classes = content.get("classes")

    def named(number: int, target: object) -> object:
        if isinstance(target, bool) or not isinstance(target, int):
            return target
        if not isinstance(classes, list) or not 0 <= target < len(classes):
            raise BadTagFileError(
                f"{path}:{number}: class number {target} is not one of `classes`: export again "
                "with the list of classes"
            )
        return classes[target]

    for number, (name, target) in enumerate(content["labels"].items(), 1):
        targets = target if isinstance(target, list) else [target]
        tags = [named(number, one) for one in targets if one is not None]
        yield Entry(number, name, names_of(path, number, tags))


def _of_record(path: Path, number: int, record: object) -> Entry:
    if not isinstance(record, dict):
        raise BadTagFileError(
            f"{path}:{number}: expected an object with image and tags, got {record!r}"
        )
    if isinstance(record.get("data"), dict):  # Label Studio
        image = next((v for k, v in record["data"].items() if k in IMAGE_KEYS), None)
        rounds = record.get("annotations") or record.get("completions") or []
        results = [result for one in rounds[:1] for result in one.get("result", [])]
        tags: object = [tag for one in results for tag in one.get("value", {}).get("choices", [])]
    else:
        image = next((record[key] for key in IMAGE_KEYS if key in record), None)
        tags = next((record[key] for key in TAG_KEYS if key in record), [])
    if not isinstance(image, str):
        raise BadTagFileError(
            f"{path}:{number}: has no name of an image (keys: {', '.join(map(str, record))}): "
            "write it as `image`"
        )
    return Entry(number, _local(image), names_of(path, number, tags))


def names_of(path: Path, number: int, tags: object) -> tuple[str, ...]:
    """Class names in the forms in which tools write them, each once.

    Args:
        path: of the file, for messages.
        number: of the record, for messages.
        tags: names, one text with `;`, objects that have names, or None.

    Raises:
        BadTagFileError: if it is in none of these forms.
    """
    if isinstance(tags, dict):
        tags = tags.get("choices", tags.get("label", tags.get("name")))
    if tags is None:
        return ()
    if isinstance(tags, str):
        return tuple(tag.strip() for tag in tags.split(";") if tag.strip())
    if not isinstance(tags, Iterable):
        raise BadTagFileError(f"{path}:{number}: tags must be names, got {tags!r}")
    found: list[str] = []
    for tag in tags:
        if isinstance(tag, dict):
            found += names_of(path, number, tag)
        elif isinstance(tag, str):
            found.append(tag.strip())
        else:
            raise BadTagFileError(f"{path}:{number}: tags must be names, got {tag!r}")
    return tuple(dict.fromkeys(found))


def _local(image: str) -> str:
    """The path of a photo without the server or upload folder of a tool."""
    parts = urlsplit(image)
    if query := parse_qs(parts.query).get("d"):  # Label Studio's local storage
        return query[0].lstrip("/")
    if parts.scheme in ("http", "https", "s3", "gs") or image.startswith("/data/upload/"):
        return _UPLOAD.sub("", Path(unquote(parts.path)).name, count=1)
    return image
