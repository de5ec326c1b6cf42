"""The ladder of rooms: a file imports only from its own room and from rooms above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "oaa_pl"

# Lowest first. Packages on one layer do not import each other.
LAYERS = (
    {"types", "errors", "ids"},
    {"names", "machine"},
    {"files"},
    {"losses", "metrics"},
    {"attention"},
    {"proxy", "nets"},
    {"store"},
    {"data"},
    {"modules", "callbacks", "report"},
    {"config"},
    {"runs"},
    {"training"},
    {"stages"},
    {"plan"},
    {"commands"},
    {"__main__"},  # `python -m oaa_pl`
)
RUNG = {room: rung for rung, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The room a file lies in: `store` for store/base.py, `losses` for losses.py."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported_rooms(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and room of every import from this package, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module == "oaa_pl":
            names = [f"oaa_pl.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            room = rest.partition(".")[0]
            if package == "oaa_pl" and room and room != "__version__":
                yield node.lineno, room


def upward_imports(source: str, room: str) -> list[str]:
    """What `source`, lying in `room`, imports against the order of the ladder."""
    return [
        f"line {line}: {room} imports from {other}"
        for line, other in imported_rooms(ast.parse(source))
        if other != room and RUNG.get(other, len(LAYERS)) >= RUNG[room]
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_from_its_own_room_and_from_rooms_above(path: Path) -> None:
    if path == SOURCE / "__init__.py":
        assert not list(imported_rooms(ast.parse(path.read_text("utf-8"))))
    else:
        assert room_of(path) in RUNG, "a new room: give it a rung in LAYERS"
        assert upward_imports(path.read_text("utf-8"), room_of(path)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_are_absolute_so_that_the_ladder_can_be_read(path: Path) -> None:
    relative = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level > 0
    ]
    assert relative == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("losses", "from oaa_pl.attention.cam import class_attention"),
        ("losses", "from oaa_pl import metrics"),
        ("modules", "from oaa_pl.callbacks.accumulate import AttentionAccumulation"),
        ("store", "def late():\n    import oaa_pl.data.voc"),
        ("store", "from oaa_pl.attic import anything"),
    ],
    ids=["upward", "same rung", "neighbour", "inside a function", "unknown room"],
)
def test_the_check_sees_an_import_against_the_order(room: str, source: str) -> None:
    assert len(upward_imports(source, room)) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("store", "from oaa_pl.store.base import MapStore"),
        ("store", "from oaa_pl.errors import StoreError"),
        ("commands", "from oaa_pl import __version__"),
        ("losses", "import torch"),
    ],
    ids=["own room", "room above", "version", "another package"],
)
def test_the_check_lets_pass_what_the_ladder_allows(room: str, source: str) -> None:
    assert upward_imports(source, room) == []
