"""The small inputs of tags and lists that once went wrong, where the machine has them."""

from pathlib import Path

import pytest
from tests.conftest import shared

from oaa_pl.data.annotation import tags_from_annotation
from oaa_pl.data.class_counts import require_learnable
from oaa_pl.data.source import Source
from oaa_pl.data.tags import read_tag_file, to_labels
from oaa_pl.data.voc_folder import read_ids
from oaa_pl.errors import BadTagFileError, ConfigError


def tags_of(name: str) -> list[tuple[str, ...]]:
    return [row.tags for row in read_tag_file(shared("cases") / "tags" / name)]


def test_one_separator_holds_for_a_whole_file() -> None:
    assert tags_of("spaces.csv") == [("dog person",), ("coffee maker", "person")]
    assert tags_of("mixed-separators.csv") == [("coffee maker", "person"), ("coffee maker",)]


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("commas.csv", r"commas\.csv:2: the tags 'dog, cat' .* write them as 'dog;cat'"),
        ("label-tool-json.csv", r"json\.csv:2: the tags .*choices.* write them as 'dog;cat'"),
        ("case-variants.csv", r"csv:3: the tags 'Dog' and 'dog' differ only in case \(line 2\)"),
    ],
)
def test_a_tag_that_is_no_class_is_named_with_what_to_write(name: str, match: str) -> None:
    with pytest.raises(BadTagFileError, match=match):
        tags_of(name)


def test_one_class_cannot_be_learned() -> None:
    class Tags:
        name, split, classes, ids = "folder", "train", ("red",), ("a", "b", "c")
        labels = to_labels(tags_of("one-class.csv"), ("red",))

    source: Source = Tags()  # type: ignore[assignment]  # what the check looks at
    with pytest.raises(ConfigError, match="one class, 'red', and every photo has it"):
        require_learnable(source)


def test_text_of_other_encodings_is_read() -> None:
    voc: Path = shared("cases") / "voc"
    assert read_ids(voc / "list-utf16.txt") == ["000001", "000002"]
    assert tags_from_annotation(voc / "annotation-gb2312.xml", ("cat", "dog")) == ("dog",)
