import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.store.contract import LABELS, PAIRS, header_of

from oaa_pl.errors import StoreError, StoreMismatchError
from oaa_pl.store.layout import ROW, Header, Pairs

HERE = Path("store/header.json")


def test_rows_run_image_by_image_and_class_by_class() -> None:
    row = 0
    for image in range(4):
        for category in range(3):
            found = PAIRS.rows_of(np.array([image]), np.array([category])).tolist()
            if LABELS[image, category]:
                assert found == [row]
                assert PAIRS.pairs[row].tolist() == [image, category]
                row += 1
            else:
                assert found == [-1]
    assert len(PAIRS.pairs) == row == 6
    assert PAIRS.first_row.tolist() == [0, 1, 1, 3, 6]


def test_labels_of_zeros_and_ones_make_the_same_pairs() -> None:
    numbers = replace(PAIRS, labels=LABELS.astype(np.uint8))
    assert numbers.fingerprint == PAIRS.fingerprint
    assert np.array_equal(numbers.labels, PAIRS.labels)


def test_pairs_are_read_back_from_their_lines() -> None:
    assert PAIRS.text() == "a dog\nb\nc cat cow\nd cat dog cow\n"
    read = Pairs.parse(PAIRS.text().encode(), PAIRS.classes, HERE)
    assert read.ids == PAIRS.ids
    assert np.array_equal(read.labels, PAIRS.labels)
    assert read.fingerprint == PAIRS.fingerprint


def test_the_fingerprint_changes_with_ids_classes_and_labels() -> None:
    other_labels = LABELS.copy()
    other_labels[1, 1] = True
    others = [
        replace(PAIRS, ids=("a", "b", "d", "c")),
        replace(PAIRS, classes=("cat", "dog", "pig")),
        replace(PAIRS, labels=other_labels),
    ]
    assert len({PAIRS.fingerprint, *(other.fingerprint for other in others)}) == 4


@pytest.mark.parametrize("word", ["", " ", "line\nbreak", "tab\tbed", "sep\u2028arator", "\udcff"])
def test_a_word_that_is_no_name_is_refused(word: str) -> None:
    with pytest.raises(StoreError, match=r"names must be names: .* (nothing to see|control char)"):
        replace(PAIRS, ids=("a", "b", "c", word))
    with pytest.raises(StoreError, match=r"names must be names: .* (nothing to see|control char)"):
        replace(PAIRS, classes=("cat", "dog", word))


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(StoreError, match=r"labels must be \(4, 3\) \(N, C\), got \(3, 4\)"):
        replace(PAIRS, labels=LABELS.T)


@pytest.mark.parametrize("line", ["c cat mouse", "", "c  cat", " c"])
def test_a_damaged_line_is_named_by_file_and_line(line: str) -> None:
    with pytest.raises(StoreError, match=r"images\.txt:2: not an image id"):
        Pairs.parse(f"a dog\n{line}\nd cat\n".encode(), PAIRS.classes, Path("images.txt"))


def test_the_first_differing_image_is_named() -> None:
    labels = LABELS.copy()
    labels[2] = [False, True, True]
    with pytest.raises(StoreMismatchError, match="image 2 is 'c cat cow', the data set's is 'c d"):
        PAIRS.require_same(replace(PAIRS, labels=labels), Path("store"))
    shorter = Pairs(PAIRS.ids[:3], PAIRS.classes, LABELS[:3])
    with pytest.raises(StoreMismatchError, match=r"image 3 is 'd cat dog cow', .* is 'nothing'"):
        PAIRS.require_same(shorter, Path("store"))
    with pytest.raises(StoreMismatchError, match="image 3 is 'nothing'"):
        shorter.require_same(PAIRS, Path("store"))
    with pytest.raises(StoreMismatchError, match=r"classes are .*'cow'.*'pig'"):
        PAIRS.require_same(replace(PAIRS, classes=("cat", "dog", "pig")), Path("store"))
    PAIRS.require_same(Pairs(PAIRS.ids, PAIRS.classes, LABELS.copy()), Path("store"))


def test_a_header_is_read_back() -> None:
    header = header_of("running_mean", gate="top_k", first_epoch=1)
    assert Header.parse(header.dump(), HERE) == header


def test_a_header_knows_the_shape_of_its_state() -> None:
    assert header_of("maximum").state_shape(6) == (6, 1, 3, 4)
    assert header_of("running_mean").state_shape(6) == (6, 2, 3, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"grid": (3, 5)},
        {"fusion": "running_mean"},
        {"gate": "top_k"},
        {"first_epoch": 2},
        {"normalisation": "min_max_attention"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_first_field_that_differs_is_named(change: dict[str, Any]) -> None:
    (field,) = change
    with pytest.raises(StoreMismatchError, match=f"store was made with {field}=.*, requested"):
        header_of().require_same(replace(header_of(), **change), Path("store"))


def test_an_unknown_fusion_is_refused() -> None:
    with pytest.raises(StoreError, match=r"one of maximum, running_mean, .*got 'median'"):
        header_of("median")


@pytest.mark.parametrize("grid", [(0, 4), (4,), (4, 4, 4), (4, 5000), (-1, 4)])
def test_a_grid_that_is_none_is_refused(grid: Any) -> None:
    with pytest.raises(StoreError, match="grid must be"):
        replace(header_of(), grid=grid)


def changed(**changes: object) -> str:
    return json.dumps(json.loads(header_of().dump()) | changes)


def without(key: str) -> str:
    header = json.loads(header_of().dump())
    del header[key]
    return json.dumps(header)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "null",
        header_of().dump()[:40],
        without("format"),
        without("version"),
        without("fusion"),
        without("grid"),
        changed(format="something else"),
        changed(version="1"),
        changed(version=0),
        changed(extra=1),
        changed(classes=3),
        changed(classes=[1, 2]),
        changed(grid=["3", "4"]),
        changed(grid=[0, 4]),
        changed(fusion="median"),
        changed(fusion=["maximum"]),
        changed(fingerprint=7),
    ],
)
def test_a_header_that_is_none_is_refused_by_file(text: str) -> None:
    with pytest.raises(StoreError, match=r"store/header\.json"):
        Header.parse(text, HERE)


def test_a_newer_store_asks_for_an_upgrade() -> None:
    with pytest.raises(StoreError, match="has store version 5, this package reads up to 4; upg"):
        Header.parse(changed(version=5), HERE)


def test_a_rows_record_is_thirteen_bytes_without_gaps() -> None:
    assert ROW.itemsize == 13
    assert ROW.names == ("updates", "last_epoch", "origin", "checksum")


def test_a_header_has_its_fusion_with_the_parameters_in_one_spelling() -> None:
    header = header_of("power_mean( exponent=3.0 )")
    assert header.fusion == "power_mean(exponent=3)"
    assert Header.parse(header.dump(), HERE) == header
    with pytest.raises(StoreMismatchError, match=r"fusion='power_mean\(exponent=3\)'.*exponent=2"):
        header.require_same(header_of("power_mean(exponent=2)"), HERE)


@pytest.mark.parametrize("label", ["softest", "power_mean", "power_mean(exponent=0)"])
def test_a_header_of_no_rule_is_refused(label: str) -> None:
    with pytest.raises(StoreError, match=r"fusion must be|whole number"):
        header_of(label)
