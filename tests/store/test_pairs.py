"""What people hand over as names, tags and a grid, and how names travel through a store."""

import json
import zlib
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.store.contract import GRID, LABELS, PAIRS, batch, header_of, random_maps

from oaa_pl.errors import StoreError, StoreMismatchError
from oaa_pl.store.exchange import FORMATS, export_maps, import_maps
from oaa_pl.store.layout import Header, Pairs
from oaa_pl.store.memmap import MemmapStore
from oaa_pl.store.memory import MemoryStore
from oaa_pl.store.reader import StoreReader, read_identity

BLANKS = Pairs(
    ("my photo", "holiday__beach (1)", " lead and trail ", 'say "cheese" \\ 100%'),
    ("coffee maker", "no\u00a0break", "犬 🐕"),
    LABELS,
)

# A store as version 1 wrote it (commit d22cc02): a backslash and brackets are no escapes.
OLD_IMAGES = 'a\\b["x"] dog\nc\n'
OLD_HEADER = """{
 "format": "oaa_pl attention store",
 "version": 1,
 "classes": [
  "cat",
  "dog"
 ],
 "fingerprint": "370555b4992755dcf1efd168971982c460e070b4b3fb158e809a141491be7001",
 "grid": [
  3,
  4
 ],
 "fusion": "maximum",
 "gate": "none",
 "first_epoch": 0,
 "normalisation": "class_attention",
 "crc32": 3693831852
}
"""


def old_store(folder: Path) -> None:
    """Write the identity of a store as version 1 did."""
    (folder / "header.json").write_text(OLD_HEADER)
    (folder / "images.txt").write_text(OLD_IMAGES)


# Names


def test_names_without_blanks_keep_bytes_and_fingerprint() -> None:
    # Both numbers were printed by the package at d22cc02.
    assert PAIRS.version == 1
    assert PAIRS.text() == "a dog\nb\nc cat cow\nd cat dog cow\n"
    assert PAIRS.fingerprint == "60fc2b05177a997b2d37f346ab08b533a9f138d0babcd04f4d9d5f8275be53c7"
    assert zlib.crc32(header_of().dump().encode()) == 0x7A18CA1B


def test_a_store_of_version_1_still_opens(tmp_path: Path) -> None:
    old_store(tmp_path)
    header, pairs = read_identity(tmp_path)
    assert (header.version, pairs.version) == (1, 1)
    assert pairs.ids == ('a\\b["x"]', "c")
    assert pairs.classes == ("cat", "dog")
    assert pairs.labels.tolist() == [[False, True], [False, False]]
    with MemmapStore(tmp_path, header, pairs) as store:
        store.commit()
    assert (tmp_path / "images.txt").read_text() == OLD_IMAGES
    assert StoreReader(tmp_path).generation == 1


def test_a_name_that_version_1_held_is_held_again() -> None:
    odd = Pairs(("\x01a", "b\u200b"), ("[x]", '"'), np.ones((2, 2), bool))
    assert odd.version == 1
    assert Pairs.parse(odd.text().encode(), odd.classes, Path("images.txt")).ids == odd.ids


def test_names_with_blanks_go_through_a_store_on_disk(tmp_path: Path) -> None:
    header = Header(BLANKS.classes, BLANKS.fingerprint, GRID, "maximum")
    with MemmapStore(tmp_path, header, BLANKS) as store:
        store.fuse(*batch((0, 1)), random_maps(1))
        store.commit()
    reader = StoreReader(tmp_path)
    assert (reader.pairs.ids, reader.pairs.classes) == (BLANKS.ids, BLANKS.classes)
    assert json.loads((tmp_path / "header.json").read_text())["version"] == 2
    reader.pairs.require_same(BLANKS, tmp_path)
    reader.header.require_same(header, tmp_path)
    with MemmapStore(tmp_path, header, BLANKS, resume=True) as store:  # and is continued
        assert store.generations() == [1]


