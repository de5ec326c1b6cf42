"""Tag files in JSON: our own form, JSON Lines, and exports of Label Studio and FiftyOne.

See `oaa_pl.data.exports` for the forms.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from oaa_pl.data.label_studio import local_path, tags_of_task
from oaa_pl.errors import BadTagFileError
from oaa_pl.files.json_text import parse_json

__all__ = ["IMAGE_KEYS", "TAG_KEYS", "Entry", "entries_of_json", "names_of"]

IMAGE_KEYS = ("image", "file_name", "filename", "img", "photo")
"""Names under which exports have the image's name."""
TAG_KEYS = ("tags", "labels", "label", "choice", "choices", "classes", "class")
"""Names under which exports have an image's tags."""


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
    content = _parsed(path, text)
    if isinstance(content, dict) and {"images", "annotations"} & set(content):
        raise BadTagFileError(f"{path} is a COCO file: give it to data=coco")
    if isinstance(content, dict) and isinstance(content.get("labels"), dict):
        yield from _of_fiftyone(path, content)
    elif isinstance(content, dict) and not _is_record(content):
        for number, (name, tags) in enumerate(content.items(), 1):
            yield Entry(number, name, names_of(path, number, tags))
    elif isinstance(content, dict | list):
        records = content if isinstance(content, list) else [content]
        for number, record in enumerate(records, 1):
            yield _of_record(path, number, record)
    else:
        raise BadTagFileError(
            f"{path} has {type(content).__name__}, expected a list of images with tags, or an "
            "object of images"
        )


def _parsed(path: Path, text: str) -> Any:
    """The content of JSON, or the list of the lines of JSON Lines."""
    try:
        content = parse_json(text)
    except json.JSONDecodeError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        try:
            content = [parse_json(line) for line in lines] if len(lines) > 1 else None
        except ValueError:
            content = None
        if content is None:
            raise BadTagFileError(
                f"{path}:{error.lineno}: is not JSON ({error.msg}): export it again"
            ) from error
    except ValueError as error:
        raise BadTagFileError(f"{path}: {error}") from error
    return content


def _is_record(content: dict[str, Any]) -> bool:
    """Whether an object is one image, as a file of JSON Lines with one line has."""
    image = next((content[key] for key in IMAGE_KEYS if key in content), None)
    return isinstance(image, str) and any(key in content for key in TAG_KEYS)


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
    task = record.get("data")
    if isinstance(task, dict):
        tags: object = tags_of_task(path, number, record)
        image = next((task[key] for key in task if key in IMAGE_KEYS), None)
    else:
        image = next((record[key] for key in IMAGE_KEYS if key in record), None)
        tags = next((record[key] for key in TAG_KEYS if key in record), [])
    if not isinstance(image, str):
        raise BadTagFileError(
            f"{path}:{number}: has no name of an image (keys: {', '.join(map(str, record))}): "
            "write it as `image`"
        )
    try:
        local = local_path(image)
    except ValueError as error:
        raise BadTagFileError(
            f"{path}:{number}: {image!r} cannot be read as an address ({error})"
        ) from error
    return Entry(number, local, names_of(path, number, tags))


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
