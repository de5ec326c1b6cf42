"""Lines of `images.txt` hold any name, and nothing else is such a line."""

import numpy as np
import pytest

from oaa_pl.store.image_lines import pieces, version_1_holds, words_of

NAMES = ["a", 'a\\b["x"]', "größe", "写真/1", "\U0001f600", "e\u0301"]
BLANK = ["my photo", " lead", "no\u00a0break", 'say "cheese"', "tab\tbed"]


@pytest.mark.parametrize("version", [1, 2])
def test_what_is_written_is_read(version: int) -> None:
    names = NAMES if version == 1 else NAMES + BLANK
    labels = np.eye(len(names), 3, dtype=bool)
    classes = names[-3:]
    lines = "".join(pieces(names, classes, labels, version)).split("\n")
    assert lines.pop() == ""
    expected = [[name, *classes[n : n + 1]] for n, name in enumerate(names)]
    assert [words_of(line, version) for line in lines] == expected


@pytest.mark.parametrize("name", NAMES)
def test_version_1_holds_names_without_blanks(name: str) -> None:
    assert version_1_holds(name)


@pytest.mark.parametrize("name", [*BLANK, "", "\ud800", "a\udcff"])
def test_version_1_holds_neither_blanks_nor_halves_of_letters(name: str) -> None:
    assert not version_1_holds(name)


def test_no_image_has_no_line() -> None:
    assert "".join(pieces([], ["cat"], np.zeros((0, 1), bool), 1)) == ""


@pytest.mark.parametrize("line", ["", "[]", "3", '{"a": 1}', '["a", 3]', "[" * 9999])
def test_another_line_of_version_2_names_nothing(line: str) -> None:
    assert words_of(line, 2)[0] == ""