@pytest.mark.parametrize("kind", FORMATS)
def test_names_with_blanks_go_through_export_and_import(tmp_path: Path, kind: str) -> None:
    header = Header(BLANKS.classes, BLANKS.fingerprint, GRID, "maximum")
    store = MemoryStore(header, BLANKS)
    store.fuse(*batch((0, 1), (2, 0), (3, 2)), random_maps(3))
    assert export_maps(store, tmp_path / "maps", kind) == 3
    assert import_maps(tmp_path / "maps", tmp_path / "store", *read_identity(tmp_path / "maps"))
    reader = StoreReader(tmp_path / "store")
    assert reader.pairs.ids == BLANKS.ids
    for index in range(4):
        assert np.allclose(reader.dense(index), store.dense(index), atol=1 / 255)


def test_the_first_differing_image_is_named_with_its_blanks() -> None:
    labels = LABELS.copy()
    labels[0] = [True, True, False]
    with pytest.raises(StoreMismatchError, match=r"image 0 is .*my photo.*coffee maker"):
        replace(BLANKS, labels=labels).require_same(BLANKS, Path("store"))


@pytest.mark.parametrize(
    "line",
    ['["b"', "[]", '["b", 3]', '"b"', "b", "", '["", "no\u00a0break"]', '["b", "cow"]', "[" * 9999],
    ids=lambda line: line[:12],
)
def test_a_damaged_line_of_version_2_is_named_by_file_and_line(line: str) -> None:
    text = f'["my photo", "coffee maker"]\n{line}\n'
    with pytest.raises(StoreError, match=r"images\.txt:2: not an image id"):
        Pairs.parse(text.encode(), BLANKS.classes, Path("images.txt"), version=2)


def test_a_header_of_the_other_version_is_damage(tmp_path: Path) -> None:
    old_store(tmp_path)
    header, _ = read_identity(tmp_path)
    (tmp_path / "header.json").write_text(replace(header, version=2).dump())
    with pytest.raises(StoreError, match=r"images\.txt:1: not an image id"):
        read_identity(tmp_path)


# `images.txt`, which is written and compared in parts


def many(names: str, count: int = 5000) -> Pairs:
    """Pairs of more images than a part has; with 0 to 2 classes each."""
    present = np.arange(count)[:, None] % 3 > [0, 1]
    return Pairs([names.format(n) for n in range(count)], ("cat", "dog"), present)


@pytest.mark.parametrize("pairs", [PAIRS, BLANKS, many("image-{}"), many("photo {}")])
def test_the_fingerprint_and_the_file_are_those_of_the_whole_text(
    pairs: Pairs, tmp_path: Path
) -> None:
    rows = [
        [name, *(pairs.classes[c] for c in np.flatnonzero(present))]
        for name, present in zip(pairs.ids, pairs.labels, strict=True)
    ]
    blank = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    text = "".join([" ".join(row) + "\n" for row in rows] if pairs.version == 1 else blank)
    assert pairs.text() == text
    whole = json.dumps([pairs.classes, text]).encode()
    assert pairs.fingerprint == sha256(whole).hexdigest()
    with (tmp_path / "images.txt").open("wb") as file:
        pairs.write(file)
    assert (tmp_path / "images.txt").read_bytes() == text.encode()
    read = Pairs.parse(text.encode(), pairs.classes, Path("images.txt"), pairs.version)
    assert (read.ids, read.labels.tolist()) == (pairs.ids, pairs.labels.tolist())


@pytest.mark.parametrize("pairs", [PAIRS, BLANKS, many("image-{}")])
def test_another_content_is_not_what_was_written(pairs: Pairs) -> None:
    text = pairs.text().encode()
    assert pairs.has_text(text)
    for other in (text[:-1], text + b"\n", text[1:], text.replace(b"cow", b"cat"), b""):
        assert pairs.has_text(other) == (other == text)


def test_a_store_of_known_pairs_needs_no_second_copy_of_them(tmp_path: Path) -> None:
    for folder in (tmp_path / "a", tmp_path / "b"):
        with MemmapStore(folder, header_of(), PAIRS) as store:
            store.commit()
    assert StoreReader(tmp_path / "a", known=PAIRS).pairs is PAIRS
    foreign = Pairs(PAIRS.ids, PAIRS.classes, ~LABELS)
    assert StoreReader(tmp_path / "b", known=foreign).pairs.text() == PAIRS.text()


