"""Hook of mkdocs: the pages of the site that are not in `docs/`.

- An API page for each name in the table of `docs/api/index.md`, which is the only list of them. It
  has the public modules of that package, which are those with `__all__`. mkdocstrings fills it from
  the docstrings.
- The protocols, pictures and scores of `experiments/`. Links lead there as in the checkout,
  `../experiments/` from `docs/` and `../../docs/` back, so that they also work on a forge. The site
  has the folder inside, so the links are shortened here.
"""

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
TABLE = "api/index.md"
PROTOCOLS = "experiments/README.md"
KINDS = {".md", ".csv", ".png", ".jpg"}
ROW = re.compile(r"^\| `(oaa_pl[\w.]*)` \|", re.MULTILINE)


def names() -> list[str]:
    """The packages and modules of the table, in its order."""
    return ROW.findall((ROOT / "docs" / TABLE).read_text("utf-8"))


def path_of(name: str) -> str:
    """The API page of a package, relative to `docs/`."""
    return f"api/{name}.md"


def modules(name: str) -> list[str]:
    """The public modules of a package, by path; a module, or the front door, is one by itself."""
    place = SOURCE.joinpath(*name.split("."))
    if "." not in name or place.with_suffix(".py").is_file():
        return [name]
    files = [file for file in sorted(place.rglob("*.py")) if file.name != "__init__.py"]
    found = [file.relative_to(SOURCE).with_suffix("") for file in files if is_public(file)]
    if not found:
        raise PluginError(f"docs/{TABLE} names {name}, which has no public module in {SOURCE}")
    return [".".join(file.parts) for file in found]


def is_public(file: Path) -> bool:
    """Whether a module says which of its names are public."""
    body = ast.parse(file.read_text("utf-8")).body
    targets = [node.targets[0] for node in body if isinstance(node, ast.Assign)]
    return "__all__" in map(ast.unparse, targets)


def api_page(name: str) -> str:
    """The Markdown of an API page."""
    return f"# `{name}`\n\n" + "\n".join(f"::: {module}\n" for module in modules(name))


def experiment_files() -> list[str]:
    """What the site has of `experiments/`, by path from the root."""
    files = sorted((ROOT / "experiments").rglob("*"))
    return [file.relative_to(ROOT).as_posix() for file in files if file.suffix in KINDS]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages below the entries of the navigation that list them."""
    protocols = [path for path in experiment_files() if path.endswith(".md") and path != PROTOCOLS]
    below: dict[str, list[object]] = {
        TABLE: [{name.removeprefix("oaa_pl."): path_of(name)} for name in names()],
        PROTOCOLS: [*protocols],
    }
    for entry in config.nav or []:
        ((title, path),) = entry.items()
        if isinstance(path, str) and path in below:
            entry[title] = [path, *below[path]]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and the files that they show."""
    for name in names():
        files.append(File.generated(config, path_of(name), content=api_page(name)))
    for path in experiment_files():
        files.append(File(path, str(ROOT), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead links to where the site has their pages."""
    if page.file.src_uri == TABLE:
        return ROW.sub(lambda row: f"| [`{row[1]}`]({row[1]}.md) |", markdown)
    return re.sub(r"(\]\((?:\.\./)*)(?:\.\./experiments|docs)/", in_site, markdown)


def in_site(link: re.Match[str]) -> str:
    """The beginning of a link without the folder that the site does not have."""
    return f"{link[1]}experiments/" if link[0].endswith("experiments/") else link[1]
