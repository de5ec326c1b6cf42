"""The layers: a file imports only from its own package and from the layers below it.

Ruff has no rule for this: `banned-api` holds for the whole project, not for one package.
Imports written relative to a file, which this test would not see, are refused by ruff (TID252).
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "oaa_pl"

# Lowest first. Packages on one layer do not import each other.
LAYERS = (
    {"types", "errors", "ids"},
    {"names", "machine"},
    {"files", "parallel"},
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
    {"plan", "prediction"},
    {"commands"},
    {"__main__"},  # `python -m oaa_pl`
)
LAYER = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}


def package_of(path: Path) -> str:
    """The package that a file is in: `store` for store/base.py, `losses` for losses.py."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported_packages(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and package of every import from `oaa_pl`, at the top of a file or inside a function."""
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
            top, _, rest = name.partition(".")
            package = rest.partition(".")[0]
            if top == "oaa_pl" and package and package != "__version__":
                yield node.lineno, package


def upward_imports(source: str, package: str) -> list[str]:
    """Line and text of each import in `source`, a file of `package`, that the layers forbid."""
    return [
        f"{line}: {package} must not import from {other}"
        for line, other in imported_packages(ast.parse(source))
        if other != package and LAYER.get(other, len(LAYERS)) >= LAYER[package]
    ]


def is_for_type_checkers(node: ast.stmt) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`, without an `else`."""
    return (
        isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse
    )


def test_a_file_imports_only_from_its_own_package_and_from_lower_layers() -> None:
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        package, place = package_of(path), path.relative_to(SOURCE.parent)
        if package == "__init__":
            # The front door: what it offers is imported at its first use, not by `import oaa_pl`.
            # A type checker alone sees the rest.
            tree = ast.parse(path.read_text("utf-8"))
            tree.body = [node for node in tree.body if not is_for_type_checkers(node)]
            wrong += [
                f"{place}:{line}: imports {other} at once"
                for line, other in imported_packages(tree)
            ]
        elif package not in LAYER:
            wrong.append(f"{place}: {package} has no layer, add it to LAYERS")
        else:
            wrong += [f"{place}:{bad}" for bad in upward_imports(path.read_text("utf-8"), package)]
    assert wrong == []


@pytest.mark.parametrize(
    ("package", "source", "wrong"),
    [
        ("losses", "from oaa_pl.attention.cam import class_attention", 1),
        ("losses", "from oaa_pl import metrics", 1),
        ("modules", "from oaa_pl.callbacks.accumulate import AttentionAccumulation", 1),
        ("store", "def late():\n    import oaa_pl.data.voc", 1),
        ("store", "from oaa_pl.attic import anything", 1),
        ("store", "from oaa_pl.store.base import MapStore", 0),
        ("store", "from oaa_pl.errors import StoreError", 0),
        ("commands", "from oaa_pl import __version__", 0),
        ("losses", "import torch", 0),
    ],
    ids=[
        "higher layer", "same layer", "neighbour", "inside a function", "unknown package",
        "own package", "lower layer", "version", "another library",
    ],
)  # fmt: skip
def test_the_check_tells_forbidden_imports_from_allowed_ones(
    package: str, source: str, wrong: int
) -> None:
    assert len(upward_imports(source, package)) == wrong
