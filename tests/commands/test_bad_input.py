"""Every bad input ends with status 2, one line that names the thing, and nothing half-written."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.commands.tiny import files, oaa, require_refusal, words

SPLIT = "ImageSets/Segmentation/train.txt"
PHOTO = "JPEGImages/2007_000002.jpg"
MASK = "SegmentationClass/2007_000003.png"


def empty_split(root: Path) -> None:
    (root / SPLIT).write_text("\n")


def photo_without_file(root: Path) -> None:
    (root / PHOTO).unlink()


def zero_byte_photo(root: Path) -> None:
    (root / PHOTO).write_bytes(b"")


def photo_that_is_text(root: Path) -> None:
    (root / PHOTO).write_text("not a photo")


def mask_with_a_foreign_id(root: Path) -> None:
    edit_mask(root / MASK, lambda mask: np.where(mask == 15, 21, mask))


def mask_of_another_size(root: Path) -> None:
    edit_mask(root / MASK, lambda mask: mask[:-1])


def mask_without_an_object(root: Path) -> None:
    edit_mask(root / MASK, np.zeros_like)


def annotation_with_an_unknown_class(root: Path) -> None:
    path = root / "Annotations/2007_000001.xml"
    path.write_text(path.read_text().replace("cat", "unicorn"))


def tags_with_an_unknown_class(root: Path) -> None:
    (root / "tags.csv").write_text("image,tags\n2007_000001,unicorn\n")


def tags_with_a_bad_row(root: Path) -> None:
    (root / "tags.csv").write_text("image,tags\n2007_000001,cat\n2007_000002\n")


def tags_without_a_row(root: Path) -> None:
    (root / "tags.csv").write_text("image,tags\n2007_000001,cat\n")


def edit_mask(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with Image.open(path) as image:
        palette, mask = image.getpalette(), np.array(image)
    changed = Image.fromarray(change(mask).astype(np.uint8), mode=None).convert("P")
    changed = Image.frombytes("P", changed.size, change(mask).astype(np.uint8).tobytes())
    changed.putpalette(palette or [])
    changed.save(path)


FROM_FILE = ("data.tags=file", "data.tag_file={root}/tags.csv")


@pytest.mark.parametrize(
    ("damage", "overrides", "fragments"),
    [
        (empty_split, (), ("train.txt", "lists no image")),
        (photo_without_file, (), (PHOTO, "does not exist")),
        (zero_byte_photo, (), (PHOTO, "empty (0 bytes)")),
        (photo_that_is_text, (), (PHOTO, "not a readable image")),
        (mask_with_a_foreign_id, (), (MASK, "[21]")),
        (mask_of_another_size, (), (MASK, "40 x 39 px", "40 x 40 px")),
        (mask_without_an_object, (), ("2007_000003", "no tag")),
        (annotation_with_an_unknown_class, ("data.tags=annotations",), ("2007_000001", "unicorn")),
        (tags_with_an_unknown_class, FROM_FILE, ("tags.csv:2", "unicorn")),
        (tags_with_a_bad_row, FROM_FILE, ("tags.csv:3",)),
        (tags_without_a_row, FROM_FILE, ("tags.csv", "2007_000002")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_data_set_is_refused_before_anything_is_written(
    empty: Path,
    tiny_voc: Path,
    damage: Callable[[Path], None],
    overrides: tuple[str, ...],
    fragments: tuple[str, ...],
) -> None:
    damage(tiny_voc)
    more = [override.format(root=tiny_voc) for override in overrides]
    require_refusal(oaa("fit", *words(tiny_voc), *more), *fragments)
    assert not files(empty)


def test_a_missing_split_is_refused_with_those_that_exist(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("fit", *words(tiny_voc_once), "data.train_split=trian")
    require_refusal(said, "trian.txt", "train, val")
    assert not files(empty)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_photo_whose_damage_shows_in_training_is_named(
    empty: Path, tiny_voc: Path, workers: int
) -> None:
    photo = tiny_voc / PHOTO
    photo.write_bytes(photo.read_bytes()[:-400])
    said = oaa("fit", *words(tiny_voc), f"loader.num_workers={workers}")
    assert said.status == 2, said.err
    assert said.last.startswith(f"oaa: {photo} is not a readable image")
    assert "Traceback" not in said.err
    assert not list(empty.rglob("*.ckpt"))


def test_a_photo_replaced_after_that_is_trained_on(empty: Path, tiny_voc: Path) -> None:
    photo = tiny_voc / PHOTO
    whole = photo.read_bytes()
    photo.write_bytes(whole[:-400])
    assert f"{photo} is not a readable image" in oaa("fit", *words(tiny_voc)).last
    photo.write_bytes(whole)
    said = oaa("fit", *words(tiny_voc))
    assert said.status == 0, said.err


def test_an_image_taken_off_the_list_after_that_does_not_stand_in_the_way(
    empty: Path, tiny_voc: Path
) -> None:
    photo = tiny_voc / PHOTO
    photo.write_bytes(photo.read_bytes()[:-400])
    assert f"{photo} is not a readable image" in oaa("fit", *words(tiny_voc)).last
    split = tiny_voc / SPLIT
    split.write_text(split.read_text().replace("2007_000002\n", ""))
    said = oaa("fit", *words(tiny_voc))
    assert said.status == 0, said.err


def test_a_damaged_mask_that_only_evaluation_reads_is_named_there(
    again: Path, tiny_voc: Path
) -> None:
    for path in again.rglob("scored.json"):
        path.unlink()
    mask_with_a_foreign_id(tiny_voc)
    said = oaa("evaluate", *words(tiny_voc), "data.tags=annotations", "methods=[cam]")
    assert said.status == 2
    assert MASK in said.last
    assert "[21]" in said.last


def test_missing_weights_are_refused(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("fit", *words(tiny_voc_once), "net.weights=nowhere.safetensors")
    require_refusal(said, "nowhere.safetensors")
    assert not files(empty)


def test_weights_of_another_network_are_refused_with_their_keys(
    empty: Path, tiny_voc_once: Path
) -> None:
    save_file({"classifier.6.weight": torch.zeros(2)}, empty / "other.safetensors")
    said = oaa("fit", *words(tiny_voc_once), "net.weights=other.safetensors")
    require_refusal(said, "other.safetensors", "classifier.6.weight")
    assert files(empty) == {"other.safetensors"}


def test_weights_that_are_corrected_do_not_meet_the_wrong_ones_again(
    empty: Path, tiny_voc_once: Path
) -> None:
    save_file({"classifier.6.weight": torch.zeros(2)}, empty / "other.safetensors")
    said = oaa("fit", *words(tiny_voc_once), "net.weights=other.safetensors")
    require_refusal(said, "classifier.6.weight")
    assert oaa("fit", *words(tiny_voc_once)).status == 0


def test_a_damaged_checkpoint_is_named(again: Path, tiny_voc_once: Path) -> None:
    seed = again / "runs/tiny/seed-0"
    checkpoint = seed / "segmenter/cam/last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    (seed / "segmenter/cam/scored.json").unlink()
    said = oaa("evaluate", *words(tiny_voc_once))
    assert said.status == 2
    assert "segmenter/cam/last.ckpt is not a checkpoint" in said.last


def test_a_damaged_store_is_named(again: Path, tiny_voc_once: Path) -> None:
    seed = again / "runs/tiny/seed-0"
    state = max(seed.glob("attention/cam/store/generations/*/state.npy"))
    state.write_bytes(state.read_bytes()[:-10])
    (seed / "labels/cam/done.json").unlink()
    said = oaa("label", *words(tiny_voc_once), "method=cam")
    assert said.status == 2
    assert "attention/cam/store" in said.last


def test_a_damaged_record_is_named(again: Path, tiny_voc_once: Path) -> None:
    (again / "runs/tiny/seed-0/classifier/stage.json").write_text("{")
    said = oaa("fit", *words(tiny_voc_once))
    require_refusal(said, "classifier/stage.json is damaged")


def test_labels_without_any_foreground_are_refused_and_another_rule_may_follow(
    again: Path, tiny_voc_once: Path
) -> None:
    folder = again / "runs/tiny/seed-0/labels/cam"
    (folder / "done.json").unlink()
    said = oaa("label", *words(tiny_voc_once), "method=cam", "background.value=0")
    assert said.status == 2
    assert "labels/cam: no image of voc12/train has any foreground" in said.last
    assert "so look at the maps of the background cue" in said.last
    assert oaa("label", *words(tiny_voc_once), "method=cam", "background.value=1").status == 0


@pytest.mark.parametrize("command", ["fit", "reproduce"])
def test_a_file_where_the_runs_should_go_is_named(
    empty: Path, tiny_voc_once: Path, command: str
) -> None:
    (empty / "runs").write_text("in the way")
    said = oaa(command, *words(tiny_voc_once))
    assert said.status == 2
    assert said.last.startswith("oaa: runs/tiny/seed-0/")
    assert "cannot be written" in said.last
    assert files(empty) == {"runs"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_run_folder_is_named(empty: Path, tiny_voc_once: Path) -> None:
    (empty / "runs").mkdir()
    (empty / "runs").chmod(0o500)
    said = oaa("fit", *words(tiny_voc_once))
    assert said.status == 2
    assert "cannot be written" in said.last


def test_a_store_in_use_is_named(again: Path, tiny_voc_once: Path) -> None:
    from oaa_pl.files.lock import WriterLock

    seed = again / "runs/tiny/seed-0"
    lock = WriterLock(seed / "attention/oaa_max/store/writer.lock")
    (seed / "classifier/done.json").unlink()
    said = oaa("fit", *words(tiny_voc_once))
    lock.release()
    assert said.status == 2
    assert "is being written by this very process" in said.last
    assert oaa("fit", *words(tiny_voc_once)).status == 0
