"""Label Studio's export: which annotation counts, and shapes that it does not write."""

from pathlib import Path
from typing import Any

import pytest

from oaa_pl.data.label_studio import local_path, tags_of_task
from oaa_pl.errors import BadTagFileError

HERE = Path("tags.json")


def annotation(*choices: str, **more: Any) -> dict[str, Any]:
    return {"result": [{"value": {"choices": list(choices)}}], **more}


def tags(*annotations: Any) -> list[str]:
    return tags_of_task(HERE, 1, {"data": {}, "annotations": list(annotations)})


def test_a_cancelled_annotation_does_not_count() -> None:
    assert tags(annotation("cat", was_cancelled=True)) == []
    assert tags(annotation("cat", was_cancelled=True), annotation("dog")) == ["dog"]


def test_annotations_of_several_people_must_agree() -> None:
    assert tags(annotation("cat", "dog"), annotation("dog", "cat")) == ["cat", "dog"]
    with pytest.raises(BadTagFileError, match=r"json:1: its annotations differ \(cat and dog\)"):
        tags(annotation("cat"), annotation("dog"))
    with pytest.raises(BadTagFileError, match=r"differ \(cat and nothing\)"):
        tags(annotation("cat"), annotation())


def test_a_task_without_choices_has_no_tag() -> None:
    assert tags_of_task(HERE, 1, {"annotations": None}) == []
    assert tags({"result": None}) == []
    assert tags({"result": [{"value": None}, {"value": {"choices": None}}, {}]}) == []
    assert tags_of_task(HERE, 1, {"completions": [annotation("cat")]}) == ["cat"]


@pytest.mark.parametrize(("task", "match"), [
    ({"annotations": {"x": 1}}, "annotations must be a list of objects"),
    ({"annotations": [None]}, "annotations must be a list of objects"),
    ({"completions": "x"}, "completions must be a list of objects"),
    ({"annotations": [{"result": {"value": 1}}]}, "result must be a list of objects"),
    ({"annotations": [{"result": ["cat"]}]}, "result must be a list of objects"),
    ({"annotations": [{"result": [{"value": {"choices": "cat"}}]}]}, "got 'cat'"),
    ({"annotations": [{"result": [{"value": {"choices": [1]}}]}]}, r"got \[1\]"),
    ({"annotations": [{"result": [{"value": "cat"}]}]}, "choices must be a list of names"),
])  # fmt: skip
def test_other_shapes_are_named(task: dict[str, Any], match: str) -> None:
    with pytest.raises(BadTagFileError, match=f"tags.json:7: .*{match}"):
        tags_of_task(HERE, 7, task)


@pytest.mark.parametrize(("image", "path"), [
    ("/data/upload/1/0a1b2c3d-b%20c.png", "b c.png"),
    ("/data/local-files/?d=sub/b%20c.png", "sub/b c.png"),
    ("https://host/x/%C3%A9t%C3%A9.png", "été.png"),
    ("s3://bucket/a.png", "a.png"),
    ("sub/b%20c.png", "sub/b%20c.png"),  # a plain path is a name, whatever it looks like
])  # fmt: skip
def test_addresses_become_paths_below_the_photos(image: str, path: str) -> None:
    assert local_path(image) == path
