"""What is Label Studio's own in its JSON export: tasks, annotations, addresses of uploaded photos.

Source: labelstud.io, "Raw JSON format of completed tasks".
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from oaa_pl.errors import BadTagFileError

__all__ = ["local_path", "tags_of_task"]

_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)")  # its prefix of an uploaded file


def tags_of_task(path: Path, number: int, task: dict[str, Any]) -> list[str]:
    """The choices of a task. Annotations that were cancelled do not count.

    Args:
        path: of the export, for messages.
        number: of the task, for messages.
        task: one record of the export.

    Raises:
        BadTagFileError: if it is not in the tool's form, or two annotations differ.
    """
    where = f"{path}:{number}"
    rounds = _listed(task, "annotations", where) or _listed(task, "completions", where)
    counted = [one for one in rounds if one.get("was_cancelled") is not True]
    found = [_choices(one, where) for one in counted]
    if any(set(one) != set(found[0]) for one in found):
        shown = " and ".join(", ".join(one) or "nothing" for one in found)
        raise BadTagFileError(
            f"{where}: its annotations differ ({shown}): cancel or delete all but one"
        )
    return found[0] if found else []


def _choices(annotation: dict[str, Any], where: str) -> list[str]:
    found: list[str] = []
    for result in _listed(annotation, "result", where):
        value = result.get("value") or {}
        choices = value.get("choices") if isinstance(value, dict) else value
        choices = [] if choices is None else choices
        if not isinstance(choices, list) or not all(isinstance(one, str) for one in choices):
            raise BadTagFileError(f"{where}: choices must be a list of names, got {choices!r}")
        found += choices
    return found


def _listed(record: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    """A list of objects; none if the record has none."""
    found = record.get(key)
    found = [] if found is None else found
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadTagFileError(
            f"{where}: {key} must be a list of objects, as Label Studio exports them: export it "
            "again"
        )
    return found


def local_path(image: str) -> str:
    """The path of a photo without the server or upload folder of a tool.

    Args:
        image: path or address.

    Raises:
        ValueError: if it is an address that cannot be read.
    """
    parts = urlsplit(image)
    if query := parse_qs(parts.query).get("d"):  # local storage
        return query[0].lstrip("/")
    if parts.scheme in ("http", "https", "s3", "gs") or image.startswith("/data/upload/"):
        return _UPLOAD.sub("", Path(unquote(parts.path)).name, count=1)
    return image
