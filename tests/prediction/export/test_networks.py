"""Every network of `conf/net` is exported in both formats, and agrees with the checkpoint."""

from pathlib import Path

import pytest
from tests.prediction.export.stage_folder import stage_folder

from oaa_pl.prediction.export.exported import export

NETWORKS = {
    "small": ("net=small",),
    "vgg16": ("net=vgg16",),
    "resnet101": ("net=resnet101",),
    "lite0": ("net=efficientnet_lite0",),
    "convnext": ("net=timm", "net.name=convnext_atto"),
    "vit": ("net=timm", "net.name=vit_tiny_patch16_224"),
    "torchvision": ("net=torchvision", "net.name=resnet50"),
}
CLASSES = ("cat", "dog", "cow")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch_export"])
@pytest.mark.parametrize("kind", ["segmenter", "classifier"])
@pytest.mark.parametrize("net", NETWORKS)
def test_a_network_is_exported_and_agrees(net: str, kind: str, form: str, tmp_path: Path) -> None:
    if form == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package, reason="needs the extra 'export'")
    if net in ("lite0", "convnext", "vit"):
        pytest.importorskip("timm", reason="needs the extra 'timm'")
    words = (*NETWORKS[net], "data.input_size=64")
    checkpoint = stage_folder(tmp_path / "stage", kind, *words, classes=CLASSES)
    made = export(checkpoint, form, tmp_path / "out", allow=("timm", "torchvision"))
    assert made.file.is_file()
    assert made.agreement.labels >= 0.999
    assert made.agreement.difference <= 1e-3