def test_a_damaged_list_of_images_is_found_beside_known_pairs(tmp_path: Path) -> None:
    with MemmapStore(tmp_path, header_of(), PAIRS) as store:
        store.commit()
    (tmp_path / "images.txt").write_bytes(PAIRS.text().encode().replace(b"c cat", b"c dog"))
    with pytest.raises(StoreError, match="does not match the header"):
        StoreReader(tmp_path, known=PAIRS)


def test_a_list_of_images_of_another_encoding_is_damaged(tmp_path: Path) -> None:
    with MemmapStore(tmp_path, header_of(), PAIRS) as store:
        store.commit()
    (tmp_path / "images.txt").write_bytes(b"a dog\n\xff\n")
    with pytest.raises(StoreError, match="is damaged: 'utf-8' codec can't decode"):
        read_identity(tmp_path)


def test_a_data_set_with_one_image_more_is_another() -> None:
    more = Pairs((*PAIRS.ids, "nothing"), PAIRS.classes, [*LABELS.tolist(), [0, 0, 0]])
    with pytest.raises(StoreMismatchError, match="image 4 is 'nothing', the data set's is"):
        more.require_same(PAIRS, Path("store"))
    with pytest.raises(StoreMismatchError, match="image 4 is 'nothing', the data set's is"):
        PAIRS.require_same(more, Path("store"))


def test_rows_are_counted_by_their_pairs() -> None:
    for pairs in (PAIRS, BLANKS, Pairs((), ("cat",), np.zeros((0, 1)))):
        assert pairs.count == len(pairs.pairs)


@pytest.mark.parametrize("name", ["../x", "/x", "a/", "a//b", "./a", "a/../../b"])
def test_an_id_that_leads_out_of_a_folder_is_not_exported(tmp_path: Path, name: str) -> None:
    pairs = Pairs((name,), ("cat",), [[1]])
    store = MemoryStore(header_of(pairs=pairs), pairs)
    with pytest.raises(StoreError, match="cannot name a file inside a folder"):
        export_maps(store, tmp_path / "maps")


def test_a_name_too_long_for_a_file_is_refused_before_the_first_file(tmp_path: Path) -> None:
    pairs = Pairs(("ok", "é" * 130), ("cat",), [[1], [1]])
    store = MemoryStore(header_of(pairs=pairs), pairs)
    with pytest.raises(StoreError, match="makes a file name of 266 bytes, at most 255"):
        export_maps(store, tmp_path / "maps")
    assert not (tmp_path / "maps").exists()


# What people hand over


@pytest.mark.parametrize("how", ["list", "array", "objects", "generator"])
def test_names_may_come_in_any_sequence(how: str) -> None:
    def as_(words: tuple[str, ...]) -> Any:
        ways = {
            "list": list(words),
            "array": np.array(words),
            "objects": np.array(words, dtype=object),
            "generator": (word for word in words),
        }
        return ways[how]

    pairs = Pairs(as_(PAIRS.ids), as_(PAIRS.classes), LABELS)
    assert pairs.fingerprint == PAIRS.fingerprint
    assert (pairs.ids, pairs.classes) == (PAIRS.ids, PAIRS.classes)
    assert {type(word) for word in (*pairs.ids, *pairs.classes)} == {str}
    header = replace(header_of(), classes=as_(PAIRS.classes))
    assert header == header_of()
    assert header.dump() == header_of().dump()


@pytest.mark.parametrize(
    "grid",
    [
        list(GRID),
        np.array(GRID),
        torch.Size(GRID),
        torch.tensor(GRID),
        (np.int64(GRID[0]), np.uint8(GRID[1])),
        (side for side in GRID),
    ],
    ids=["list", "array", "size", "tensor", "numpy numbers", "generator"],
)
def test_a_grid_may_come_in_any_sequence_and_the_second_run_goes_on(
    tmp_path: Path, grid: Any
) -> None:
    header = Header(list(PAIRS.classes), PAIRS.fingerprint, grid, "maximum")  # type: ignore[arg-type]  # what people write
    assert header.grid == GRID
    assert {type(side) for side in header.grid} == {int}
    for run in (1, 2):
        with MemmapStore(tmp_path / "store", header, PAIRS) as store:
            assert store.commit() == run


