"""Files that a stage is made from are known by what is in them."""

from pathlib import Path

from oaa_pl.runs.inputs import cue_files, weight_files


def cue(**background: object) -> dict[str, object]:
    return background


def maps(folder: Path, levels: dict[str, int]) -> Path:
    folder.mkdir()
    for name, level in levels.items():
        (folder / f"{name}.png").write_bytes(bytes([level]))
    return folder


def test_weights_are_their_content_wherever_they_lie(tmp_path: Path) -> None:
    def known(name: str, content: bytes) -> dict[str, str]:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return weight_files(str(path))

    first = known("a/w.pth", b"one")
    assert first == known("b/w.pth", b"one") != known("c/w.pth", b"two")
    for word in ("imagenet", "none", str(tmp_path / "gone.pth")):
        assert weight_files(word) == {}


def test_saliency_maps_are_told_apart_by_their_content(tmp_path: Path) -> None:
    one = maps(tmp_path / "one", {"a": 3, "b": 4, "stranger": 9})
    same = maps(tmp_path / "same", {"a": 3, "b": 4})
    other = maps(tmp_path / "other", {"a": 3, "b": 5})
    known = [cue_files(cue(folder=str(f), fallback=None), ["b", "a"]) for f in (one, same, other)]
    assert known[0] == known[1] != known[2]
    assert known[0] == cue_files(cue(folder=str(one), fallback=None), ["a", "b"])


def test_what_is_gone_has_no_digest(tmp_path: Path) -> None:
    folder = maps(tmp_path / "maps", {"a": 3})
    assert cue_files(cue(folder=str(tmp_path / "gone"), fallback=None), ["a"]) == {}
    assert cue_files(cue(folder=str(folder), fallback=None), ["a", "b"]) == {}
    # With a fallback, a map that is not there is part of what the labels are made from.
    assert cue_files(cue(folder=str(folder), fallback={"_target_": "x"}), ["a", "b"])
    assert cue_files(cue(model=str(tmp_path / "gone.onnx")), ["a"]) == {}
    assert cue_files(cue(value=0.7), ["a"]) == {}


def test_what_fills_in_for_missing_maps_counts_too(tmp_path: Path) -> None:
    folder = maps(tmp_path / "maps", {"a": 3})
    (tmp_path / "m.onnx").write_bytes(b"one")
    fallback = {"_target_": "x", "model": str(tmp_path / "m.onnx")}
    before = cue_files(cue(folder=str(folder), fallback=fallback), ["a", "b"])
    (tmp_path / "m.onnx").write_bytes(b"two")
    after = cue_files(cue(folder=str(folder), fallback=fallback), ["a", "b"])
    assert before.keys() == {"saliency maps", "fallback's saliency model"}
    assert [name for name in before if before[name] != after[name]] == ["fallback's saliency model"]


def test_a_saliency_model_is_its_content(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"one")
    before = cue_files(cue(model=str(tmp_path / "m.onnx")), ["a"])
    (tmp_path / "m.onnx").write_bytes(b"two")
    assert before != cue_files(cue(model=str(tmp_path / "m.onnx")), ["a"])
    assert before.keys() == {"saliency model"}
