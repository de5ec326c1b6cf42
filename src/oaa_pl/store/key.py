"""What a key of the attention store names: an image by its place or its id, a class by its name."""

import difflib
import operator
from collections.abc import Sequence
from typing import Any

from oaa_pl.errors import NoSuchMapError, first_few
from oaa_pl.store.pairs import Pairs

__all__ = ["category_named", "image_named"]


def image_named(pairs: Pairs, image: Any) -> int:
    """The place in the data set, 0..N-1, of the image that a key names.

    Args:
        pairs: the store's (image, class) pairs.
        image: the image's place or its id.

    Raises:
        NoSuchMapError: if there is no such image, or the key is of another kind.
    """
    count = len(pairs.ids)
    if isinstance(image, str):
        if (place := pairs.place_of(image)) is not None:
            return place
        raise NoSuchMapError(
            f"the store has no image {str(image)!r} among its {count}{_nearest(image, pairs.ids)}"
        )
    try:
        if isinstance(image, bool | slice):
            raise TypeError
        place = operator.index(image)
    except TypeError:
        raise NoSuchMapError(
            f"an image must be its place (0 to {count - 1}) or its id, got {image!r}; ask for one "
            "image at a time: store[0], store['image-id'] or store['image-id', 'class']"
        ) from None
    if not 0 <= place < count:
        raise NoSuchMapError(f"an image's place must be 0 to {count - 1}, got {place}")
    return place


def category_named(pairs: Pairs, image: int, category: Any) -> int:
    """The class, 0..C-1, that a key names.

    Args:
        pairs: the store's (image, class) pairs.
        image: the image's place, which must have the class as a tag.
        category: the class's name.

    Raises:
        NoSuchMapError: if there is no such class, or the image has no such tag.
    """
    if not isinstance(category, str):
        raise NoSuchMapError(
            f"a class must be its name, got {category!r}; the classes are "
            f"{first_few(pairs.classes)}"
        )
    if category not in pairs.classes:
        raise NoSuchMapError(
            f"the store has no class {str(category)!r}{_nearest(category, pairs.classes)}"
        )
    place = pairs.classes.index(category)
    if not pairs.labels[image, place]:
        tags = [name for name, has in zip(pairs.classes, pairs.labels[image], strict=True) if has]
        raise NoSuchMapError(
            f"image {pairs.ids[image]!r} has no tag {str(category)!r}, so it has no such map; its "
            f"tags are {', '.join(tags) or 'none'}"
        )
    return place


def _nearest(name: str, names: Sequence[str]) -> str:
    """A question after similar names, else the first names."""
    if similar := difflib.get_close_matches(name, names):
        return f"; did you mean {' or '.join(map(repr, similar))}?"
    return f"; it has {first_few(names)}"
