from pathlib import Path

import pytest

from oaa_pl.data.annotation import tags_from_annotation
from oaa_pl.errors import BadTagFileError, UnknownClassError, UntaggedImageError

CLASSES = ("cat", "dog", "traffic light", "犬", "café")
BODY = "<annotation><folder>图</folder><object><name>犬</name></object></annotation>\n"


def read(folder: Path, content: bytes) -> tuple[str, ...]:
    path = folder / "a.xml"
    path.write_bytes(content)
    return tags_from_annotation(path, CLASSES)


@pytest.mark.parametrize(
    "encoding", ["GB2312", "gbk", "gb18030", "Shift_JIS", "EUC-JP", "Big5", "UTF-8", "utf-16"]
)
def test_an_annotation_is_read_in_the_encoding_that_it_declares(
    tmp_path: Path, encoding: str
) -> None:
    body = BODY if encoding.lower() not in ("shift_jis", "euc-jp") else BODY.replace("图", "図")
    body = body if encoding != "Big5" else body.replace("图", "圖")
    text = f'<?xml version="1.0" encoding="{encoding}"?>\n{body}'
    assert read(tmp_path, text.encode(encoding)) == ("犬",)


@pytest.mark.parametrize("encoding", ["windows-1252", "ISO-8859-1", "cp1250", "koi8-r"])
def test_so_is_one_of_a_single_byte_encoding(tmp_path: Path, encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><a><object><name>dog</name></object></a>"
    assert read(tmp_path, text.encode(encoding)) == ("dog",)


def test_a_mark_goes_before_the_declaration(tmp_path: Path) -> None:
    for encoding in ("utf-8-sig", "utf-16"):
        assert read(tmp_path, BODY.encode(encoding)) == ("犬",)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b'<?xml version="1.0" encoding="GB2312"?><a>\xff\xff</a>', "'GB2312' that it declares"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "'no-such' that it declares"),
        (b'<?xml version="1.0" encoding="hex"?><a/>', "'hex' that it declares"),
        ("<a>狗</a>".encode("gb2312"), r"a\.xml:1: is not XML"),
        (b"", r"a\.xml:1: is not XML"),
        (b"\x00\x01", r"is not XML"),
        (b'<!DOCTYPE a [<!ENTITY b "b">]><a>&c;</a>', r"a\.xml:1: is not XML"),
    ],
)
def test_what_is_not_in_its_encoding_is_named_with_file_and_encoding(
    tmp_path: Path, content: bytes, match: str
) -> None:
    with pytest.raises(BadTagFileError, match=match) as caught:
        read(tmp_path, content)
    assert "a.xml" in str(caught.value)


def test_accents_of_the_other_encoding_name_the_class(tmp_path: Path) -> None:
    xml = "<a><object><name>cafe\u0301</name></object></a>"
    assert read(tmp_path, xml.encode()) == ("café",)


def test_another_case_is_not_taken_but_proposed(tmp_path: Path) -> None:
    with pytest.raises(UnknownClassError, match=r"unknown class 'Dog'.*: write 'dog' for it"):
        read(tmp_path, b"<a><object><name>Dog</name></object></a>")


def test_a_folder_in_an_annotations_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.xml").mkdir()
    with pytest.raises(BadTagFileError, match=r"annotation .*a\.xml cannot be read"):
        tags_from_annotation(tmp_path / "a.xml", CLASSES)
    with pytest.raises(UntaggedImageError, match="does not exist"):
        tags_from_annotation(tmp_path / "b.xml", CLASSES)
