from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oaa_pl.errors import OutputError
from oaa_pl.proxy.png import save_png

PICTURE = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))


def test_a_picture_comes_back_with_its_notes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.png"
    save_png(path, PICTURE, {"photo": "abc"})
    with Image.open(path) as image:
        assert (np.array(image) == np.array(PICTURE)).all()
        assert image.info["photo"] == "abc"


def test_an_old_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    save_png(path, PICTURE)
    with Image.open(path) as image:
        assert image.size == (4, 3)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        (OSError(28, "No space left"), OutputError, r"a\.png cannot be written \(No space left\)"),
    ],
)
def test_a_broken_write_leaves_the_old_file_and_no_part(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    raised: type[BaseException],
    message: str,
) -> None:
    path = tmp_path / "a.png"
    save_png(path, PICTURE)
    before = path.read_bytes()

    def broken(self: Path, to: Path) -> Path:
        raise error

    monkeypatch.setattr(Path, "replace", broken)
    with pytest.raises(raised, match=message):
        save_png(path, PICTURE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"file/a\.png cannot be written \(File exists\)"):
        save_png(tmp_path / "file" / "a.png", PICTURE)
