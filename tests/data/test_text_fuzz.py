"""Tag files, lists and annotations that nobody thought of: each is read rightly, or a named error.

A few hundred inputs in the quick tests, thousands in the slow ones.
"""

import csv
import io
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from oaa_pl.data.annotation import tags_from_annotation
from oaa_pl.data.folder import FolderSource
from oaa_pl.data.tags import TagRow, read_tag_file
from oaa_pl.data.voc_folder import read_ids
from oaa_pl.errors import OaaError
from oaa_pl.names import look, name_fault
from oaa_pl.store.pairs import Pairs

Fuzz = Callable[[Callable[..., None]], Callable[..., None]]
CLASSES = ("cat", "dog", "coffee maker", "café")

# Letters of many scripts, marks, blanks, signs of CSV, JSON, XML and shells, control characters.
odd = st.characters(exclude_categories=("Cs",)) | st.sampled_from(
    ";,|\t\n\r \"'[]{}<>$%#\\/.&=:~\u00a0\u200b\u200d\u0301\u2028\x85\x00\x1b、；🐕é犬ك"
)
words = st.text(odd, min_size=1, max_size=12) | st.sampled_from(
    [
        "cat",
        "dog",
        "Dog",
        "coffee maker",
        "background",
        "café",
        "cafe\u0301",
        "null",
        "1.0",
        "a.jpg",
    ]
)
encodings = st.sampled_from(
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "gbk"]
)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A CSV as some program might have written it, and sometimes as none would."""
    delimiter = draw(st.sampled_from(",;\t"))
    stream = io.StringIO()
    writer = csv.writer(
        stream, delimiter=delimiter, lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
        quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
    )  # fmt: skip
    writer.writerow(draw(st.sampled_from([["image", "tags"], ["Image", " tags"], ["a", "b"]])))
    cell = st.lists(words, max_size=3).map(draw(st.sampled_from([";", " ", ", "])).join)
    for row in draw(st.lists(st.tuples(words, cell), max_size=5)):
        writer.writerow(row)
    return stream.getvalue().encode(draw(encodings), errors="replace")


@st.composite
def lists(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.lists(words, max_size=4).map(" ".join), max_size=6))
    return "\n".join(lines).encode(draw(encodings), errors="replace")


@st.composite
def annotations(draw: st.DrawFn) -> bytes:
    declared = draw(st.sampled_from(["", "UTF-8", "GB2312", "utf-16", "latin-1", "hex", "no-such"]))
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    names = "".join(f"<object><name>{word}</name></object>" for word in draw(st.lists(words)))
    text = f"{head}<annotation>{names}</annotation>"
    cut = draw(st.integers(0, len(text)) | st.just(len(text)))
    return text[:cut].encode(draw(encodings), errors="replace")


anything = st.binary(max_size=120)


def named_error(read: Callable[[Path], object], content: bytes, name: str) -> object:
    """What a reader makes of a file; None where it refuses it by a named error in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            return read(path)
        except OaaError as error:
            message = str(error)
    assert name in message
    assert "\n" not in message
    return None


def check_rows(rows: object) -> None:
    """What was read is what may be read, and a store can hold it."""
    if rows is None:
        return
    assert isinstance(rows, list)
    tags = [tag for row in rows for tag in row.tags]
    for row in rows:
        assert isinstance(row, TagRow)
        assert row.tags
        assert not any(map(name_fault, (row.image, *row.tags)))
        assert len(set(row.tags)) == len(row.tags)
        assert all(tag == tag.strip() for tag in row.tags)
    assert len({look(tag) for tag in tags}) == len(set(tags))
    assert "background" not in {look(tag) for tag in tags}
    if rows:
        classes = sorted(set(tags))
        labels = [[name in row.tags for name in classes] for row in rows]
        pairs = Pairs([row.image for row in rows], classes, labels)  # type: ignore[arg-type]  # lists
        read = Pairs.parse(pairs.text().encode(), pairs.classes, Path("images.txt"), pairs.version)
        assert read.fingerprint == pairs.fingerprint


def fuzz(examples: int) -> Fuzz:
    return settings(deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck))


def try_table(content: bytes) -> None:
    check_rows(named_error(read_tag_file, content, "tags.csv"))


def try_list(content: bytes) -> None:
    check_rows(named_error(read_tag_file, content, "tags.txt"))
    named_error(lambda path: read_tag_file(path, CLASSES), content, "tags.txt")
    ids = named_error(read_ids, content, "train.txt")
    assert ids is None or not any("/" in name or name_fault(name) for name in ids)  # type: ignore[attr-defined]  # a list


def try_annotation(content: bytes) -> None:
    names = named_error(lambda path: tags_from_annotation(path, CLASSES), content, "a.xml")
    assert names is None or set(names) <= set(CLASSES)  # type: ignore[call-overload]  # a tuple


@fuzz(150)
@given(tables() | anything)
def test_any_tag_table_is_read_or_refused_by_name(content: bytes) -> None:
    try_table(content)


@fuzz(150)
@given(lists() | anything)
def test_any_list_is_read_or_refused_by_name(content: bytes) -> None:
    try_list(content)


@fuzz(100)
@given(annotations() | anything)
def test_any_annotation_is_read_or_refused_by_name(content: bytes) -> None:
    try_annotation(content)


@pytest.mark.slow
@fuzz(1500)
@given(tables() | anything)
def test_thousands_of_tag_tables_are(content: bytes) -> None:
    try_table(content)


@pytest.mark.slow
@fuzz(1500)
@given(lists() | anything)
def test_thousands_of_lists_are(content: bytes) -> None:
    try_list(content)


@pytest.mark.slow
@fuzz(1000)
@given(annotations() | anything)
def test_thousands_of_annotations_are(content: bytes) -> None:
    try_annotation(content)


names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=20)


@fuzz(100)
@given(st.lists(names, min_size=1, max_size=3, unique_by=lambda name: look(name).strip("./\\")))
def test_what_a_spreadsheet_writes_is_what_a_source_has(tags: list[str]) -> None:
    wanted = [unicodedata.normalize("NFC", tag).strip() for tag in tags]
    with tempfile.TemporaryDirectory() as folder:
        photo, path = Path(folder) / "a b.png", Path(folder) / "tags.csv"
        Image.new("RGB", (4, 3)).save(photo)
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["image", "tags"], ["a b.png", ";".join(wanted) + ";"]])
        try:
            classes, message = FolderSource(folder, path).classes, ""
        except OaaError as error:
            classes, message = (), str(error)
    if not message:
        parts = {part.strip() for tag in wanted for part in tag.split(";")}
        assert classes == tuple(sorted(parts - {""}))
        return
    assert "\n" not in message
    # Refused for a reason only: no name, or what parts tags elsewhere.
    parting = any(sign in tag for sign in ",|，、；｜[{(;" for tag in wanted)
    assert parting or any(map(name_fault, wanted)) or "background" in map(look, wanted), message
