"""Anybody's photos and tags through the whole command line: each works, or is refused by name."""

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import files, oaa, require_refusal, words

from oaa_pl.proxy.palette import load_label
from oaa_pl.store.reader import StoreReader

SMALL = tuple(
    word for word in words(Path())
    if not word.startswith(("data=", "data.root", "data.train_split", "data.val_split"))
)  # fmt: skip
STORE = "runs/tiny/seed-0/attention/oaa_max/store"

# Photo, its tags: every kind of name at once.
TAGS = {
    "holiday 2024/beach.jpg": ("dog", "traffic light"),
    "my photo.JPG": ("coffee maker", "traffic light"),
    "Höhle (1).png": ("<b>$x$", "dog"),
    ".100%.gif": ("1.0",),
    "كلب 🐕.tif": ("coffee maker", "a/b"),
    "#1.bmp": ("null", "dog"),
}
CLASSES = tuple(sorted({tag for tags in TAGS.values() for tag in tags}))


def save_photos(folder: Path, names: list[str], masks: Path | None = None) -> None:
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, quality=95)
        if masks is not None:
            masks.mkdir(exist_ok=True)
            mask = np.zeros((40, 50), np.uint8)
            mask[10:30, 10:30] = 1 + CLASSES.index(TAGS[name][0])
            stem = name.rpartition(".")[0].replace("/", "__")
            Image.fromarray(mask).save(masks / f"{stem}.png")


