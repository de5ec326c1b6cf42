from pathlib import Path

import pytest

from oaa_pl.errors import StoreError
from oaa_pl.store.fresh import clear_maps, new_folder


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("spoilt"), KeyboardInterrupt("spoilt"), StoreError("spoilt")]
)
def test_an_error_while_a_folder_is_made_leaves_nothing(
    tmp_path: Path, error: BaseException
) -> None:
    def spoil() -> None:
        with new_folder(tmp_path / "new") as folder:
            (folder / "half").write_text("half")
            raise error

    with pytest.raises(type(error), match=r"^spoilt$"):
        spoil()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_with_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    def fill() -> None:
        with new_folder(tmp_path / "new"):
            raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match=r"new cannot be made \(No space left on device\)"):
        fill()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match=r"file/new cannot be made \(Not a directory\)"),
        new_folder(tmp_path / "file" / "new"),
    ):
        pass


def test_a_new_folder_may_be_a_link_to_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "disk" / "place").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "place")
    with new_folder(tmp_path / "link") as folder:
        (folder / "file").write_text("whole")
    assert (tmp_path / "disk" / "place" / "file").read_text() == "whole"
    assert (tmp_path / "link").is_symlink()


def test_a_kill_while_maps_are_removed_leaves_no_half_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    def killed(folder: Path, **_: object) -> None:
        if folder.exists():
            raise KilledError

    maps = tmp_path / "attention" / "oaa_max"
    (maps / "store").mkdir(parents=True)
    (maps / "store" / "header.json").write_text("{}")
    monkeypatch.setattr("oaa_pl.store.fresh.shutil.rmtree", killed)
    with pytest.raises(KilledError):
        clear_maps(maps)
    assert not maps.exists()
    monkeypatch.undo()
    clear_maps(maps)
    assert list(maps.parent.iterdir()) == []
