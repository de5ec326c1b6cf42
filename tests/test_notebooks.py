"""The tours are committed with what they showed, and nothing of the machine that ran them."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
TOURS = sorted(FOLDER.glob("*.ipynb"))
LIMIT = 300 * 1024  # bytes; a tour is read in a browser, and every version of it stays in git

# A space, quote or bracket before it: a slash within a relative path is none.
ABSOLUTE = re.compile(r"""(?:^|[\s'"`(\[=])(?:/[\w.-]+/[\w.-]+|[A-Za-z]:\\|~/)""", re.MULTILINE)

every_tour = pytest.mark.parametrize("tour", TOURS, ids=lambda path: path.stem)


def read(tour: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(tour.read_text("utf-8"))
    return notebook


def code_cells(tour: Path) -> list[dict[str, Any]]:
    return [cell for cell in read(tour)["cells"] if cell["cell_type"] == "code"]


def text_of(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def words(tour: Path) -> Iterator[str]:
    """Every text that a reader sees, pictures apart."""
    for cell in read(tour)["cells"]:
        yield text_of(cell["source"])
        for output in cell.get("outputs", []):
            yield text_of(output.get("text", ""))
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield text_of(content)


def test_there_are_three_tours() -> None:
    assert [tour.stem for tour in TOURS] == [
        "01_accumulation",
        "02_your_own_classifier",
        "03_reading_a_run",
    ]


@every_tour
def test_a_tour_is_a_notebook_that_runs_with_any_python_kernel(tour: Path) -> None:
    notebook = read(tour)
    assert notebook["nbformat"] == 4
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@every_tour
def test_every_code_cell_parses(tour: Path) -> None:
    for cell in code_cells(tour):
        ast.parse(text_of(cell["source"]))


@every_tour
def test_a_tour_was_run_from_top_to_bottom_without_an_error(tour: Path) -> None:
    cells = code_cells(tour)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert [output for output in outputs if output["output_type"] == "error"] == []


@every_tour
def test_a_tour_shows_pictures(tour: Path) -> None:
    kinds = [
        kind for cell in code_cells(tour) for o in cell["outputs"] for kind in o.get("data", ())
    ]
    assert any(kind.startswith("image/") for kind in kinds)


@every_tour
def test_no_warning_and_no_progress_bar_was_kept(tour: Path) -> None:
    outputs = [output for cell in code_cells(tour) for output in cell["outputs"]]
    assert [text_of(o["text"]) for o in outputs if o.get("name") == "stderr"] == []
    assert not any("\r" in text or "it/s" in text for text in words(tour))


@every_tour
def test_no_path_of_the_machine_was_kept(tour: Path) -> None:
    assert [found for text in words(tour) for found in ABSOLUTE.findall(text)] == []


@every_tour
def test_links_to_other_files_lead_somewhere(tour: Path) -> None:
    links = [link for text in words(tour) for link in re.findall(r"\]\((?!http)([^)#]+)\)", text)]
    assert [link for link in links if not (FOLDER / link).exists()] == []


@every_tour
def test_a_tour_is_small(tour: Path) -> None:
    assert tour.stat().st_size < LIMIT


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("nbclient") is None or importlib.util.find_spec("nbconvert") is None,
    reason="the extra 'notebooks' is not installed: pip install -e '.[notebooks]'",
)
@every_tour
def test_a_tour_runs_from_a_fresh_copy(tour: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notebooks"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".*"))
    command = ["-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", tour.name]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    # What is drawn lies in the clone's data/, what is made in a folder that is gone.
    assert {path.name for path in tmp_path.iterdir()} <= {"notebooks", "data"}
