"""What a reader may rely on in every file of src, beyond the rules that ruff has.

Ruff checks that modules and public names have docstrings (D), that nothing asserts (S101) or prints
(T20), and that imports are absolute (TID252). Its rule on errors in docstrings (DOC501) does not
look at classes, whose arguments and errors are in the class docstring here.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "oaa_pl"

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
LONGEST = 250


def is_override(node: Function) -> bool:
    return any(ast.unparse(decorator).endswith("override") for decorator in node.decorator_list)


def public_functions(tree: ast.Module) -> Iterator[tuple[str, Function, str]]:
    """Name, node and docstring (a method's own and its class's) of everything callers may use."""
    for node in tree.body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield node.name, node, ast.get_docstring(node) or ""
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            about = ast.get_docstring(node) or ""
            for item in node.body:
                if isinstance(item, Function) and (
                    item.name == "__init__" or not item.name.startswith("_")
                ):
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
    """Errors that `raise Name(...)` makes in a node, less the ones that it catches itself."""
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


def missing_shapes(source: str) -> list[str]:
    """Public functions of arrays whose docstring names no shape."""
    return [
        f"{node.lineno}: {name} takes arrays and names no shape"
        for name, node, docstring in public_functions(ast.parse(source))
        if takes_arrays(node) and not is_override(node) and not SHAPE.search(docstring)
    ]


def undocumented_errors(source: str) -> list[str]:
    """Errors that a public function raises and its docstring does not name."""
    return [
        f"{node.lineno}: {name} raises {error} and does not say so"
        for name, node, docstring in public_functions(ast.parse(source))
        for error in sorted(raised_names(node) - PROTOCOL_ERRORS)
        if not is_override(node) and error not in docstring
    ]


def vague_errors(source: str) -> list[str]:
    """Errors whose class does not tell what is wrong."""
    return [
        f"{node.lineno}: {', '.join(vague)} says nothing: use a class of oaa_pl.errors"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Raise) and (vague := raised_names(node) & VAGUE_ERRORS)
    ]


def too_long(source: str) -> list[str]:
    """The file itself, if it is longer than one idea."""
    lines = len(source.splitlines())
    return [f"{lines}: longer than {LONGEST} lines, split it"] if lines > LONGEST else []


def hidden_examples(source: str) -> list[str]:
    """Examples that the site would show as running text: its section is `Examples:`."""
    lines = enumerate(source.splitlines(), 1)
    return [
        f"{number}: Example: write Examples:"
        for number, line in lines
        if line.strip() == "Example:"
    ]


CHECKS = [missing_shapes, undocumented_errors, vague_errors, too_long, hidden_examples]


@pytest.mark.parametrize("check", CHECKS)
def test_every_file_of_src_keeps_the_rule(check) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{bad}"
        for path in sorted(SOURCE.rglob("*.py"))
        for bad in check(path.read_text("utf-8"))
    ]
    assert wrong == []


RAISES = 'def f(x: int) -> None:\n    """Sum."""\n    raise ConfigError("no")'


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (missing_shapes, 'def f(x: Tensor) -> None:\n    """Sum (see there)."""'),
        (missing_shapes, 'class A:\n    """A."""\n    def f(self, x: NDArray[int]): ...'),
        (undocumented_errors, RAISES),
        (
            hidden_examples,
            'def f() -> None:\n    """Sum.\n\n    Example:\n        >>> f()\n    """',
        ),
        (undocumented_errors, 'class A:\n    """A."""\n    def __init__(self): raise KeyError(1)'),
        (vague_errors, "def _f():\n    if 1:\n        raise RuntimeError('no')"),
        (too_long, "\n" * 251),
    ],
)
def test_the_rule_sees_what_breaks_it(check, source: str) -> None:
    assert len(check(source)) == 1


@pytest.mark.parametrize(
    ("check", "source"),
    [
        (missing_shapes, 'def f(x: Tensor) -> None:\n    """Sum of x, (B, C)."""'),
        (missing_shapes, "@override\ndef f(x: Tensor) -> None: ..."),
        (undocumented_errors, RAISES.replace("Sum", "Sum. Raises: ConfigError")),
        (undocumented_errors, RAISES.replace("ConfigError", "StopIteration")),
        (vague_errors, "raise ConfigError('no')"),
        (too_long, "\n" * 250),
    ],
)
def test_the_rule_lets_the_rest_pass(check, source: str) -> None:
    assert check(source) == []


def test_shapes_are_told_from_prose() -> None:
    shapes = "(B, C, H, W)", "(N,)", "(H/8, W/8)", "(C+1, h, w)", "(H, W, 3)", "Scalar, in nats"
    prose = "(see there)", "(that is, nothing)", "(when, how)"
    assert [text for text in shapes if not SHAPE.search(text)] == []
    assert [text for text in prose if SHAPE.search(text)] == []


def test_an_error_that_is_caught_where_it_is_raised_is_not_counted() -> None:
    source = "try:\n    raise TypeError(1)\nexcept (KeyError, TypeError):\n    raise StoreError(2)"
    assert raised_names(ast.parse(source)) == {"StoreError"}


def test_ruff_refuses_what_is_left_to_it() -> None:
    source = (
        "from .a import b\ndef f(x):\n    assert x\n    print(b)\n"
        "class C:\n    def g(self):\n        pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--output-format=concise", "--no-cache",
         "--stdin-filename", "src/oaa_pl/data/planted.py", "-"],
        cwd=ROOT, input=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    wanted = {"D100", "D101", "D102", "D103", "S101", "T201", "TID252"}
    assert wanted <= set(re.findall(r": ([A-Z]+\d+) ", done.stdout)), done.stderr
