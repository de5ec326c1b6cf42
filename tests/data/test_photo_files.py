import unicodedata
from pathlib import Path

import pytest

from oaa_pl.data.photo_files import PHOTO_SUFFIXES, NamedFiles, find_photo, image_id, list_photos


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize("suffix", [".tif", ".tiff", ".gif", ".jfif", ".bmp", ".webp", ".jpe"])
@pytest.mark.parametrize("write", [str.lower, str.upper, str.title], ids=["low", "UP", "Title"])
def test_a_photo_of_any_suffix_is_found_listed_and_named(
    tmp_path: Path, suffix: str, write: type[str]
) -> None:
    name = f"a b{write(suffix)}"
    touch(tmp_path, name)
    assert suffix in PHOTO_SUFFIXES
    assert find_photo(tmp_path, "a b") == find_photo(tmp_path, name) == tmp_path / name
    assert find_photo(tmp_path, f"a b{suffix}") == tmp_path / name
    assert list_photos(tmp_path) == [tmp_path / name]
    assert image_id(name) == "a b"


@pytest.mark.parametrize("disk", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["Süd/Höhle", "Süd/Höhle.jpg", "Süd/Höhle.JPG"])
def test_accents_are_found_in_either_encoding_and_spelled_as_asked(
    tmp_path: Path, disk: str, asked: str, name: str
) -> None:
    touch(tmp_path, unicodedata.normalize(disk, "Süd/Höhle.jpg"))
    wanted = unicodedata.normalize(asked, name)
    found = NamedFiles(tmp_path).find(wanted)
    assert found is not None
    assert found.path.is_file()
    # So that ids, and what is made of them, are the same whatever the disk does to names.
    assert image_id(found.name) == image_id(wanted)


def test_the_exact_name_wins(tmp_path: Path) -> None:
    touch(tmp_path, "a.JPG", "a.jpg", "a.png", "b.gif", "b.png")
    for name in ("a.JPG", "a.jpg", "a.png"):
        assert find_photo(tmp_path, name) == tmp_path / name
    assert find_photo(tmp_path, "a") == tmp_path / "a.jpg"
    assert find_photo(tmp_path, "b") == tmp_path / "b.png"


def test_another_format_is_not_taken_but_proposed(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png", "Beach.jpg")
    files = NamedFiles(tmp_path)
    assert files.find("sub/a.jpg") is None
    assert files.like("sub/a.jpg") == "sub/a.png"
    assert files.find("beach.jpg") is None
    assert files.like("beach.jpg") == "Beach.jpg"
    assert files.like("other.jpg") is None


def test_a_list_from_windows_has_its_folders_told_by_backslashes(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png", "odd\\b.png")
    found = NamedFiles(tmp_path).find("sub\\a.png")
    assert found == (tmp_path / "sub/a.png", "sub/a.png")
    assert find_photo(tmp_path, "odd\\b.png") == tmp_path / "odd\\b.png"


@pytest.mark.parametrize("name", ["", ".", "x" * 300, "a\0b", "gone/deep/a", "a.jpg/b"])
def test_a_name_that_no_disk_holds_is_not_found(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a.jpg")
    files = NamedFiles(tmp_path)
    assert files.find(name) is None
    assert files.like(name) is None


def test_a_folder_with_a_photos_name_is_no_photo(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    assert find_photo(tmp_path, "a") is find_photo(tmp_path, "a.jpg") is None
    assert list_photos(tmp_path) == []
