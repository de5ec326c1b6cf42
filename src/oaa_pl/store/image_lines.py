r"""The lines of `images.txt`: an image id and the classes of the image.

    version 1    a\b dog cat                      where no name has a blank, as of old
    version 2    ["my photo", "dog", "my cat"]    JSON; where some name has one

Shapes: N images, C foreground classes.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from oaa_pl.store.files import blocks

__all__ = ["pieces", "version_1_holds", "words_of"]


def version_1_holds(word: str) -> bool:
    """Whether a line of words between blanks can hold a name, in UTF-8."""
    lone = not word.isascii() and any("\ud800" <= letter <= "\udfff" for letter in word)
    return word.split() == [word] and not lone


def words_of(line: str, version: int) -> list[str]:
    """The names in a line without its end; an empty one first if it is not such a line."""
    if version == 1:
        return line.split(" ")
    try:
        words = json.loads(line)
    except (ValueError, RecursionError):
        return [""]
    good = isinstance(words, list) and words and all(isinstance(word, str) for word in words)
    return words if good else [""]


def pieces(
    ids: Sequence[str], classes: Sequence[str], labels: NDArray[np.bool_], version: int
) -> Iterator[str]:
    """The whole text, some thousand lines at a time: a large one would fill a memory.

    Args:
        ids: image ids, N of them.
        classes: class names, C of them.
        labels: whether the class is in the image, (N, C).
        version: 1 or 2.
    """
    # No list of words for each line: so many of them keep Python's garbage collector busy.
    plain = version == 1
    start, between, end, written = ("", " ", "\n", str) if plain else ("[", ", ", "]\n", _json)
    words = [between + written(name) for name in classes]
    names = iter(ids)
    for part in blocks(len(ids), row_bytes=1 << 10):
        lines = [start + written(name) for name in islice(names, part.stop - part.start)]
        present = (places.tolist() for places in labels[part].nonzero())
        for image, category in zip(*present, strict=True):
            lines[image] += words[category]
        yield end.join(lines) + end


def _json(word: str) -> str:
    return json.dumps(word, ensure_ascii=False)
