"""Saliency maps of photos; what is no photo is named, what is there already is left as it is."""

import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import files, oaa, require_refusal, words
from tests.proxy.tiny_onnx import save_model

from oaa_pl.commands import saliency
from oaa_pl.data.images import read_photo
from oaa_pl.proxy.background import FolderCue


def needs_the_extra() -> None:
    pytest.importorskip("onnxruntime", reason="the extra 'saliency' is not installed")


@pytest.fixture
def holiday(tmp_path: Path) -> Path:
    """A folder with two photos, a broken file, a text file and a hidden one."""
    folder = tmp_path / "holiday"
    (folder / "beach").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 200, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "cat.png")
    Image.fromarray(pixels).resize((9, 6)).save(folder / "beach/cat.jpg")
    (folder / "broken.jpg").write_bytes((folder / "beach/cat.jpg").read_bytes()[:300])
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden").write_text("nobody's business")
    return folder


@pytest.fixture
def red(tmp_path: Path) -> str:
    """A network for which red is an object."""
    return f"saliency.model={save_model(tmp_path / 'red.onnx', size=(8, 8))}"


def test_photos_get_maps_that_the_folder_cue_reads_and_the_rest_is_named(
    empty: Path, holiday: Path, red: str, caplog: pytest.LogCaptureFixture
) -> None:
    needs_the_extra()
    with caplog.at_level(logging.INFO):
        said = oaa("saliency", red, f"saliency.photos={holiday}", "saliency.output=maps")
    assert said.status == 0, said.err
    assert files(empty) == {"maps/cat.png", "maps/beach__cat.png"}
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(warned) == 2
    assert "broken.jpg" in warned[0]
    assert "notes.txt" in warned[1]
    assert "saliency of 2 of 4 files (0 before)" in caplog.text

    photo = read_photo(holiday / "cat.png")
    channel = photo[..., 0].astype(float)
    levels = np.rint(255 * (channel - channel.min()) / (channel.max() - channel.min()))
    cue = FolderCue(empty / "maps")
    assert np.array_equal(cue("cat", photo), levels.astype(np.float32) / np.float32(255))
    assert cue("beach__cat", read_photo(holiday / "beach/cat.jpg")).shape == (6, 9)
    with Image.open(empty / "maps/cat.png") as image:
        assert image.mode == "L"


def test_what_is_there_already_is_left_as_it_is(
    empty: Path, holiday: Path, red: str, caplog: pytest.LogCaptureFixture
) -> None:
    needs_the_extra()
    arguments = ("saliency", red, f"saliency.photos={holiday}", "saliency.output=maps")
    assert oaa(*arguments).status == 0
    (empty / "maps/cat.png").write_bytes(b"somebody's own")
    (empty / "maps/beach__cat.png").unlink()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert oaa(*arguments).status == 0
    assert "saliency of 2 of 4 files (1 before)" in caplog.text
    assert (empty / "maps/cat.png").read_bytes() == b"somebody's own"
    assert (empty / "maps/beach__cat.png").is_file()


