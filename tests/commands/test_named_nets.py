"""From tags to masks with a convolutional network and a transformer that are named."""

import csv
from pathlib import Path

import pytest
from tests.commands.tiny import oaa, require_refusal, words

SMALL = {
    "convnext": (
        "net.name=convnext_atto", "+net.attention.trunk.options={depths: [1,1,1,1]}",
        "+net.segmenter.trunk.options={depths: [1,1,1,1]}",
    ),
    "vit": (
        "net.name=vit_tiny_patch16_224", "+net.attention.trunk.options={depth: 2}",
        "+net.segmenter.trunk.options={depth: 2}",
    ),
}  # fmt: skip


def named(root: Path, library: str, *more: str) -> tuple[str, ...]:
    """The toy run with a network by name, at 64 pixels."""
    kept = [w for w in words(root) if not w.startswith(("net", "data.input", "data.crop"))]
    sides = ("data.input_size=64", "data.crop_size=64")
    return (*kept, *sides, f"net={library}", "net.weights=none", "methods=[oaa_max]", *more)


@pytest.mark.parametrize("name", ["vit", pytest.param("convnext", marks=pytest.mark.slow)])
def test_masks_come_from_a_network_by_its_name(name: str, tiny_voc: Path, empty: Path) -> None:
    pytest.importorskip("timm", reason="needs the extra 'timm'")
    said = oaa("reproduce", *named(tiny_voc, "timm", *SMALL[name]))
    assert said.status == 0, said.err
    with Path("runs/tiny/results.csv").open(newline="") as file:
        metrics = {row["metric"] for row in csv.DictReader(file)}
    assert {"attention/miou", "segmentation/miou"} <= metrics
    checkpoint = "predict.checkpoint=runs/tiny/seed-0/segmenter/oaa_max/last.ckpt"
    said = oaa("predict", f"predict.photos={tiny_voc / 'JPEGImages'}", checkpoint)
    assert said.status == 0, said.err
    assert len(list(Path("predictions").rglob("*.png"))) >= 6


def test_a_stride_that_the_images_do_not_allow_is_one_line(tiny_voc: Path, empty: Path) -> None:
    pytest.importorskip("timm", reason="needs the extra 'timm'")
    choice = named(tiny_voc, "timm", *SMALL["vit"], "data.input_size=72")
    said = oaa("fit", *choice)
    assert said.status == 2
    assert "Traceback" not in said.err
    assert "vit_tiny_patch16_224 has cells of 16 pixels" in said.last
    assert "images of 72 x 72 pixels" in said.last


def test_a_name_that_there_is_not_is_one_line(tiny_voc: Path, empty: Path) -> None:
    said = oaa("fit", *named(tiny_voc, "torchvision", "net.name=resnet19"))
    require_refusal(said, "torchvision has no classifier 'resnet19'", "resnet18")