def save_tags(path: Path, tags: dict[str, tuple[str, ...]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = [(name, ";".join(found)) for name, found in tags.items()]
        csv.writer(file).writerows([("image", "tags"), *rows])
    return path


@pytest.fixture(autouse=True)
def listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture
def photos(empty: Path) -> tuple[str, ...]:
    """The words for a folder of such photos in the current folder."""
    save_photos(empty / "photos (1)", list(TAGS), empty / "masks")
    save_tags(empty / "tags.csv", TAGS)
    return ("data=folder", "data.root=photos (1)", "data.tag_file=tags.csv", *SMALL)


def test_any_names_go_from_csv_to_export_and_masks(
    empty: Path, photos: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    val = save_tags(empty / "val.csv", dict(list(TAGS.items())[:2]))
    scored = (f"data.val_tag_file={val.name}", "data.mask_folder=masks")
    said = oaa("reproduce", *photos, *scored, "methods=[oaa_max]")
    assert said.status == 0, said.err
    counts = ", ".join(f"{c} ({sum(c in tags for tags in TAGS.values())})" for c in CLASSES)
    for stage in ("classifier", "segmenter oaa_max"):
        assert caplog.messages.count(f"{stage}: 7 classes: {counts}") == 1
    reader = StoreReader(empty / STORE)
    assert reader.pairs.classes == CLASSES
    assert reader.pairs.ids[0] == "holiday 2024__beach"
    for name in reader.pairs.ids:
        assert load_label(empty / f"runs/tiny/seed-0/labels/oaa_max/proxy/{name}.png").size
    predicted = empty / "runs/tiny/seed-0/segmenter/oaa_max/predictions"
    assert files(predicted) == {"holiday 2024__beach.png", "my photo.png"}
    table = (empty / "runs/tiny/results.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    assert {row["split"] for row in rows} == {"train", "val"}
    page = (empty / "runs/tiny/report/index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;$x$" in page
    assert "<b>$x$" not in page
    assert oaa("store", "export", STORE, "maps here").status == 0
    assert oaa("store", "import", "maps here", "again").status == 0
    assert StoreReader(empty / "again").pairs.ids == reader.pairs.ids
    said = oaa("predict", *photos, "predict.photos=photos (1)", "method=oaa_max")
    assert said.status == 0, said.err
    lines = (empty / "predictions/classes.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" ")[2] for line in lines] == ["background", *CLASSES]
    again = oaa("reproduce", *photos, *scored, "methods=[oaa_max]")
    assert (again.status, "batch/s" in again.err) == (0, False)


def test_validation_has_the_training_classes(empty: Path, photos: tuple[str, ...]) -> None:
    save_tags(empty / "val.csv", {"#1.bmp": ("dog",)})  # one of seven
    said = oaa("fit", *photos, "data.val_tag_file=val.csv", "classifier.epochs=1")
    assert said.status == 0, said.err
    save_tags(empty / "val.csv", {"#1.bmp": ("zebra",)})
    said = oaa("fit", *photos, "data.val_tag_file=val.csv", "name=other")
    require_refusal(said, "val.csv:2: unknown class 'zebra'", "data.classes=[")


@pytest.mark.parametrize(
    ("tags", "fragments"),
    [
        (dict.fromkeys(TAGS, ("red",)), ("has one class, 'red', and every photo has it",)),
        (dict.fromkeys(TAGS, ("red", "blue")), ("absent from others (6 photos; 2 classes",)),
        ({**TAGS, "#1.bmp": ("background",)}, ("tags.csv:7", "id 0 is the background")),
        ({**TAGS, "#1.bmp": ("Dog",)}, ("tags.csv:7", "'dog' and 'Dog' differ only in case")),
        ({**TAGS, "#1.bmp": ("dog, cat",)}, ("tags.csv:7", "'dog, cat'", "'dog;cat'")),
        ({**TAGS, "#1.bmp": tuple(f"c{n}" for n in range(300))}, ("306 classes", "254")),
        ({"#1.bmp": ("dog",), "../masks/#1.png": ("cat",)}, ("tags.csv:3", "below the photo")),
    ],
)
@pytest.mark.parametrize("command", ["fit", pytest.param("reproduce", marks=pytest.mark.slow)])
def test_tags_that_cannot_be_learned_from_are_refused_before_anything_is_written(
    empty: Path, photos: tuple[str, ...], command: str,
    tags: dict[str, tuple[str, ...]], fragments: tuple[str, ...],
) -> None:  # fmt: skip
    save_tags(empty / "tags.csv", tags)
    require_refusal(oaa(command, *photos), *fragments)
    assert not (empty / "runs").exists()


def test_a_name_too_long_for_the_labels_is_refused_before_the_first_stage(
    empty: Path, photos: tuple[str, ...]
) -> None:
    long = {f"{'a' * 130}/{'b' * 130}.png": ("dog",), "#1.bmp": ("null",)}
    save_photos(empty / "photos (1)", list(long))
    save_tags(empty / "tags.csv", long)
    require_refusal(oaa("fit", *photos), "makes a file name of 266 bytes", "at most 255")
    assert not (empty / "runs").exists()


def test_numbers_are_paths_and_names(empty: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_photos(empty / "2012", ["a.png", "b.png"])
    (empty / "123").write_text("image,tags\na,2\nb,1\n")
    values = ("data.root=2012", "data.tag_file=123", "data.classes=[1,2]", "classifier.epochs=1")
    said = oaa("fit", "data=folder", *SMALL, *values)
    assert said.status == 0, said.err
    assert "classifier: 2 classes: 1 (1), 2 (1)" in caplog.messages
    record = json.loads((empty / "runs/tiny/seed-0/classifier/stage.json").read_text())
    assert record["classes"] == ["1", "2"]


def test_home_is_understood_in_every_path(
    empty: Path, photos: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(empty))
    home = ("data.root=~/photos (1)", "data.tag_file='$HOME/tags.csv'", "runs=~/my runs")
    said = oaa("fit", *photos, *home, "classifier.epochs=1")
    assert said.status == 0, said.err
    assert {path.name for path in empty.iterdir()} == {"photos (1)", "masks", "tags.csv", "my runs"}
    store = "~/my runs/tiny/seed-0/attention/oaa_max/store"
    assert "6 images" in oaa("store", "info", store).out


@pytest.mark.slow
def test_a_sweeps_folder_is_expanded_as_well(
    empty: Path, photos: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(empty))
    said = oaa("fit", *photos, "runs=~/r", "classifier.epochs=1", "-m", "seed=0,1")
    assert said.status == 0, said.err
    assert not (empty / "~").exists()
    assert (empty / "r/tiny/seed-1/classifier/done.json").is_file()


def test_own_classes_in_vocs_layout_reach_both_sources(
    empty: Path, tiny_voc: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = np.zeros(256, np.uint8)
    ids[[8, 12, 15, 255]] = 1, 2, 3, 255
    for path in (tiny_voc / "SegmentationClass").glob("*.png"):
        Image.fromarray(ids[load_label(path)]).save(path)
    for path in (tiny_voc / "Annotations").glob("*.xml"):
        path.write_text(path.read_text().replace("person", "my zebra"))
    tags = ("data.tags=annotations", "classifier.epochs=1")
    said = oaa("fit", *words(tiny_voc), *tags)
    require_refusal(said, "unknown class 'my zebra'", "data.classes=[")
    said = oaa("fit", *words(tiny_voc), *tags, "data.classes=[cat,dog,my zebra]")
    assert said.status == 0, said.err
    assert "classifier: 3 classes: cat (2), dog (2), my zebra (2)" in caplog.messages
    said = oaa("evaluate", *words(tiny_voc), *tags, "data.classes=[cat,dog,my zebra]")
    assert said.status == 0, said.err


def test_a_tag_file_with_an_image_twice_is_refused_in_vocs_layout(
    empty: Path, tiny_voc: Path
) -> None:
    (tiny_voc / "tags.csv").write_text("image,tags\n2007_000001.jpg,cat\n2007_000001.png,dog\n")
    tags = ("data.tags=file", f"data.tag_file={tiny_voc / 'tags.csv'}")
    require_refusal(oaa("fit", *words(tiny_voc), *tags), "tags.csv:3", "of line 2", "keep one row")
