"""The README and the pages of `docs/`: their commands fit, their links lead somewhere."""

import re
import shlex
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from tests.test_import_order import LAYERS

from oaa_pl.commands.manual import COMMANDS, STORE
from oaa_pl.commands.store import ACTIONS
from oaa_pl.config.compose import register
from oaa_pl.files.installed import root_of
from oaa_pl.report.markdown import markdown_tables
from oaa_pl.report.results import read_results

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
SITE = {DOCS, ROOT / "experiments"}  # what the site has: docs/site/pages.py
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
MARKERS = [
    marker.partition(":")[0] for marker in PROJECT["tool"]["pytest"]["ini_options"]["markers"]
]
EXPERIMENTS = ("synthetic", "photos", "voc12")
KEYS = {
    *yaml.safe_load((ROOT / "conf/config.yaml").read_text("utf-8")),
    *(folder.name for folder in (ROOT / "conf").iterdir() if folder.is_dir()),
}
VALUES = re.compile(r"(\+?[a-z_.]+=(?!\.|\[\.)\S+ ?)+")
SHELL = ("#", "export ", "[ $? ")  # comments, variables, the requeueing line of a batch script


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)


@cache
def composes(overrides: tuple[str, ...]) -> str:
    """Why a command line does not fit the configuration; empty if it does."""
    register()
    try:
        with initialize_config_dir(str(root_of("conf")), version_base="1.3"):
            compose("config", list(overrides))
    except HydraException as error:
        return str(error).splitlines()[0]
    return ""


def job(words: list[str]) -> list[str]:
    """The overrides of a command's words; of a sweep, those of its first job."""
    values = [word for word in words if ("=" in word or word[0] == "~") and word[0] != "-"]
    # Launchers and sweepers are extras: tests/commands/test_launchers.py runs them.
    values = [word for word in values if not word.startswith(("hydra", "hparams_search="))]
    sweep = "-m" in words
    return [word.split(",")[0] if sweep and "=[" not in word else word for word in values]


def fault_of(line: str) -> str:
    """Why a line of a shell block cannot be typed; empty if it can."""
    if not line.strip() or line.strip().startswith(SHELL):
        return ""
    program, *words = shlex.split(line.removeprefix("srun "), comments=True)
    if program == "oaa":
        return fault_of_oaa(words)
    known = {
        "make": lambda: words[0] in TARGETS,
        "pip": lambda: (
            words[0] == "install"
            and words[1][len("oaa_pl[") : -1] in PROJECT["project"]["optional-dependencies"]
        ),
        "pytest": lambda: words[0] == "-m" and words[1] in MARKERS,
        "python": lambda: (ROOT / words[0]).is_file(),
    }
    return "" if program in known and known[program]() else "no such command"


def fault_of_oaa(words: list[str]) -> str:
    name = " ".join(words[:2]) if " ".join(words[:2]) in COMMANDS else words[0]
    if name not in COMMANDS:
        return f"no command {name!r}"
    if name == STORE:
        return "" if words[1] in ACTIONS else f"no action {words[1]!r}"
    return composes(tuple(job(words)))


def heading_anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one).strip().lower().replace(" ", "-") for one in headings}


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_fit_the_command_line(name: str) -> None:
    lines = [line for block in blocks(PAGES[name], "sh") for line in block.splitlines()]
    assert [(line, fault) for line in lines if (fault := fault_of(line))] == []


@pytest.mark.parametrize(
    "line",
    [
        "oaa frobnicate",
        "oaa fit nett=vgg16",
        "oaa fit net=vgg17",
        "oaa store polish PATH",
        "make coffee",
        "pip install 'oaa_pl[sugar]'",
        "pytest -m leisurely",
        "python docs/images/nothing.py",
        "ls",
    ],
)
def test_a_command_that_does_not_fit_is_found(line: str) -> None:
    assert fault_of(line) != ""


