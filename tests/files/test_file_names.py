from pathlib import Path

import pytest

from oaa_pl.errors import ConfigError
from oaa_pl.files import file_names
from oaa_pl.files.atomic import write_whole
from oaa_pl.files.file_names import require_file_names


def test_a_name_too_long_for_a_file_is_refused_up_front(tmp_path: Path) -> None:
    require_file_names(["é" * 125], tmp_path / "runs" / "new")
    with pytest.raises(ConfigError, match=r"makes a file name of 256 bytes .*, at most 255"):
        require_file_names(["ok", "é" * 126], tmp_path / "runs" / "new")
    assert not list(tmp_path.iterdir())


def test_a_name_as_long_as_the_disk_allows_is_written(tmp_path: Path) -> None:
    longest = "é" * 125
    require_file_names([longest], tmp_path)
    write_whole(tmp_path / f"{longest}.png", b"label")
    assert [path.name for path in tmp_path.iterdir()] == [f"{longest}.png"]


def test_the_disk_is_asked_how_long_a_name_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_names.os, "pathconf", lambda *_: 143)  # an encrypted home folder
    with pytest.raises(ConfigError, match=r"of 204 bytes .*, at most 143"):
        require_file_names(["x" * 200], tmp_path)


def test_names_of_another_case_are_two_where_the_disk_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "case").touch()
    if not (tmp_path / "CASE").exists():
        require_file_names(["a", "A", "Ho\u0308hle", "H\u00f6hle"], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"case"}
    monkeypatch.setattr(file_names, "_one_file", lambda *_: True)
    with pytest.raises(ConfigError, match="images 'a' and 'A' are one file name on the disk"):
        require_file_names(["a", "b", "A"], tmp_path)
