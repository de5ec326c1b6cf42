"""What a reader may rely on in every file of src: docstrings, shapes, errors, and no print."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "oaa_pl"
FILES = sorted(SOURCE.rglob("*.py"))
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))

Function = ast.FunctionDef | ast.AsyncFunctionDef

# (B, C, H, W), (N,), (H/8, W/8), (C+1, h, w), (..., 3): sizes in brackets, one a symbol or number.
SIZE = r"(?:\.\.\.|\w+)(?:\s*[-+*/×]\s*\w+)*"
SHAPE = re.compile(
    rf"\((?=[^()]*(?:[A-Z0-9]|\b[hw]\b))\s*{SIZE}\s*,(?:\s*{SIZE}\s*,?)*\s*\)"
    r"|\b\w+ × \w+\b|[Ss]calar|any shape"
)
ARRAY = re.compile(r"\b(Tensor|ndarray|NDArray)\b")
# Raised for callers inside Python's own protocols, not as a message to a person.
PROTOCOL_ERRORS = {"StopIteration", "AttributeError", "NotImplementedError", "SystemExit"}
VAGUE_ERRORS = {"Exception", "BaseException", "RuntimeError", "AssertionError"}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def is_public(name: str) -> bool:
    return not name.startswith("_")


def is_override(node: Function) -> bool:
    return any(ast.unparse(decorator).endswith("override") for decorator in node.decorator_list)


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function, str]]:
    """Name, node and docstring (a method's own and its class's) of all that callers may use."""
    for node in tree.body:
        if isinstance(node, Function) and is_public(node.name):
            yield node.name, node, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            about = ast.get_docstring(node) or ""
            for item in node.body:
                if isinstance(item, Function) and (is_public(item.name) or item.name == "__init__"):
                    own = ast.get_docstring(item) or ""
                    yield f"{node.name}.{item.name}", item, f"{own}\n{about}"


def takes_arrays(node: Function) -> bool:
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return any(
        ARRAY.search(ast.unparse(argument.annotation))
        for argument in arguments
        if argument.annotation is not None
    )


def raised_names(node: ast.AST) -> set[str]:
    """Errors that `raise Name(...)` makes in a node, less those that it catches itself."""
    if (
        isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
    ):
        return {node.exc.func.id}
    if not isinstance(node, ast.Try):
        return set().union(*map(raised_names, ast.iter_child_nodes(node)))
    caught = {
        name.id
        for handler in node.handlers
        if handler.type is not None
        for name in ast.walk(handler.type)
        if isinstance(name, ast.Name)
    }
    inside = set().union(*map(raised_names, node.body))
    after = [*node.handlers, *node.orelse, *node.finalbody]
    return (inside - caught).union(*map(raised_names, after))


@EVERY_FILE
def test_a_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), "no module docstring"


@EVERY_FILE
def test_public_names_are_documented(path: Path) -> None:
    bare = [
        node.name
        for node in parsed(path).body
        if isinstance(node, (*Function.__args__, ast.ClassDef))
        and is_public(node.name)
        and not ast.get_docstring(node)
    ]
    assert bare == []


@EVERY_FILE
def test_functions_of_arrays_state_shapes(path: Path) -> None:
    silent = [
        name
        for name, node, docstring in public_functions(parsed(path))
        if takes_arrays(node) and not is_override(node) and not SHAPE.search(docstring)
    ]
    assert silent == []


@EVERY_FILE
def test_errors_that_a_function_raises_are_in_its_docstring(path: Path) -> None:
    silent = [
        f"{name}: {error}"
        for name, node, docstring in public_functions(parsed(path))
        for error in sorted(raised_names(node) - PROTOCOL_ERRORS)
        if not is_override(node) and error not in docstring
    ]
    assert silent == []


@EVERY_FILE
def test_errors_have_names_that_say_what_is_wrong(path: Path) -> None:
    assert raised_names(parsed(path)) & VAGUE_ERRORS == set()


@EVERY_FILE
def test_nothing_asserts_or_prints(path: Path) -> None:
    found = [
        f"line {node.lineno}"
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assert)
        or (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        )
    ]
    assert found == []


@EVERY_FILE
def test_no_file_grows_beyond_one_idea(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 250


@pytest.mark.parametrize(
    "text", ["(B, C, H, W)", "(N,)", "(H/8, W/8)", "(C+1, h, w)", "(H, W, 3)", "Scalar, in nats"]
)
def test_the_check_knows_a_shape(text: str) -> None:
    assert SHAPE.search(text)


@pytest.mark.parametrize("text", ["(see there)", "(that is, nothing)", "(when, how)"])
def test_the_check_does_not_take_prose_for_a_shape(text: str) -> None:
    assert not SHAPE.search(text)


def test_the_check_forgets_an_error_that_is_caught_where_it_is_raised() -> None:
    source = "try:\n    raise TypeError(1)\nexcept (KeyError, TypeError):\n    raise StoreError(2)"
    assert raised_names(ast.parse(source)) == {"StoreError"}