@pytest.mark.parametrize("name", PAGES)
def test_the_values_in_a_text_fit_the_configuration(name: str) -> None:
    """Such as `net=vgg16 trainer=gpu`: for one experiment at least, as each has other keys."""
    text = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    codes = (re.sub(r"<.*?>", "x", code) for code in re.findall(r"`([^`\n]+)`", text))
    wrong = [
        code
        for code in codes
        if VALUES.fullmatch(code) and code.lstrip("+").partition("=")[0].split(".")[0] in KEYS
        if all(composes((f"experiment={one}", *shlex.split(code))) for one in EXPERIMENTS)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_named_in_a_text_exist(name: str) -> None:
    named = re.findall(r"`oaa ([a-z]+(?: check)?)[^`]*`", PAGES[name])
    targets = re.findall(r"`make ([a-z-]+)[^`]*`", PAGES[name])
    assert [word for word in named if word not in COMMANDS] == []
    assert [target for target in targets if target not in TARGETS] == []


def test_every_page_with_python_has_a_test_that_runs_it() -> None:
    # test_readme.py; test_predictor.py and test_exported.py; the test below
    run = ["README.md", "docs/how-to/application.md", "docs/how-to/own-classifier.md"]
    assert [name for name in PAGES if blocks(PAGES[name], "python")] == run


def test_the_views_of_the_page_on_classifiers_are_those_it_names() -> None:
    (block,) = blocks(PAGES["docs/how-to/own-classifier.md"], "python")
    scope: dict[str, Any] = {}
    exec(block, scope)
    corners = torch.tensor([[-1.0, 0.0], [-1.0, 0.0], [1.0, 1.0]])  # x, y, 1: left edge, middle
    mirrored, left_half = scope["view"] @ corners
    assert mirrored[0].tolist() == [1.0, 0.0]  # the left edge is shown at the right
    assert left_half[0].tolist() == [-1.0, 1.0]  # the left half fills the view


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_headings(name: str) -> None:
    folder = (ROOT / name).parent
    wrong = []
    for link in re.findall(r"\]\((?!http)([^)]+)\)", PAGES[name]):
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else ROOT / name
        if not target.exists():
            wrong.append(f"{link}: no such file")
        elif name.startswith("docs/") and not SITE & {*target.parents}:
            wrong.append(f"{link}: leads to what the site does not have")
        elif anchor and anchor not in heading_anchors(target.read_text("utf-8")):
            wrong.append(f"{link}: no such heading")
    assert wrong == []


@pytest.mark.parametrize("name", PAGES)
def test_files_named_in_a_text_exist(name: str) -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.py|(?:conf|docs|tests|experiments)/[\w/.]+)`", PAGES[name])
    places = (ROOT, ROOT / "src" / "oaa_pl", ROOT / "src" / "oaa_pl" / "nets")
    wrong = [path for path in named if not any((place / path).exists() for place in places)]
    assert wrong == []


@pytest.mark.parametrize("start", ["README.md", "docs/index.md"])
def test_every_page_can_be_reached(start: str) -> None:
    folder = (ROOT / start).parent
    linked = {(folder / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)", PAGES[start])}
    pages = {ROOT / name for name in PAGES if name.startswith("docs/") and name != "docs/index.md"}
    assert pages - linked == set()


@pytest.mark.parametrize("results", sorted(ROOT.glob("experiments/*/results.csv")), ids=str)
def test_quoted_tables_are_those_of_the_committed_results(results: Path) -> None:
    mark = rf"<!-- experiments/{results.parent.name}/results.csv -->\n(.*?)<!-- end -->"
    quoted = {
        name: table.strip()
        for name, page in PAGES.items()
        for table in re.findall(mark, page, re.DOTALL)
    }
    assert "docs/results.md" in quoted
    expected = markdown_tables(read_results(results)).strip()
    assert [name for name, table in quoted.items() if table != expected] == []


def test_the_layers_of_the_docs_are_those_that_the_imports_keep() -> None:
    (listed,) = blocks(PAGES["CONTRIBUTING.md"], "text")
    assert [set(line.split()) for line in listed.splitlines()] == [*LAYERS[:-1]]
    rows = re.findall(r"^\| (\d+) \| (.*?) \|", PAGES["docs/architecture.md"], re.MULTILINE)
    layers: list[set[str]] = [set() for _ in LAYERS[:-1]]  # the last is `python -m oaa_pl`
    for number, names in rows:
        layers[int(number) - 1] |= set(re.findall(r"`(\w+)(?:/|\.py)`", names))
    assert layers == [*LAYERS[:-1]]


def test_every_extra_of_a_user_is_on_the_page_about_installing() -> None:
    extras = {*PROJECT["project"]["optional-dependencies"]} - {"dev", "bench", "notebooks", "docs"}
    assert {*re.findall(r"'oaa_pl\[([\w-]+)\]'", PAGES["docs/install.md"])} == extras


def test_the_readme_is_short_and_its_picture_small() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 120
    (picture,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", PAGES["README.md"])
    assert (ROOT / picture).stat().st_size <= 200_000
