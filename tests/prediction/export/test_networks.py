"""Every network of `conf/net` is exported in both formats, and agrees with the checkpoint."""

from pathlib import Path

import pytest
from tests.prediction.export.stage_folder import stage_folder

from oaa_pl.files.installed import root_of
from oaa_pl.prediction.export.exported import export

NETWORKS = {
    "small": ("net=small",),
    "vgg16": ("net=vgg16",),
    "resnet101": ("net=resnet101",),
    "lite0": ("net=efficientnet_lite0",),
    "lite1": ("net=efficientnet_lite1",),
    "lite2": ("net=efficientnet_lite2",),
    "convnext": ("net=timm", "net.name=convnext_atto"),
    "vit": ("net=timm", "net.name=vit_tiny_patch16_224"),
    "torchvision": ("net=torchvision", "net.name=resnet50"),
    "fpn": ("net=smp", "net.name=resnet10t"),
    "unet": ("net=smp", "net.name=resnet10t", "net.decoder=Unet"),
    "frozen": ("net=small", "segmenter=frozen_head"),
    "tuned": ("net=small", "segmenter=tuned_head"),
}
NEEDS = {  # the packages of an extra
    "timm": ("lite0", "lite1", "lite2", "convnext", "vit", "fpn", "unet"),
    "segmentation_models_pytorch": ("fpn", "unet"),
}
CLASSES = ("cat", "dog", "cow")


def test_every_network_of_the_configuration_is_exported() -> None:
    known = {path.stem for path in (root_of("conf") / "net").glob("*.yaml")}
    assert {words[0].removeprefix("net=") for words in NETWORKS.values()} == known


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch_export"])
@pytest.mark.parametrize("kind", ["segmenter", "classifier"])
@pytest.mark.parametrize("net", NETWORKS)
def test_a_network_is_exported_and_agrees(net: str, kind: str, form: str, tmp_path: Path) -> None:
    if form == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package, reason="needs the extra 'export'")
    for package in (name for name, nets in NEEDS.items() if net in nets):
        pytest.importorskip(package, reason=f"needs an extra with {package}")
    words = (*NETWORKS[net], "data.input_size=64")
    checkpoint = stage_folder(tmp_path / "stage", kind, *words, classes=CLASSES)
    made = export(
        checkpoint,
        form,
        tmp_path / "out",
        allow=("timm", "torchvision", "segmentation_models_pytorch"),
    )
    assert made.file.is_file()
    assert made.agreement.labels >= 0.999
    assert made.agreement.difference <= 1e-3
