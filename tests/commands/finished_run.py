"""A finished run at toy size, shared by the tests that only read it."""

import shutil
from pathlib import Path

import pytest
from tests.commands.tiny import inside, oaa, words


@pytest.fixture(scope="session")
def finished(tiny_voc_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `oaa reproduce` ran to the end; to be read only."""
    folder = tmp_path_factory.mktemp("finished")
    with inside(folder):
        said = oaa("reproduce", *words(tiny_voc_once))
    assert said.status == 0, said.err
    return folder


@pytest.fixture
def again(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished run to work on, in the current folder."""
    shutil.copytree(finished / "runs", tmp_path / "work" / "runs")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