def test_an_interrupted_command_goes_on_where_it_was(
    empty: Path, holiday: Path, red: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_the_extra()
    arguments = ("saliency", red, f"saliency.photos={holiday}", "saliency.output=maps")
    with monkeypatch.context() as patch:

        def interrupted(path: Path) -> np.ndarray:
            if path.name == "cat.png":
                raise KeyboardInterrupt
            return read_photo(path)

        patch.setattr(saliency, "read_photo", interrupted)
        said = oaa(*arguments)
    assert said.status == 130
    assert files(empty) == {"maps/beach__cat.png"}
    assert oaa(*arguments).status == 0
    assert files(empty) == {"maps/beach__cat.png", "maps/cat.png"}


def test_maps_that_lie_among_the_photos_are_none_of_them(
    empty: Path, holiday: Path, red: str
) -> None:
    needs_the_extra()
    for _ in range(2):
        said = oaa("saliency", red, f"saliency.photos={holiday}", f"saliency.output={holiday}/maps")
        assert said.status == 0, said.err
    assert files(holiday / "maps") == {"cat.png", "beach__cat.png"}


def test_without_a_folder_the_training_photos_get_the_data_set_s_maps(
    empty: Path, tiny_voc_once: Path, red: str
) -> None:
    needs_the_extra()
    maps = empty / "Saliency"
    said = oaa("saliency", *words(tiny_voc_once), red, f"data.saliency={maps}")
    assert said.status == 0, said.err
    assert files(maps) == {f"2007_00000{n}.png" for n in (1, 2, 3, 4)}
    photo = read_photo(tiny_voc_once / "JPEGImages/2007_000001.jpg")
    assert FolderCue(maps)("2007_000001", photo).shape == photo.shape[:2]


def test_labels_are_made_with_the_model_itself(again: Path, tiny_voc_once: Path, red: str) -> None:
    needs_the_extra()
    shutil.rmtree(again / "runs/tiny/seed-0/labels")
    arguments = [word for word in words(tiny_voc_once) if not word.startswith("background")]
    said = oaa("label", *arguments, "method=oaa_max", "background=onnx", red)
    assert said.status == 0, said.err
    kept = [path.name for path in (again / "runs/.cache/voc12").glob("onnx-*/*.png")]
    assert sorted(kept) == [f"2007_00000{n}.png" for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("content", [b"", b"no photo"])
def test_a_folder_without_one_readable_photo_is_an_error(
    empty: Path, tmp_path: Path, red: str, content: bytes
) -> None:
    needs_the_extra()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(content)
    said = oaa("saliency", red, f"saliency.photos={tmp_path}/photos", "saliency.output=maps")
    assert said.status == 2
    assert "none of 1 files could be read as a photo" in said.last
    assert not files(empty)


def test_a_network_that_makes_no_saliency_ends_the_command(
    empty: Path, holiday: Path, tmp_path: Path
) -> None:
    needs_the_extra()
    model = save_model(tmp_path / "colours.onnx", channel=None)
    said = oaa(
        "saliency", f"saliency.model={model}", f"saliency.photos={holiday}", "saliency.output=maps",
        "saliency.size=8",
    )  # fmt: skip
    assert said.status == 2
    assert "expected one map (1, 1, h, w)" in said.last
    assert not files(empty)


def test_an_output_that_cannot_be_written_is_named(empty: Path, holiday: Path, red: str) -> None:
    needs_the_extra()
    (empty / "maps").write_text("in the way")
    said = oaa("saliency", red, f"saliency.photos={holiday}", "saliency.output=maps")
    assert said.status == 2
    assert "maps/beach__cat.png cannot be written" in said.last


def test_without_the_extra_it_is_named(
    empty: Path, holiday: Path, red: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    said = oaa("saliency", red, f"saliency.photos={holiday}", "saliency.output=maps")
    require_refusal(said, "pip install 'oaa_pl[saliency]'")


@pytest.mark.parametrize(
    ("given", "fragments"),
    [
        ({"model": "absent.onnx"}, ("saliency.model 'absent.onnx' cannot be read", "ONNX file")),
        ({"model": "u2net"}, ("saliency.model 'u2net'", "models are not fetched by name")),
        ({"model": None}, ("saliency.model is not set",)),
        ({"output": None}, ("saliency.output is not set", "data.saliency=<folder>")),
        ({"photos": "absent"}, ("saliency.photos: absent is not a folder",)),
        ({"photos": "bare"}, ("saliency.photos: bare holds no file",)),
        ({"photos": "twins"}, ("a.jpg", "a.png", "both get the map 'a.png'", "rename one")),
        ({"photos": "twins", "output": "twins"}, ("both get the map",)),
        ({"photos": "one", "output": "one"}, ("'one' is the folder of the photos",)),
        ({"photos": None}, ("data.root",)),
    ],
)
def test_bad_input_is_one_line_that_says_what_to_do(
    empty: Path, red: str, given: dict[str, str | None], fragments: tuple[str, ...]
) -> None:
    for folder, names in {"bare": (), "twins": ("a.jpg", "a.png"), "one": ("b.png",)}.items():
        (empty / folder).mkdir()
        for name in names:
            Image.new("RGB", (4, 4)).save(empty / folder / name)
    before = files(empty)
    chosen = {"model": red.partition("=")[2], "photos": "one", "output": "maps", **given}
    arguments = [f"saliency.{key}={value}" for key, value in chosen.items() if value is not None]
    require_refusal(oaa("saliency", "data=voc12", *arguments), *fragments)
    assert files(empty) == before
