"""Words as people type them, and as the messages tell them to."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.commands.tiny import oaa, require_refusal

from oaa_pl.config.words import as_hydra_reads, quoted
from oaa_pl.errors import ConfigError


def value(word: str) -> object:
    """What Hydra makes of a word."""
    (read,) = as_hydra_reads([word])
    return OverridesParser.create().parse_override(read).value()


PATHS = [
    "Höhle", "photos (1)", "a=b", "my photos", "2012", "2012_10", "1e5", "007", "1.50", "true",
    "it's", "#1", "C:/x", "100%", "a&b", "[x]", "(a)", "{a}", "{a: b}", "犬", "a;b", "a!b",
    "/a/Höhle/photos(1)", "$1", "a\\b", "~no-such-user/x",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "key", ["data.root", "data.tag_file", "runs", "predict.photos", "net.weights", "+data.saliency"]
)
def test_a_path_is_read_as_it_is_typed(key: str, path: str) -> None:
    assert value(f"{key}={path}") == path


@pytest.mark.parametrize("word", ["data.saliency=null", "data.root=${runs}/x"])
def test_what_is_more_than_a_text_is_left_to_hydra(word: str) -> None:
    assert as_hydra_reads([word]) == [word]


def test_a_sweep_over_paths_stays_one() -> None:
    assert as_hydra_reads(["data.root=a,b"], sweep=True) == ["data.root=a,b"]
    assert as_hydra_reads(["data.root=Höhle, x (1)"], sweep=True)[0] == 'data.root="Höhle","x (1)"'
    assert value("data.root=a,b") == "a,b"  # and without one, a comma is part of the name


def test_home_is_expanded_in_paths_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = f"{tmp_path}/me too"
    monkeypatch.setenv("HOME", home)
    assert value("data.root=~/x") == f"{home}/x"
    assert value("data.root='~/x'") == f"{home}/x"
    assert value("predict.output=$HOME/x") == f"{home}/x"
    assert value("background.fallback.folder=$HOME/x") == f"{home}/x"
    assert value("data.root=$NO_SUCH_VARIABLE/x") == "$NO_SUCH_VARIABLE/x"
    assert value("name=$HOME") == "$HOME"


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("[1,2]", ["1", "2"]),
        ("[null,true,1.0,1_000]", ["null", "true", "1.0", "1_000"]),
        ("[Höhle, coffee maker]", ["Höhle", "coffee maker"]),
        ("[a/b,<b>,$x,[x]]", ["a/b", "<b>", "$x", "[x]"]),
        ("['a,b',\"c 'd'\"]", ["a,b", "c 'd'"]),
        ("[baker's rack,dog]", ["baker's rack", "dog"]),
        ("[dog]", ["dog"]),
    ],
)
def test_names_are_read_as_they_are_typed(typed: str, names: list[str]) -> None:
    found = value(f"data.classes={typed}")
    assert isinstance(found, list)
    assert [str(getattr(name, "text", name)) for name in found] == names
    assert {type(name) for name in found} <= {str, type(found[0])}


@pytest.mark.parametrize("word", ["data.classes=null", "data.classes=[a,b],[c,d]"])
def test_what_is_no_list_of_names_is_left_to_hydra(word: str) -> None:
    assert as_hydra_reads([word]) == [word]


@pytest.mark.parametrize("word", ["name=Höhle", "name=photos (1)", "name=a=b", 'name=say "x"'])
def test_typing_what_the_message_shows_works(word: str) -> None:
    with pytest.raises(ConfigError, match="cannot read ") as caught:
        as_hydra_reads([word])
    shown = str(caught.value).partition("; write ")[2]
    (typed,) = shlex.split(shown)
    assert value(typed) == word.partition("=")[2]


def test_the_command_line_shows_it_and_takes_it(empty: Path) -> None:
    said = oaa("fit", "name=photos (1)")
    require_refusal(said, "cannot read 'name=photos (1)'", """write 'name="photos (1)"'""")
    (typed,) = shlex.split(said.err.partition("; write ")[2])
    require_refusal(oaa("fit", typed, "stage=none"), "stage must be one of", "'none'")


def test_a_word_that_the_shell_cut_off_is_shown_whole(empty: Path) -> None:
    said = oaa("fit", "data.root=my", "photos")
    require_refusal(said, "cannot read 'photos'", """'data.root="my photos"'""")
    require_refusal(oaa("fit", "seed"), "cannot read 'seed'", "KEY=VALUE")


@pytest.mark.parametrize("word", ["seed=[0", "seed={a", "dä=1"])
def test_quotes_are_not_advised_where_they_are_no_help(word: str) -> None:
    with pytest.raises(ConfigError, match=r"see 'oaa COMMAND --help'"):
        as_hydra_reads([word])


def test_a_key_that_is_taken_out_is_left_to_hydra() -> None:
    assert as_hydra_reads(["~data.saliency"]) == ["~data.saliency"]


@settings(deadline=None, max_examples=150)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12))
def test_any_text_can_be_quoted(text: str) -> None:
    if "${" in text or text[0] in "[{\"'" or text != text.strip():
        return  # an interpolation, a list, or quotes of somebody's own
    word = quoted(f"name={text}")
    assert word is not None
    assert OverridesParser.create().parse_override(word).value() == text
