import re
import unicodedata

import pytest

from oaa_pl.errors import ConfigError
from oaa_pl.names import (
    MOST_CLASSES,
    as_classes,
    class_fault,
    file_fault,
    likeness,
    look,
    name_fault,
)

ODD = (
    "coffee maker", "baker's rack", 'a "b"', "null", "true", "1.0", "a/b", "<b>", "$x$", "[x]",
    "100 %", "#1", ".hidden", "كلب", "犬", "🐕", "👨\u200d👩\u200d👧",
    "cafe\u0301", "no\u00a0break", "-", "a,b",
    " blank at both ends ", "\\", "{}", "CON", "a&b;c",
)  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_name_may_hold_anything_that_can_be_seen(name: str) -> None:
    assert name_fault(name) == ""
    assert class_fault([name, "dog"]) == ""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("two\nlines", r"U\+000A"),
        ("a\ttab", r"U\+0009"),
        ("a\x00b", r"U\+0000"),
        ("\x7f", r"U\+007F"),
        ("next\x85line", r"U\+0085"),
        ("a\u2028b", r"U\+2028"),
        ("\udcff", r"U\+DCFF"),
        ("", "nothing to see"),
        (" \u00a0", "nothing to see"),
        ("\u200b\ufeff", "nothing to see"),
    ],
)
def test_line_breaks_and_control_characters_are_in_no_name(name: str, fault: str) -> None:
    assert re.search(fault, name_fault(name))
    assert re.search(fault, class_fault(["dog", name]))


def test_what_is_no_text_is_no_name() -> None:
    assert name_fault(3) == "must be text, got int"


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ("Dog", "dog", "case"),
        ("STRASSE", "straße", "case"),
        ("coffee maker", "coffee  maker", "blanks"),
        ("coffee\u00a0maker", "coffee maker", "blanks"),
        ("dog", "dog\u200b", "blanks"),
        ("café", "cafe\u0301", "encoding of accents"),
        ("❤", "❤\ufe0f", "invisible"),
    ],
)
def test_names_that_look_alike_cannot_both_be_classes(one: str, other: str, what: str) -> None:
    assert look(one) == look(other)
    assert what in likeness(one, other)
    assert "write them the same way" in class_fault([one, "cat", other])


@pytest.mark.parametrize(("one", "other"), [("e", "é"), ("m2", "m²"), ("a-b", "ab"), ("1", "l")])
def test_names_that_look_different_can(one: str, other: str) -> None:
    assert class_fault([one, other]) == ""


def test_a_label_of_8_bits_tells_254_classes_apart() -> None:
    names = [f"class {n}" for n in range(MOST_CLASSES)]
    assert MOST_CLASSES == 254
    assert class_fault(names) == ""
    assert "255 classes" in class_fault([*names, "one more"])


@pytest.mark.parametrize("name", ["background", "Background", "BACKGROUND", " back ground"])
def test_the_background_is_no_class(name: str) -> None:
    assert "id 0 is the background" in class_fault(["dog", name])


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "..", "."])
def test_an_id_that_leads_elsewhere_makes_no_file_name(name: str) -> None:
    assert file_fault(name)


@pytest.mark.parametrize("name", ["CON", "..x", ".x", "a b ", "100%", "#", "a:b", "*?"])
def test_other_ids_do(name: str) -> None:
    assert file_fault(name) == ""


def test_numbers_are_class_names_and_what_yaml_turned_into_something_else_is_refused() -> None:
    assert as_classes([1, "dog"]) == ("1", "dog")
    assert as_classes(None) is None
    for value in (True, None, 1.0):
        with pytest.raises(ConfigError, match=r"data\.classes has .*write the name in quotes"):
            as_classes(["dog", value])
    with pytest.raises(ConfigError, match=r"must be a list, got 'dog': write \[dog\]"):
        as_classes("dog")


def test_looks_do_not_depend_on_the_encoding_of_accents() -> None:
    for form in ("NFC", "NFD"):
        assert look(unicodedata.normalize(form, "ÅNGSTRÖM")) == look("ångström")
