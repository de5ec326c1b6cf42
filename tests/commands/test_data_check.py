"""`oaa data check`: a data set with every fault, and one without."""

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.commands.tiny import Said, files, oaa, words
from tests.data.odd_images import as_bytes, exif_block, orientation_tag, photo

from oaa_pl.proxy.palette import save_label


def noise(seed: int, size: tuple[int, int] = (60, 80)) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 255, (size[0] // 4, size[1] // 4, 3))
    return Image.fromarray(values.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)


class Folder:
    """Photos, masks and saliency maps of cats and dogs, all sound until a test breaks some."""

    def __init__(self, root: Path) -> None:
        self.root, self.photos = root, root / "photos"
        self.masks, self.saliency = root / "masks", root / "saliency"
        for folder in (self.photos, self.masks, self.saliency):
            folder.mkdir(parents=True)
        self.rows: list[str] = []

    def add(self, name: str, tags: str = "", image: Image.Image | None = None) -> Path:
        number = len(self.rows)
        tags = tags or ("cat", "dog")[number % 2]
        image = noise(number) if image is None else image
        path = self.photos / name
        path.parent.mkdir(exist_ok=True)
        image.save(path)
        self.rows.append(f"{name},{tags}")
        height, width = image.height, image.width
        mask = np.zeros((height, width), np.uint8)
        for place, tag in enumerate(("cat", "dog")):
            if tag in tags.split():
                mask[height // 4 : height // 2, place * width // 2 :][:, : width // 4] = place + 1
        own = Path(name).with_suffix("").as_posix().replace("/", "__")
        save_label(self.masks / f"{own}.png", mask)
        Image.fromarray((mask > 0).astype(np.uint8) * 255).save(self.saliency / f"{own}.png")
        return path

    def check(self, *more: str) -> Said:
        (self.root / "tags.csv").write_text("image,tags\n" + "\n".join(self.rows) + "\n")
        return oaa(
            "data", "check", "data=folder", "name=mine", f"data.root={self.photos}",
            f"data.tag_file={self.root}/tags.csv", f"++data.train.mask_folder={self.masks}",
            f"data.saliency={self.saliency}", "background=folder", *more,
        )  # fmt: skip


@pytest.fixture
def folder(empty: Path) -> Folder:
    made = Folder(empty / "mine")
    for number in range(8):
        made.add(f"sound{number}.png")
    return made


def lines(said: Said, kind: str) -> list[str]:
    start = f"  {kind}: "
    return [line.removeprefix(start) for line in said.out.splitlines() if line.startswith(start)]


def test_a_sound_folder_has_no_fault_and_a_contact_sheet(folder: Folder, empty: Path) -> None:
    said = folder.check()
    assert said.status == 0, said.err
    assert "folder/train: 8 photos, 2 classes: cat (4), dog (4)" in said.out
    assert "smallest 80 x 60, middle 80 x 60, largest 80 x 60 px; PNG 8" in said.out
    assert lines(said, "error") == lines(said, "warning") == []
    assert "runs/mine/data-check.jpg: contact sheet of 8 photos" in said.out
    with Image.open(empty / "runs/mine/data-check.jpg") as sheet:
        assert sheet.format == "JPEG"
        assert sheet.width > 1000


def broken(folder: Folder) -> dict[str, str]:
    """Thirty faults, each with what its line must hold."""
    found: dict[str, str] = {}

    def fault(name: str, text: str) -> Path:
        path = folder.photos / f"{name}.png"
        found[name] = text
        return path

    for name, content in (("empty", b""), ("text", b"no photo"), ("cut", None)):
        path = folder.add(f"{name}.png")
        path.write_bytes(path.read_bytes()[:300] if content is None else content)
        fault(name, f"{path} is empty" if name == "empty" else f"{path} is not a readable image")
    path = folder.add("pipe.png")
    path.unlink()
    os.mkfifo(path)
    folder.rows.pop()  # what cannot be found is only odd
    fault("pipe", f"{path} is not a regular file")
    for number in range(4):
        folder.rows.append(f"gone{number}.png,cat")
        fault(f"gone{number}", f"no photo 'gone{number}.png' in {folder.photos}")
    folder.rows.append("bare.png,")
    fault("bare", "image 'bare.png' has no tag")
    folder.rows.append("three.png,cat,dog,cow")
    fault("three", "expected 2 columns")
    long = f"{'n' * 130}/{'n' * 130}.png"  # each a name of its own, together too long for one
    for place in (folder.photos, folder.masks):
        (place / long).parent.mkdir()
    noise(99).save(folder.photos / long)
    Image.new("L", (80, 60)).save(folder.masks / long)
    folder.rows.append(f"{long},cat")
    fault("long", f"the id '{'n' * 130}__{'n' * 130}' is too long for a file name")

    masks = folder.masks
    for name in ("nomask", "masksize", "maskid", "mask255", "maskcolour", "maskone", "maskvoc"):
        folder.add(f"{name}.png", "dog")
    (masks / "nomask.png").unlink()
    fault("nomask", f"{masks}/nomask.png does not exist")
    save_label(masks / "masksize.png", np.zeros((50, 80), np.uint8))
    fault("masksize", "masksize.png is 80 x 50 px but its photo is 80 x 60 px")
    save_label(masks / "maskid.png", np.full((60, 80), 7, np.uint8))
    fault("maskid", "maskid.png has the ids [7]")
    blob = np.zeros((60, 80), np.uint8)
    blob[20:40, 20:50] = 255
    save_label(masks / "mask255.png", blob)
    fault("mask255", "mask255.png has no pixel of what its photo is tagged with (dog = 2)")
    noise(5).save(masks / "maskcolour.png")
    fault("maskcolour", "maskcolour.png is a mask of colours")
    Image.fromarray(blob > 0).save(masks / "maskone.png")
    fault("maskone", "maskone.png paints objects with the id 1, which is 'cat'")
    shuffled = Image.frombytes("P", (80, 60), (blob > 0).astype(np.uint8).tobytes())
    shuffled.putpalette([0, 0, 0, 192, 128, 128])
    shuffled.save(masks / "maskvoc.png")
    fault("maskvoc", "maskvoc.png has the colours of VOC's palette at other indices")

    maps = folder.saliency
    for name in ("nomap", "mapsize", "mapcolour", "mapbroken"):
        folder.add(f"{name}.png")
    (maps / "nomap.png").unlink()
    fault("nomap", f"image 'nomap' has no saliency map '{maps}/nomap.png'")
    Image.new("L", (80, 50)).save(maps / "mapsize.png")
    fault("mapsize", f"saliency map '{maps}/mapsize.png' is (50, 80)")
    noise(6).save(maps / "mapcolour.png")
    fault("mapcolour", f"saliency map '{maps}/mapcolour.png' must be grayscale")
    (maps / "mapbroken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    fault("mapbroken", f"saliency map '{maps}/mapbroken.png' cannot be read")

    shutil.copy(folder.add("one.png", "cat"), folder.add("two.png", "dog"))
    fault("two", "are one picture with different tags (cat / dog)")
    folder.add("tiny.png", image=noise(7, (16, 20)))
    fault("tiny", f"{folder.photos}/tiny.png is tiny (20 x 16 px)")
    folder.add("wide.png", image=noise(8, (40, 400)))
    fault("wide", f"{folder.photos}/wide.png is 400 x 40 px, 10.0 times as long")
    path = folder.add("really.png")
    path.write_bytes(as_bytes(noise(9), "JPEG"))
    fault("really", f"{path} holds a JPEG, whatever its name says")
    folder.add("rare.png", "zebra")
    fault("rare", "class 'zebra' has only 1 of the photos")
    noise(10).save(folder.photos / "untagged.png")
    fault("untagged", "photos in")
    (folder.photos / "nowhere.png").symlink_to("nothing")
    fault("nowhere", f"{folder.photos}/nowhere.png is a link to nothing")
    folder.add("Alike.png")
    folder.add("alike.png")
    fault("alike", "the names 'Alike', 'alike' look alike")
    path = folder.add("turned.png")
    exif = exif_block([orientation_tag(3)])
    path.write_bytes(as_bytes(noise(11), "PNG", exif=exif))
    fault("turned", f"{path} is turned by its orientation tag")
    return found


def test_thirty_faults_are_each_named_once(folder: Folder) -> None:
    found = broken(folder)
    assert len(found) >= 30
    said = folder.check()
    assert said.status == 2
    told = lines(said, "error") + lines(said, "warning")
    for name, text in found.items():
        assert sum(text in line for line in told) == 1, (name, said.out, said.err)
    assert said.err.splitlines()[-1].startswith("oaa: ")
    assert f"{len(lines(said, 'error'))} errors that a training would stop at" in said.err
    assert len(told) == len(set(told))
    assert "contact sheet of 2" in said.out  # in spite of all that


def test_a_colour_photo_of_twelve_bits_is_checked_as_it_is_read(folder: Folder) -> None:
    ramp = np.linspace(0, 4095, 60 * 80).reshape(60, 80).astype(np.uint16)
    cv2.imwrite(str(folder.add("deep.png")), np.dstack([ramp, ramp, ramp]))
    said = folder.check()
    assert said.status == 0
    (told,) = lines(said, "warning")
    assert "1 photos have more than 8 bits a sample" in told


def test_saliency_maps_that_are_all_but_black_are_told_once(folder: Folder) -> None:
    for path in folder.saliency.iterdir():
        Image.fromarray((np.arange(4800).reshape(60, 80) % 2).astype(np.uint8)).save(path)
    said = folder.check()
    assert said.status == 2
    (told,) = lines(said, "error")
    assert "none of 8 saliency maps has a pixel above 3% of white" in told


def test_only_maps_that_are_there_are_checked_where_a_fallback_stands_in(folder: Folder) -> None:
    (folder.saliency / "sound1.png").unlink()
    Image.new("L", (9, 9), 255).save(folder.saliency / "sound2.png")
    fallback = "{_target_: oaa_pl.proxy.background.ConstantCue, value: 0.5}"
    (told,) = lines(folder.check(f"background.fallback={fallback}"), "error")
    assert "sound2.png' is (9, 9)" in told


def test_a_picture_that_is_trained_and_validated_on_is_told(folder: Folder) -> None:
    noise(50).save(folder.photos / "new.png")
    (folder.root / "val.csv").write_text("image,tags\nsound0.png,cat\nnew.png,dog\n")
    val = f"root: {folder.photos}, tag_file: {folder.root}/val.csv, classes: [cat, dog], split: val"
    said = folder.check(f"data.val={{_target_: oaa_pl.data.folder.FolderSource, {val}}}")
    assert said.status == 0, said.err
    assert "folder/val: 2 photos" in said.out
    (told,) = lines(said, "warning")
    assert "1 pictures are trained on and validated on" in told


def test_masks_in_another_order_of_classes_are_told_with_numbers(folder: Folder) -> None:
    for number in range(8):
        path = folder.masks / f"sound{number}.png"
        mask = np.zeros((60, 80), np.uint8)
        mask[20:40, 20:50] = 2 - number % 2
        mask[50:, 70:] = 3 - mask.max() if number % 2 else 0
        save_label(path, mask)
    said = folder.check()
    assert said.status == 0
    (told,) = lines(said, "warning")
    assert "folder/train: 4 of 8 masks do not show all that their photo is tagged with" in told
    assert "1 = cat, 2 = dog" in told


def test_one_class_on_every_photo_is_told(empty: Path) -> None:
    folder = Folder(empty / "mine")
    for number in range(4):
        folder.add(f"{number}.png", "cat")
    told = "\n".join([(said := folder.check()).out, said.err])
    assert "'cat' is the only class" in told or "one class" in told


def test_a_tag_file_that_cannot_be_read_is_the_fault(folder: Folder) -> None:
    said = folder.check(f"data.train.tag_file={folder.root}/gone.csv")
    assert said.status == 2
    (fault,) = lines(said, "error")
    assert "gone.csv does not exist" in fault
    assert "8 photos in" in "".join(lines(said, "warning"))


def test_a_key_without_a_value_is_named(empty: Path) -> None:
    said = oaa("data", "check", "data=folder", "data.root=photos")
    assert said.status == 2
    assert "data.tag_file is not set" in said.err


def test_the_embedded_data_set_can_be_checked(empty: Path) -> None:
    said = oaa(
        "data", "check", "data.train_images=9", "data.val_images=9", "check.sheet=a b/sheet.jpg"
    )
    assert said.status == 0, said.err
    assert "synthetic/train: 9 photos" in said.out
    assert "synthetic/val: 9 photos" in said.out
    assert "a b/sheet.jpg" in files(empty)


def test_a_voc_folder_can_be_checked(empty: Path, tiny_voc: Path) -> None:
    overrides = words(tiny_voc)
    said = oaa("data", "check", *overrides)
    assert said.status == 0, said.err
    assert "voc12/train: 4 photos, 20 classes" in said.out
    (tiny_voc / "JPEGImages/2007_000001.jpg").write_bytes(b"")
    (tiny_voc / "JPEGImages/2007_000002.jpg").unlink()
    (tiny_voc / "JPEGImages/2007_000005.jpg").write_text("no photo")
    Image.fromarray(photo()).save(tiny_voc / "SegmentationClass/2007_000003.png")
    said = oaa("data", "check", *overrides)
    assert said.status == 2
    told = lines(said, "error")
    assert len(told) == 4
    for name in ("2007_000001.jpg", "2007_000002.jpg", "2007_000005.jpg", "2007_000003.png"):
        assert sum(name in line for line in told) == 1, told


def test_a_sheet_that_cannot_be_written_is_named(folder: Folder, empty: Path) -> None:
    (empty / "file").write_text("")
    said = folder.check("check.sheet=file/sheet.jpg")
    assert said.status == 2
    assert "file/sheet.jpg cannot be written" in said.err


def test_help_is_a_page_of_its_own(empty: Path) -> None:
    said = oaa("data", "check", "--help")
    assert said.status == 0
    assert "usage: oaa data check [KEY=VALUE ...]" in said.out
    assert "data check" in oaa("--help").out
    assert "usage: oaa data [KEY=VALUE ...]" in oaa("data", "--help").out
