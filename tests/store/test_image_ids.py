"""Image ids in one block of memory are a sequence of texts, whatever their letters."""

import itertools
import pickle
import zlib
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaa_pl.errors import StoreError
from oaa_pl.store.image_ids import ImageIds

WORDS = [
    "a",
    "größe",
    "写真/1",
    "\U0001f600",
    "e\u0301",
    "é",
    "a\0b",
    "\ud800",
    "my photo",
    "",
    "x" * 3000,
]
ANY_TEXT = st.text(st.sampled_from("aé犬\U0001f600\0\ud800\udcff \n"), max_size=4)
ANY_TEXTS = st.lists(ANY_TEXT, unique=True)


def same_checksum() -> list[str]:
    """Two texts with one CRC-32. Among some hundred thousand random ones there are such."""
    found: dict[int, str] = {}
    for number in itertools.count():
        one = sha256(str(number).encode()).hexdigest()
        other = found.setdefault(zlib.crc32(one.encode()), one)
        if other != one:
            return [other, one]
    raise AssertionError


EQUAL_SUMS = same_checksum()


@given(ANY_TEXTS)
def test_it_is_a_sequence_of_the_same_texts(words: list[str]) -> None:
    ids = ImageIds(words)
    assert (len(ids), list(ids), ids == words, ids == tuple(words)) == (
        len(words), words, True, True
    )  # fmt: skip
    assert [ids.index(word) for word in words] == list(range(len(words)))
    assert ids[1:] == tuple(words[1:])
    assert ids[::-2] == tuple(words[::-2])
    assert ids.repeated() is None


@given(ANY_TEXTS, ANY_TEXT)
def test_another_text_is_not_found(words: list[str], other: str) -> None:
    ids = ImageIds(words)
    assert (other in ids) == (other in words)
    if other not in words:
        with pytest.raises(ValueError, match="is not among the"):
            ids.index(other)


def test_texts_with_one_checksum_are_told_apart() -> None:
    one, other = EQUAL_SUMS
    assert zlib.crc32(one.encode()) == zlib.crc32(other.encode())
    assert (other in ImageIds([one]), ImageIds([one, "b", other]).index(other)) == (False, 2)
    assert ImageIds([one, other]).repeated() is None
    assert ImageIds(["b", one, other, one]).repeated() == one


def test_the_first_repeated_text_is_found() -> None:
    assert ImageIds(["c", "b", "a", "a", "b"]).repeated() == "b"
    assert ImageIds(["a", "a", "a"]).repeated() == "a"


def test_places_count_from_the_end_too_and_have_a_limit() -> None:
    ids = ImageIds(WORDS)
    assert (ids[-1], ids[-len(WORDS)]) == (WORDS[-1], WORDS[0])
    assert (ids[np.int64(1)], ids.index("é", 3), ids.index("é", -7)) == ("größe", 5, 5)
    for place in (len(WORDS), -len(WORDS) - 1):
        with pytest.raises(IndexError, match="out of range"):
            ids[place]
    for start, stop in ((6, None), (0, 5)):
        with pytest.raises(ValueError, match="'é' is not among the 11 image ids"):
            ids.index("é", start, stop)


@pytest.mark.parametrize("other", [WORDS[:-1], [*WORDS[:-1], "y"], "a", 1, None, {"a"}])
def test_it_differs_from_other_texts(other: Any) -> None:
    assert ImageIds(WORDS) != other
    assert 1 not in ImageIds(WORDS)


def test_joined_bytes_do_not_make_ids_equal() -> None:
    assert ImageIds(["ab", "c"]) != ImageIds(["a", "bc"])
    assert ImageIds(["ab", "c"]) == ImageIds(["ab", "c"])


def test_a_copy_for_another_process_finds_the_same() -> None:
    ids = ImageIds(WORDS)
    assert "é" in ids
    copy = pickle.loads(pickle.dumps(ids))
    assert (copy == ids, copy.index("é"), len(pickle.dumps(ids)) < 4000) == (True, 5, True)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("abc", "ids must be a list of names, got the one text 'abc'"),
        (3, "ids must be a list of names, got 3"),
        (["a", 3], r"ids must be texts, got 3 \(int\)"),
        ([b"a"], r"ids must be texts, got b'a' \(bytes\)"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(wrong: Any, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        ImageIds(wrong)


def test_numpy_texts_become_plain_ones() -> None:
    assert {type(one) for one in ImageIds(np.array(["a", "b"]))} == {str}


def test_many_ids_are_whole_across_the_parts_they_are_read_in() -> None:
    words = [f"image-{n}" for n in range(10_000)]
    ids = ImageIds(iter(words))
    assert list(ids) == words
    assert [ids.index(word) for word in words[::997]] == list(range(0, 10_000, 997))


def test_it_shows_the_first_ids() -> None:
    assert repr(ImageIds(["a", "b", "c", "d"])) == "ImageIds(['a', 'b', 'c', ...])"
    assert repr(ImageIds(["a"])) == "ImageIds(['a'])"


def test_it_has_no_hash_as_a_list_has_none() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(ImageIds(["a"]))