@pytest.mark.parametrize(
    "grid", [(True, 4), (3.0, 4), "34", 3, None, ("3", "4"), np.ones(2), (3, np.bool_(True))]
)
def test_a_grid_of_other_things_than_whole_numbers_is_refused(grid: Any) -> None:
    with pytest.raises(StoreError, match="grid must be"):
        replace(header_of(), grid=grid)


def test_numbers_of_numpy_are_numbers_in_a_header() -> None:
    assert replace(header_of(), first_epoch=np.int64(2)) == replace(header_of(), first_epoch=2)
    assert '"first_epoch": 2' in replace(header_of(), first_epoch=np.int64(2)).dump()
    with pytest.raises(StoreError, match=r"first_epoch must be a whole number, got 1\.5"):
        replace(header_of(), first_epoch=1.5)  # type: ignore[arg-type]  # what people write


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.tolist(),
        LABELS.astype(int).tolist(),
        LABELS.astype(np.uint8),
        LABELS.astype(np.float32),
        torch.tensor(LABELS),
        torch.tensor(LABELS).long(),
        torch.tensor(LABELS).bfloat16(),
        torch.tensor(LABELS).float().requires_grad_(),
        np.asfortranarray(LABELS),
    ],
    ids=["lists", "0/1 lists", "uint8", "float", "bool tensor", "long", "bf16", "grad", "fortran"],
)
def test_labels_may_be_whatever_says_zero_or_one(labels: Any) -> None:
    pairs = Pairs(PAIRS.ids, PAIRS.classes, labels)
    assert pairs.fingerprint == PAIRS.fingerprint
    assert pairs.labels.dtype == bool
    assert np.array_equal(pairs.labels, PAIRS.labels)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (LABELS * 0.7, "labels must be 0 or 1 .* got float64"),
        (LABELS.astype(float) * np.nan, "labels must be 0 or 1"),
        (LABELS.astype(int) * 2, "labels must be 0 or 1 .* got int64"),
        (LABELS.astype(int) * -1, "labels must be 0 or 1"),
        (LABELS.astype(str), "labels must be 0 or 1"),
        (LABELS.astype(complex), "labels must be 0 or 1"),
        ([[1, 0, 1], [1]], r"labels must be \(N, C\), got rows of different lengths"),
        (None, "labels must be"),
        ([0, 1, 1, 0], r"labels must be \(4, 3\) \(N, C\), got \(4,\)"),
        (torch.rand(4, 3), "labels must be 0 or 1"),
    ],
)
def test_labels_that_say_something_else_are_refused(labels: Any, match: str) -> None:
    with pytest.raises(StoreError, match=match):
        Pairs(PAIRS.ids, PAIRS.classes, labels)


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        ("cow", "classes must be a list of names, got the one text 'cow'"),
        (3, "classes must be a list of names, got 3"),
        ([1, 2, 3], r"classes must be texts, got 1 \(int\): write str"),
        (np.array([1, 2, 3]), r"classes must be texts, got .*1.* \(int64\)"),
        ([None, "a", "b"], r"got None \(NoneType\)"),
    ],
)
def test_names_that_are_no_texts_are_refused(classes: Any, match: str) -> None:
    with pytest.raises(StoreError, match=match):
        Pairs(PAIRS.ids, classes, LABELS)
    with pytest.raises(StoreError, match=match):
        replace(header_of(), classes=classes)


@pytest.mark.parametrize(
    ("text", "classes", "version"),
    [("", (" cat",), 1), ("a cat\n", ("cat", "two words"), 1), ('["a", "cat"]\n', ("cat",), 2)],
)
def test_a_list_in_a_version_that_its_names_are_not_written_in_is_refused(
    text: str, classes: tuple[str, ...], version: int
) -> None:
    with pytest.raises(StoreError, match=rf"is of version {version}, its names are of version"):
        Pairs.parse(text.encode(), classes, Path("images.txt"), version)
