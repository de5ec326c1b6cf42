"""The site that `make docs` builds: complete, without broken links, without a network."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typing_extensions import override

import oaa_pl

ROOT = Path(__file__).parents[1]
NAMES = re.findall(
    r"^\| `(oaa_pl[\w.]*)` \|", (ROOT / "docs/api/index.md").read_text("utf-8"), re.MULTILINE
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("material") is None
        or importlib.util.find_spec("mkdocstrings_handlers") is None,
        reason="the extra 'docs' is not installed: pip install -e '.[docs]'",
    ),
]


class Content(HTMLParser):
    """The anchors of a page, what it links to, what it loads, and its tags."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.feed(page.read_text("utf-8"))

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.add(tag)
        self.anchors |= {values[key] or "" for key in ("id", "name") if key in values}
        link = values.get("href") if tag in ("a", "link") else values.get("src")
        if link is not None:
            (self.links if tag == "a" else self.loaded).append(link)


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict`, as `make docs` runs it."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Content]:
    return {page: Content(page) for page in sorted(site.rglob("*.html"))}


def test_every_link_leads_to_a_file_and_an_anchor_of_the_site(pages: dict[Path, Content]) -> None:
    wrong = []
    for page, content in pages.items():
        if page.name == "404.html":  # its links are absolute, for a server that shows it anywhere
            continue
        for link in [*content.links, *content.loaded]:
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if link.startswith(("http", "data:")):
                continue
            if not target.is_file():
                wrong.append(f"{page.name}: {link}: no such file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                wrong.append(f"{page.name}: {link}: no such anchor")
    assert len(pages) > 40
    assert wrong == []


def test_nothing_is_loaded_from_a_network(pages: dict[Path, Content], site: Path) -> None:
    loaded = {link for content in pages.values() for link in content.loaded}
    assert any(link.endswith("iframe-worker.js") for link in loaded)
    assert [link for link in loaded if re.match(r"(\w+:)?//", link)] == []
    styles = "".join(sheet.read_text("utf-8") for sheet in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)[\s\"']*(?:https?:)?//[^)\s]+", styles) == []


def test_the_pages_of_the_experiments_are_there_with_their_pictures(site: Path) -> None:
    for protocol in (ROOT / "experiments").rglob("README.md"):
        assert (site / protocol.relative_to(ROOT).with_name("index.html")).is_file()
    for picture in (ROOT / "experiments").rglob("*.png"):
        assert (site / picture.relative_to(ROOT)).is_file()


def public(name: str) -> set[str]:
    """The functions and classes that the modules of a package list in `__all__`, by path."""
    place = ROOT.joinpath("src", *name.split("."))
    found = set()
    for file in sorted(place.rglob("*.py")) or [place.with_suffix(".py")]:
        tree = ast.parse(file.read_text("utf-8"))
        (listed, *_) = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ] or [[]]
        module = ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in listed:
                found.add(f"{module}.{node.name}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_an_api_page_has_every_public_name(
    name: str, pages: dict[Path, Content], site: Path
) -> None:
    front_door = {f"oaa_pl.{one}" for one in oaa_pl.__all__ if one != "__version__"}
    expected = front_door if name == "oaa_pl" else public(name)
    assert expected != set()
    assert expected - pages[site / "api" / f"{name}.html"].anchors == set()


def test_what_the_configuration_names_has_an_entry(pages: dict[Path, Content]) -> None:
    anchors = set().union(*(content.anchors for content in pages.values()))
    named = {
        target
        for file in (ROOT / "conf").rglob("*.yaml")
        for line in file.read_text("utf-8").splitlines()
        for target in re.findall(r"_target_: (oaa_pl[\w.]+)", line)
    }
    assert len(named) > 30
    assert named - anchors == set()


def test_examples_are_shown_as_code(pages: dict[Path, Content]) -> None:
    api = {page.name: content for page, content in pages.items() if page.parent.name == "api"}
    assert [name for name, content in api.items() if "blockquote" in content.tags] == []


SMALL = """
INHERIT: {root}/mkdocs.yml
nav: [index.md]
hooks: []
extra_css: []
"""
MODULE = '''"""A module."""

__all__ = ["double"]


def double(number: int) -> int:
    """Twice a number.

    Args:
        {argument}: any.
    """
    return 2 * number
'''


@pytest.mark.parametrize(
    ("fault", "page", "argument", "other"),
    [
        (None, "::: small", "number", None),
        ("not found among documentation files", "[there](nowhere.md)", "number", None),
        ("there is no such anchor on this page", "[there](index.md#nowhere)", "number", None),
        ("nowhere could not be found", "::: small.nowhere", "number", None),
        ("'digit' does not appear in the function signature", "::: small", "digit", None),
        ('not included in the "nav"', "::: small", "number", "lost.md"),
    ],
)
def test_a_fault_stops_the_build(
    fault: str | None, page: str, argument: str, other: str | None, tmp_path: Path
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "mkdocs.yml").write_text(SMALL.format(root=ROOT), "utf-8")
    (tmp_path / "docs/index.md").write_text(f"# Small\n\n{page}\n", "utf-8")
    (tmp_path / "src/small.py").write_text(MODULE.format(argument=argument), "utf-8")
    if other is not None:
        (tmp_path / "docs" / other).write_text("# Lost\n", "utf-8")
    done = build(tmp_path, tmp_path / "site")
    if fault is None:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert fault in done.stderr
