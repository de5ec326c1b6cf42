import errno
import os
import re
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.commands.tiny import files

from oaa_pl.errors import OutputError, StoreError
from oaa_pl.files.atomic import sweep, write_whole

NOBODY = 2**22 + 1  # above the highest process number of Linux


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_written(file: BinaryIO) -> None:
    file.write(b"h")
    full_disk()


def test_a_file_is_written_with_its_folders_and_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a/b/page.html", b"new")
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["page.html"]
    assert (tmp_path / "a/b/page.html").read_bytes() == b"new"


def test_a_function_may_write_the_content(tmp_path: Path) -> None:
    write_whole(tmp_path / "page.html", lambda file: file.write(b"new"))
    assert (tmp_path / "page.html").read_bytes() == b"new"


def test_the_temporary_file_is_hidden_and_names_its_process(tmp_path: Path) -> None:
    seen: list[str] = []
    write_whole(tmp_path / "a", lambda _: seen.extend(path.name for path in tmp_path.iterdir()))
    (name,) = seen
    assert re.fullmatch(rf"\.[0-9a-f]{{16}}\.{os.getpid()}\.partial", name)


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "page.html", b"old")
    message = r"page\.html cannot be written \(No space left on device\); free disk space"
    with pytest.raises(OutputError, match=message):
        write_whole(tmp_path / "page.html", half_written)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_bytes() == b"old"


def test_an_interrupted_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    def interrupted(file: BinaryIO) -> None:
        file.write(b"h")
        raise KeyboardInterrupt("stop")

    write_whole(tmp_path / "page.html", b"old")
    with pytest.raises(KeyboardInterrupt, match="stop"):
        write_whole(tmp_path / "page.html", interrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_bytes() == b"old"


def test_a_durable_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(os, "fsync", lambda _: steps.append("flushed"))
    monkeypatch.setattr(
        Path, "replace", lambda self, to: steps.append("renamed") or replace(self, to)
    )
    write_whole(tmp_path / "a", b"new", durable=True)
    assert steps == ["flushed", "renamed"]
    write_whole(tmp_path / "a", b"new")
    assert steps[2:] == ["renamed"]


def test_a_folder_in_the_way_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(OutputError, match="choose another one"):
        write_whole(tmp_path / "page.html", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_file_where_a_folder_should_be_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/page\.html cannot be written"):
        write_whole(tmp_path / "file/page.html", b"new")


def test_the_caller_chooses_the_class_of_the_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        write_whole(tmp_path / "a", full_disk, error=StoreError)


def test_leftovers_of_the_dead_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    gone = [f".a.csv.{NOBODY}.tmp", f".stage.json.{os.getpid()}.partial", "deep/.b.png.0af3.part"]
    kept = [f".a.csv.{os.getppid()}.tmp", ".hidden", "a.csv", "deep/b.part", ".git.d"]
    for name in gone + kept:
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert files(tmp_path) == set(kept)


def test_a_shallow_sweep_leaves_folders_alone(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/.b.png.0af3.part").touch()
    sweep(tmp_path, ".*")
    assert files(tmp_path) == {"deep/.b.png.0af3.part"}


def test_what_a_killed_write_leaves_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed_before_the_rename(pid: int) -> None:
        monkeypatch.setattr(os, "getpid", lambda: pid)
        monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(OutputError, match="No space"):
            write_whole(tmp_path / "a", half_written)
        monkeypatch.undo()

    killed_before_the_rename(NOBODY)
    killed_before_the_rename(os.getppid())
    assert len(files(tmp_path)) == 2
    sweep(tmp_path)
    (left,) = files(tmp_path)
    assert left.endswith(f".{os.getppid()}.partial")
