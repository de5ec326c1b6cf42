"""`oaa export`: a run's network as a file, and refusals in one line."""

import importlib.util
from pathlib import Path

import pytest
from tests.cases import some_quick
from tests.commands.tiny import files, oaa, require_refusal, words

needs_onnx = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the extra 'export'",
)


@pytest.mark.parametrize(
    ("form", "file"),
    [
        pytest.param("onnx", "segmenter.onnx", marks=[pytest.mark.slow, needs_onnx]),
        ("torch_export", "segmenter.pt2"),
    ],
)
def test_the_segmenter_of_a_run_is_exported_with_its_card_and_its_scores(
    again: Path, tiny_voc_once: Path, form: str, file: str
) -> None:
    chosen = () if form == "onnx" else (f"format={form}",)
    said = oaa("export", *words(tiny_voc_once), "stage=segmenter", "method=oaa_max", *chosen)
    assert said.status == 0, said.err
    assert files(again / "exported") == {file, "segmenter.md"}
    card = (again / "exported/segmenter.md").read_text()
    assert "segmentation/miou" in card
    assert "trained from random weights" in card


def test_a_copied_folder_is_enough(again: Path, tiny_voc_once: Path) -> None:
    said = oaa(
        "export", "export.checkpoint=runs/tiny/seed-0/integral/hybrid", "format=torch_export",
        "export.output=model", f"export.photo={tiny_voc_once}/JPEGImages/2007_000005.jpg",
    )  # fmt: skip
    assert said.status == 0, said.err
    assert files(again / "model") == {"integral.pt2", "integral.md"}


@pytest.mark.parametrize(("word", "fragments"), some_quick([
    ("format=tflite", ("format must be one of onnx, torch_export, got 'tflite'",)),
    ("stage=labels", ("stage must be one of classifier, integral, segmenter, got 'labels'",)),
    ("export.checkpoint=nowhere", ("nowhere does not exist",)),
    ("export.checkpoint=runs/tiny/seed-0/labels/oaa_max", ("does not exist",)),
    ("export.photo=nowhere.jpg", ("nowhere.jpg does not exist",)),
    ("allow_targets=timm", ("allow_targets must be a list",)),
]))  # fmt: skip
def test_what_cannot_be_exported_is_refused_in_one_line(
    again: Path, tiny_voc_once: Path, word: str, fragments: tuple[str, ...]
) -> None:
    require_refusal(oaa("export", *words(tiny_voc_once), word), *fragments)
    assert not (again / "exported").exists()
