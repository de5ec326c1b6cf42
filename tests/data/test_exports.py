"""Tag files of label tools, JSON and Parquet: the same tags in each; each fault is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from oaa_pl.data.exports import read_export
from oaa_pl.data.folder import FolderSource
from oaa_pl.data.listing import of_folder
from oaa_pl.data.tags import read_tag_file
from oaa_pl.errors import BadTagFileError, ConfigError, UnknownClassError, UntaggedImageError

TAGS = {"a.jpg": ("dog",), "sub/b.png": ("cat", "traffic light")}


def studio(image: str, choices: tuple[str, ...]) -> dict[str, Any]:
    value = {"choices": list(choices)}
    result = [{"type": "choices", "from_name": "tag", "to_name": "image", "value": value}]
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": result}]}


def cvat(tags: dict[str, tuple[str, ...]]) -> str:
    images = "".join(
        f'<image id="{n}" name="{name}" width="8" height="8">'
        + "".join(f'<tag label="{tag}" source="manual"></tag>' for tag in found)
        + "</image>"
        for n, (name, found) in enumerate(tags.items())
    )
    return f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{images}</annotations>'  # noqa: E501


FORMS: dict[str, tuple[str, str]] = {
    "list": ("tags.json", json.dumps([{"image": k, "tags": list(v)} for k, v in TAGS.items()])),
    "texts": ("tags.json", json.dumps({k: ";".join(v) for k, v in TAGS.items()})),
    "dictionary": ("tags.json", json.dumps(TAGS)),
    "lines": (
        "metadata.jsonl",
        "".join(json.dumps({"file_name": k, "label": v}) + "\n" for k, v in TAGS.items()),
    ),
    "Label Studio": (
        "project-1.json",
        json.dumps(
            [studio("/data/upload/1/0a1b2c3d-a.jpg", TAGS["a.jpg"]),
             studio("/data/local-files/?d=sub/b.png", TAGS["sub/b.png"])]
        ),
    ),
    "Label Studio, JSON-MIN": (
        "project-1.json",
        json.dumps(
            [{"id": 1, "image": "https://host/data/upload/1/0a1b2c3d-a.jpg", "choice": "dog"},
             {"id": 2, "image": "sub/b.png", "choice": {"choices": ["cat", "traffic light"]}}]
        ),
    ),
    "FiftyOne": (
        "labels.json",
        json.dumps(
            {"classes": ["cat", "dog", "traffic light"],
             "labels": {"a": 1, "sub/b": [0, "traffic light"]}}
        ),
    ),
    "FiftyOne with confidence": (
        "labels.json",
        json.dumps(
            {"classes": None,
             "labels": {"a": {"label": "dog", "confidence": 0.9},
                        "sub/b": [{"label": "cat"}, {"label": "traffic light"}]}}
        ),
    ),
    "CVAT": ("annotations.xml", cvat(TAGS)),
    "Roboflow": (
        "_classes.csv", "filename, cat, dog, traffic light\na.jpg, 0, 1, 0\nsub/b.png, 1, 0, 1\n"
    ),
}  # fmt: skip


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for name in TAGS:
        Image.new("RGB", (30, 20), (200, 10, 10)).save(root / name)
    return root


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_data_set(photos: Path, tmp_path: Path, form: str) -> None:
    name, text = FORMS[form]
    (tmp_path / name).write_text(text)
    source = FolderSource(photos, tmp_path / name)
    assert source.ids == ("a", "sub__b")
    assert source.classes == ("cat", "dog", "traffic light")
    assert source.labels.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_a_form_is_found_by_its_content_and_not_by_its_name(photos: Path, tmp_path: Path) -> None:
    for form in ("CVAT", "dictionary"):
        (tmp_path / "tags.txt").write_text(FORMS[form][1])
        assert FolderSource(photos, tmp_path / "tags.txt").labels.sum() == 3


def test_subfolders_can_be_the_classes(photos: Path) -> None:
    (photos / "a.jpg").rename(photos / "sub" / "a.jpg")
    (photos / "other dog").mkdir()
    Image.new("RGB", (30, 20)).save(photos / "other dog" / "c.webp")
    source = FolderSource(photos, photos)
    assert source.classes == ("other dog", "sub")
    assert source.ids == ("other dog__c", "sub__a", "sub__b")
    assert source.labels.tolist() == [[1, 0], [0, 1], [0, 1]]


def test_parquet_is_read_where_it_is_installed(photos: Path, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra 'parquet' is not installed")
    from pyarrow import parquet

    for number, tags in enumerate(
        ([list(v) for v in TAGS.values()], [";".join(v) for v in TAGS.values()])
    ):
        path = tmp_path / f"{number}.parquet"
        parquet.write_table(arrow.table({"image": list(TAGS), "tags": tags}), path)
        assert FolderSource(photos, path).labels.tolist() == [[0, 1, 0], [1, 0, 1]]
    parquet.write_table(arrow.table({"image": ["a"], "x": ["dog"]}), path)
    with pytest.raises(BadTagFileError, match="has the columns image, x, expected image and tags"):
        read_export(path)
    path.write_bytes(b"PAR1 broken")
    with pytest.raises(BadTagFileError, match="is not a readable Parquet file"):
        read_export(path)


def test_parquet_without_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tags.parquet").write_bytes(b"PAR1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"is Parquet, which needs: pip install 'oaa_pl\[parqu"):
        read_export(tmp_path / "tags.parquet")


def test_our_own_forms_are_none_of_them(tmp_path: Path) -> None:
    for text in ("image,tags\na,dog\n", "a.jpg dog cat\n", "filename,tags\n", ""):
        (tmp_path / "tags.csv").write_text(text)
        assert read_export(tmp_path / "tags.csv") is None
    assert read_export(tmp_path / "nowhere.csv") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"images": [], "annotations": []}', "is a COCO file: give it to data=coco"),
        ("[1]", "tags:1: expected an object with image and tags, got 1"),
        ('[{"tags": ["dog"]}]', r"tags:1: has no name of an image \(keys: tags\)"),
        ('[{"image": 3, "tags": ["dog"]}]', "has no name of an image"),
        ('[{"image": "a", "tags": [1]}]', "tags must be names, got 1"),
        ('[{"image": "a", "tags": 7}]', "tags must be names, got 7"),
        ('{"classes": ["dog"], "labels": {"a": 4}}', "class number 4 is not one of `classes`"),
        ('{"classes": null, "labels": {"a": 0}}', "class number 0 is not one of `classes`"),
        ("<annotations>", r"tags:1: is not XML"),
        ("<annotation><object/></annotation>", "is XML of <annotation>, expected <annotations>"),
        ("<annotations><meta/></annotations>", "expected <annotations> with <image>s"),
        ("<annotations><image/></annotations>", "tags:1: an <image> has no name"),
        ('<annotations><image name="a"><tag/></image></annotations>', "one of its tags no label"),
        ("filename, cat, dog\na.jpg, 1\n", "tags:2: expected a file name and 2 times 0 or 1"),
        ("filename, cat, dog\na.jpg, 1, x\n", "tags:2: expected a file name and 2 times 0 or 1"),
        ('{"a.jpg": ["dog"], "/etc/b.jpg": ["cat"]}', "tags:2: image '/etc/b.jpg' is not a path"),
        ('[{"image": "a", "tags": "x"}, {"image": "a", "tags": "x"}]', "was on line 1 already"),
        ('{"a": ["two\\nlines"]}', "has the control character U\\+000A"),
        ('{"a": ["dog"], "b": ["Dog"]}', "differ only in case"),
    ],
)
def test_a_fault_of_a_form_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tags").write_text(text)
    with pytest.raises(BadTagFileError, match=message):
        read_tag_file(tmp_path / "tags")


def test_a_name_says_what_a_damaged_file_should_be(tmp_path: Path) -> None:
    for name, fault in (("tags.json", "is not JSON"), ("tags.jsonl", "is not JSON"),
                        ("tags.xml", "is not XML")):  # fmt: skip
        (tmp_path / name).write_text("[1, 2")
        with pytest.raises(BadTagFileError, match=rf"{name}:1: {fault}"):
            read_tag_file(tmp_path / name)


def test_a_plain_list_may_begin_with_a_bracket(tmp_path: Path) -> None:
    (tmp_path / "tags.txt").write_text("[1].jpg dog\n<2>.jpg cat\n")
    assert [row.image for row in read_tag_file(tmp_path / "tags.txt")] == ["[1].jpg", "<2>.jpg"]


def test_an_image_without_tags_or_of_an_unknown_class_is_named(tmp_path: Path) -> None:
    (tmp_path / "tags.json").write_text('{"a": ["dog"], "b": []}')
    with pytest.raises(UntaggedImageError, match=r"tags\.json:2: image 'b' has no tag"):
        read_tag_file(tmp_path / "tags.json")
    with pytest.raises(UnknownClassError, match=r"tags\.json:1: unknown class 'dog'"):
        read_tag_file(tmp_path / "tags.json", ["cat", "cow"])


def test_a_check_lists_every_fault_of_an_export(photos: Path, tmp_path: Path) -> None:
    tags = {**TAGS, "gone.jpg": ["dog"], "bare.jpg": [], "../c.jpg": ["dog"], "d.jpg": ["a\tb"]}
    (tmp_path / "tags.json").write_text(json.dumps(tags))
    listing = of_folder(photos, tmp_path / "tags.json")
    assert [image.name for image in listing.images] == ["a", "sub__b"]
    assert len(listing.faults) == 4
    for text in ("no photo 'gone.jpg'", "'bare.jpg' has no tag", "'../c.jpg' is not", "'a\\tb'"):
        assert sum(text in line for line in listing.faults) == 1, text
    assert of_folder(photos, tmp_path / "nowhere").faults
    (tmp_path / "empty").mkdir()
    (fault,) = of_folder(photos, tmp_path / "empty").faults
    assert "is a folder without subfolders" in fault


@pytest.mark.parametrize(("name", "text", "message"), [
    ("tags.json", "3", "has int, expected a list of images"),
    ("tags.json", "null", "has NoneType, expected a list of images"),
    ("tags.json", '"abc"', "has str, expected a list of images"),
    ("tags.json", '{"a.jpg": ["dog"], "a.jpg": ["cat"]}', "the key 'a.jpg' comes twice"),
    ("tags.json", "[" * 100_000, "is nested too deeply"),
    ("tags.json", json.dumps([studio("http://[x/a.jpg", ("dog",))]), "read as an address"),
    ("_classes.csv", "filename,cat,dog,cat\na.jpg,1,0,0\n", "the class 'cat' has two columns"),
])  # fmt: skip
def test_what_would_be_lost_or_guessed_is_refused(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadTagFileError, match=message):
        read_export(tmp_path / name)


def test_json_lines_may_be_one_line(tmp_path: Path) -> None:
    (tmp_path / "tags.jsonl").write_text('{"file_name": "a.jpg", "tags": ["dog"]}\n')
    [entry] = read_export(tmp_path / "tags.jsonl") or []
    assert (entry.image, entry.tags) == ("a.jpg", ("dog",))
