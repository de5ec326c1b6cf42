"""A manifest: lines survive a kill, other settings are refused, changed files count as missing."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oaa_pl.errors import RunMismatchError, StoreError
from oaa_pl.prediction.manifest import Manifest

SETTINGS = {"checkpoint": "abc", "views": {"size": 48, "scales": (1.0, 2.0)}}
CLASSES = ("cat", "dog")


def photo(folder: Path, name: str, digest: str = "1", **more: Any) -> dict[str, Any]:
    """A line whose mask is on disk."""
    path = folder / "masks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(name.encode())
    sha = hashlib.sha256(name.encode()).hexdigest()
    return {
        "photo": name,
        "sha256": digest,
        "width": 4,
        "height": 3,
        "classes": {},
        "files": {"mask": {"path": f"masks/{name}", "sha256": sha}},
    }


def filled(folder: Path, *names: str) -> Manifest:
    manifest = Manifest(folder, SETTINGS, CLASSES)
    for name in names:
        manifest.add(photo(folder, name))
    return manifest


def test_nothing_is_written_before_the_first_photo(tmp_path: Path) -> None:
    Manifest(tmp_path / "new", SETTINGS, CLASSES).close()
    assert not (tmp_path / "new").exists()


def test_lines_are_there_without_a_close_and_sorted_after_it(tmp_path: Path) -> None:
    manifest = filled(tmp_path, "b", "a", "b")
    before = manifest.path.read_text().splitlines()
    assert [json.loads(line)["photo"] for line in before[1:]] == ["b", "a", "b"]
    manifest.close()
    after = manifest.path.read_text().splitlines()
    assert [json.loads(line)["photo"] for line in after[1:]] == ["a", "b"]
    assert json.loads(after[0])["settings"]["classes"] == ["cat", "dog"]


def test_a_killed_writer_loses_its_last_line_alone(tmp_path: Path) -> None:
    manifest = filled(tmp_path, "a", "b")
    whole = manifest.path.read_bytes()
    manifest.close()
    last = whole.rindex(b"\n", 0, -1) + 1
    for cut in (last, last + 1, len(whole) - 1):
        manifest.path.write_bytes(whole[:cut])
        again = Manifest(tmp_path, SETTINGS, CLASSES)
        assert sorted(again.entries) == ["a"]
    again.add(photo(tmp_path, "c"))
    again.close()
    assert sorted(Manifest(tmp_path, SETTINGS, CLASSES).entries) == ["a", "c"]


def test_a_photo_is_complete_only_if_it_and_its_files_are_unchanged(tmp_path: Path) -> None:
    manifest = filled(tmp_path, "a")
    manifest.close()
    assert manifest.has("a", "1", ["mask"])
    assert not manifest.has("a", "2", ["mask"])
    assert not manifest.has("a", None, ["mask"])
    assert not manifest.has("a", "1", ["mask", "overlay"])
    assert not manifest.has("b", "1", ["mask"])
    (tmp_path / "masks/a").write_bytes(b"edited")
    assert not manifest.has("a", "1", ["mask"])
    (tmp_path / "masks/a").unlink()
    assert not manifest.has("a", "1", ["mask"])


@pytest.mark.parametrize(("settings", "classes", "named"), [
    ({**SETTINGS, "checkpoint": "xyz"}, CLASSES, "checkpoint='abc', requested 'xyz'"),
    ({**SETTINGS, "views": {"size": 48, "scales": [1.0]}}, CLASSES, "views.scales"),
    (SETTINGS, ("cat", "cow"), "classes="),
])  # fmt: skip
def test_other_settings_are_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], classes: tuple[str, ...], named: str
) -> None:
    filled(tmp_path, "a").close()
    before = (tmp_path / "manifest.jsonl").read_bytes()
    with pytest.raises(RunMismatchError, match=named):
        Manifest(tmp_path, settings, classes)
    assert (tmp_path / "manifest.jsonl").read_bytes() == before


@pytest.mark.parametrize("content", [
    b"no json\n", b"[]\n", b"", b'{"format": 1}\n',
    b'{"format": 1, "settings": {}}\n{"photo": 3}\n',
])  # fmt: skip
def test_a_damaged_manifest_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(content)
    with pytest.raises(RunMismatchError, match=r"is damaged .* remove it"):
        Manifest(tmp_path, SETTINGS, CLASSES)


def test_a_newer_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"format": 2, "settings": {}}\n')
    with pytest.raises(RunMismatchError, match="has format 2, this version reads 1"):
        Manifest(tmp_path, SETTINGS, CLASSES)


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    first = filled(tmp_path, "a")
    with pytest.raises(StoreError, match="is being written"):
        Manifest(tmp_path, SETTINGS, CLASSES).add(photo(tmp_path, "b"))
    first.close()
    second = Manifest(tmp_path, SETTINGS, CLASSES)
    second.add(photo(tmp_path, "b"))
    second.close()


def broken(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], str]:
    def lines(entry: dict[str, Any]) -> str:
        change(entry)
        return json.dumps(entry)

    return lines


@pytest.mark.parametrize("line", [
    *(broken(lambda one, key=key: one.pop(key)) for key in ("photo", "sha256", "width", "height",
                                                            "files", "classes")),
    broken(lambda one: one["files"].pop("mask")),
    broken(lambda one: one["files"].update(mask="a path")),
    broken(lambda one: one["files"].update(mask={"path": 3, "sha256": "x"})),
    broken(lambda one: one["files"].update(mask={"sha256": "x"})),
    broken(lambda one: one.update(classes={"cat": 3})),
    broken(lambda one: one.update(sha256=None)),
    lambda _: "3",
    lambda _: "[" * 100_000,
    lambda _: "{}",
])  # fmt: skip
def test_a_line_that_this_package_does_not_write_is_damage(
    tmp_path: Path, line: Callable[[dict[str, Any]], str]
) -> None:
    manifest = filled(tmp_path, "a")
    manifest.close()
    header, own = manifest.path.read_text().splitlines()
    manifest.path.write_text(f"{header}\n{line(json.loads(own))}\n")
    with pytest.raises(RunMismatchError, match=r"manifest\.jsonl is damaged .*; remove it"):
        Manifest(tmp_path, SETTINGS, CLASSES)
