from pathlib import Path

import pytest

from oaa_pl.errors import BadListError
from oaa_pl.files.text import read_text

TEXT = "image,tags\nhöhle.jpg,dog\n"


def read(folder: Path, content: bytes) -> str:
    path = folder / "some.csv"
    path.write_bytes(content)
    return read_text(path, "list", BadListError)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"], ids=lambda name: name
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=repr)
def test_text_of_any_unicode_encoding_and_line_end_is_one_text(
    tmp_path: Path, encoding: str, end: str
) -> None:
    assert read(tmp_path, TEXT.replace("\n", end).encode(encoding)) == TEXT


def test_utf_16_of_the_other_byte_order_is_read_by_its_mark(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xfe\xff" + TEXT.encode("utf-16-be")) == TEXT


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (TEXT.encode("latin-1"), r"some\.csv is not UTF-8 text \(line 2 has the byte 0xf6.*1252"),
        ("狗,tags\n".encode("gb2312"), r"not UTF-8 text \(line 1 has the byte .*GBK"),
        (TEXT.encode("utf-16-le"), r"not UTF-8 text|UTF-16 without a mark"),
        ("abc".encode("utf-16-be"), "UTF-16 without a mark"),
        (b"\xff\xfea\x00b", "not a whole UTF-16 text"),
        (b"PK\x03\x04\x14\x00", "is a workbook .* save it as 'CSV UTF-8'"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "is a workbook"),
    ],
)
def test_other_encodings_are_refused_with_file_and_encoding(
    tmp_path: Path, content: bytes, match: str
) -> None:
    with pytest.raises(BadListError, match=match) as caught:
        read(tmp_path, content)
    assert "some.csv" in str(caught.value)


def test_a_folder_is_no_text(tmp_path: Path) -> None:
    with pytest.raises(BadListError, match=r"list .* cannot be read \(Is a directory\)"):
        read_text(tmp_path, "list", BadListError)


def test_a_missing_file_is_the_callers_to_explain(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "gone", tmp_path / "file" / "below"):
        with pytest.raises(FileNotFoundError, match=r"gone|below"):
            read_text(path, "list", BadListError)
