"""Tags from annotations of PASCAL VOC: one XML file per image, with the names of its objects."""

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from oaa_pl.data.tags import class_named
from oaa_pl.errors import BadTagFileError, UntaggedImageError
from oaa_pl.files.unreadable import TEXT, XML

__all__ = ["annotation_root", "tags_from_annotation"]

_DECLARATION = re.compile(rb"\s*<\?xml[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)[\"'][^>]*\?>")
_EXPAT_KNOWS = ("utf-8", "utf8", "utf-16", "iso-8859-1", "us-ascii", "ascii")


def tags_from_annotation(path: Path, classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of one PASCAL VOC annotation.

    Objects marked `difficult` count too: they are in the photo, and in its mask.

    Args:
        path: the XML file, in the encoding that it declares.
        classes: allowed names.

    Returns:
        One name per object; a class can appear several times.

    Raises:
        UntaggedImageError: if there is no such file.
        BadTagFileError: if it is not XML, is not in the encoding that it declares, or has an object
            without a name.
        UnknownClassError: if an object's name is not in `classes`.
    """
    root = annotation_root(path)
    names = [(element.findtext("name") or "").strip() for element in root.findall("object")]
    if not all(names):
        raise BadTagFileError(f"{path}: an <object> has no <name>: name it or remove it")
    return tuple(class_named(name, classes, str(path)) for name in names)


def annotation_root(path: Path) -> ElementTree.Element:
    """The root of an annotation.

    Args:
        path: the XML file, in the encoding that it declares.

    Raises:
        UntaggedImageError: if there is no such file.
        BadTagFileError: if it is not XML, or is not in the encoding that it declares.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UntaggedImageError(
            f"annotation {path} does not exist, so its image has no tag: add it, or take tags "
            "from masks or a file"
        ) from None
    except TEXT as error:
        reason = getattr(error, "strerror", None) or error
        raise BadTagFileError(f"annotation {path} cannot be read ({reason})") from error
    declared = _DECLARATION.match(content)
    encoding = declared[1].decode() if declared else "utf-8"
    try:
        if declared and encoding.lower() not in _EXPAT_KNOWS:
            # Expat knows few encodings. Python knows all that annotation tools write.
            return ElementTree.fromstring(content[declared.end() :].decode(encoding))
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise BadTagFileError(f"{path}:{error.position[0]}: is not XML ({error})") from error
    except XML as error:
        raise BadTagFileError(
            f"annotation {path} is not in the encoding {encoding!r} that it declares ({error}): "
            "save it as UTF-8"
        ) from error
