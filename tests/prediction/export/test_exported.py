"""Exported files: equal to the checkpoint, used without torch, and never half-written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image
from tests.cases import some_quick
from tests.prediction.export.stage_folder import stage_folder

from oaa_pl import Predictor
from oaa_pl.data.synthetic.scene import draw_scene
from oaa_pl.errors import ConfigError, ExportError, MissingInputError
from oaa_pl.prediction.export import program
from oaa_pl.prediction.export.exported import export

CLASSES = ("cat", "dog", "cow", "sheep")
SMALL = (
    "net=small", "data.input_size=64",
    "net.segmenter.trunk.module.widths=[4,4,8]", "net.segmenter.hidden=8",
    "net.attention.trunk.module.widths=[4,4,8]", "net.attention.hidden=8",
)  # fmt: skip
SIZES = (96, 64, 120, 77, 50, 101, 66, 180, 33, 128)


@pytest.fixture(scope="module")
def onnx_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter as ONNX: its stage in `stage`, the file in `out`. To be read only."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra 'export'")
    folder = tmp_path_factory.mktemp("segmenter")
    checkpoint = stage_folder(folder / "stage", "segmenter", *SMALL, classes=CLASSES)
    (folder / "stage/metrics.csv").write_text(
        "experiment,seed,dataset,split,stage,method,metric,value\n"
        "tiny,0,voc12,val,segmenter,oaa_max,segmentation/miou,12.5\n"
    )
    export(checkpoint, "onnx", folder / "out", licence="CC0")
    return folder


def photos() -> list[np.ndarray]:
    """Ten photos of mixed sizes."""
    drawn = [draw_scene(1, "val", number, side, 1.0).photo for number, side in enumerate(SIZES)]
    return [photo[: len(photo) * 3 // 4] if n % 2 else photo for n, photo in enumerate(drawn)]


def changed(folder: Path, output: Path, **views: object) -> Path:
    """A copy of a stage that sees photos in another way, exported."""
    checkpoint = output.with_name("stage") / "last.ckpt"
    checkpoint.parent.mkdir()
    for name in ("last.ckpt", "stage.json"):
        (checkpoint.parent / name).write_bytes((folder / "stage" / name).read_bytes())
    cfg = OmegaConf.load(folder / "stage/config.yaml")
    cfg.evaluate.update(views)
    OmegaConf.save(cfg, checkpoint.parent / "config.yaml")
    return checkpoint


def session_of(file: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def resized(photo: np.ndarray, h: int, w: int) -> np.ndarray:
    smaller = h < photo.shape[0] or w < photo.shape[1]
    return cv2.resize(photo, (w, h), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def test_ten_photos_of_mixed_sizes_get_the_masks_of_the_checkpoint(onnx_made: Path) -> None:
    session = session_of(onnx_made / "out/segmenter.onnx")
    predictor = Predictor.load(onnx_made / "stage", size=None)
    equal, worst, seen = [], 0.0, set()
    for photo in photos():
        h, w = (4 * max(1, round(side / 4)) for side in photo.shape[:2])
        size = np.array(photo.shape[:2])
        mask, confidence, probabilities = session.run(
            None, {"image": resized(photo, h, w)[None], "size": size}
        )
        expected, sure = predictor(photo, confidence=True)
        equal.append((mask[0] == expected).mean())
        worst = max(worst, np.abs(confidence[0] - sure).max())
        np.testing.assert_allclose(probabilities[0].sum(axis=0), 1, atol=1e-5)
        seen |= set(np.unique(expected))
    assert len(seen) > 1  # or every label would be right
    assert min(equal) >= 0.999
    assert worst <= 1e-3


def test_a_batch_gives_what_its_photos_give(onnx_made: Path) -> None:
    session = session_of(onnx_made / "out/segmenter.onnx")
    batch = np.random.default_rng(0).integers(0, 256, (5, 40, 64, 3), dtype=np.uint8)
    together = session.run(None, {"image": batch, "size": np.array([40, 64])})
    for place, image in enumerate(batch):
        alone = session.run(None, {"image": image[None], "size": np.array([40, 64])})
        np.testing.assert_allclose(together[2][place], alone[2][0], atol=1e-5)


def test_the_metadata_and_the_card_describe_the_file(onnx_made: Path) -> None:
    kept = session_of(onnx_made / "out/segmenter.onnx").get_modelmeta().custom_metadata_map
    facts = {key: json.loads(value) for key, value in kept.items()}
    assert facts["classes"] == list(CLASSES)
    assert (facts["size"], facts["keep_shape"], facts["multiple"]) == (64, False, 4)
    assert facts["not_in_graph"] == {"scales": [1.0], "flip": False, "crf": "no_crf"}
    card = (onnx_made / "out/segmenter.md").read_text()
    for part in ("cat, dog, cow, sheep", "| CC0 |", "| voc12 | val | segmentation/miou | 12.50 |",
                 "| training data, fingerprint | abc |"):  # fmt: skip
        assert part in card


WITHOUT_TORCH = """
import sys
for name in ("torch", "oaa_pl", "pytorch_lightning"):
    sys.modules[name] = None  # an import of it fails
"""


@pytest.mark.parametrize("views", [
    {"size": 80, "keep_shape": True},
    *(pytest.param(views, marks=pytest.mark.slow) for views in ({}, {"size": None})),
])  # fmt: skip
def test_the_example_of_the_docs_needs_neither_torch_nor_this_package(
    onnx_made: Path, tmp_path: Path, views: dict[str, Any]
) -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/application.md").read_text("utf-8")
    [example] = [
        block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if "onnxruntime" in block
    ]  # fmt: skip
    (tmp_path / "exported").mkdir()
    file = tmp_path / "exported/segmenter.onnx"
    if views:
        import onnx

        # The views are facts alone: the graph is the same.
        model = onnx.load(onnx_made / "out/segmenter.onnx")
        for entry in model.metadata_props:
            if entry.key in views:
                entry.value = json.dumps(views[entry.key])
        onnx.save(model, file)
    else:
        file.write_bytes((onnx_made / "out/segmenter.onnx").read_bytes())
    photo = photos()[7]
    Image.fromarray(photo).save(tmp_path / "beach.png")
    script = WITHOUT_TORCH + example.replace("beach.jpg", "beach.png") + "np.save('mask', mask)\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = Predictor.load(onnx_made / "stage", **views)(photo)
    assert (np.load(tmp_path / "mask.npy")[0] == expected).mean() >= 0.999
    named = {CLASSES[label - 1] for label in np.unique(expected) if label}
    assert eval(done.stdout) == named  # a set of names


@pytest.mark.parametrize("form", ["onnx", pytest.param("torch_export", marks=pytest.mark.slow)])
def test_a_classifier_gives_scores_and_maps(form: str, tmp_path: Path) -> None:
    if form == "onnx":
        pytest.importorskip("onnxscript", reason="needs the extra 'export'")
    checkpoint = stage_folder(tmp_path / "stage", "classifier", *SMALL, classes=CLASSES)
    made = export(checkpoint, form, tmp_path / "out")
    assert made.file.name == ("classifier.onnx" if form == "onnx" else "classifier.pt2")
    assert made.agreement.difference <= 1e-3
    run = program.FORMATS[form].reader(made.file.read_bytes())
    image = np.random.default_rng(0).integers(0, 256, (3, 48, 80, 3), dtype=np.uint8)
    scores, probabilities, score_map, attention = run({"image": image}).values()
    assert scores.shape == probabilities.shape == (3, 4)
    assert score_map.shape == attention.shape == (3, 4, 12, 20)
    np.testing.assert_allclose(scores, score_map.mean(axis=(2, 3)), atol=1e-5)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-scores)), atol=1e-6)
    positive = np.maximum(score_map, 0)
    peak = positive.max(axis=(2, 3), keepdims=True)
    np.testing.assert_allclose(attention, positive / np.where(peak > 0, peak, 1), atol=1e-5)


OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.cells = nn.Conv2d(3, num_classes, 4, 4)

    def forward(self, image):
        return torch.special.bessel_j0(self.cells(image))
"""


@pytest.fixture
def own_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a network with an operation that ONNX lacks."""
    (tmp_path / "bessel_net.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bessel_net", raising=False)
    return stage_folder(
        tmp_path / "stage", "segmenter", *SMALL, "~net.segmenter",
        "+net.segmenter={_target_: bessel_net.Net, _partial_: true}", classes=CLASSES,
    )  # fmt: skip


def test_an_operation_that_the_format_lacks_is_named_and_nothing_is_written(
    own_net: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript", reason="needs the extra 'export'")
    output = tmp_path / "out"
    output.mkdir()
    (output / "segmenter.onnx").write_bytes(b"of an earlier export")
    with pytest.raises(ExportError, match=r"ONNX lacks what it needs .*bessel_j0"):
        export(own_net, "onnx", output, allow=["bessel_net"])
    assert [path.name for path in output.iterdir()] == ["segmenter.onnx"]
    assert (output / "segmenter.onnx").read_bytes() == b"of an earlier export"
    with pytest.raises(ConfigError, match=r"'bessel_net\.Net', which is not a part of ours"):
        export(own_net, "onnx", output)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A segmenter's checkpoint, and the file that it becomes. To be read only."""
    folder = tmp_path_factory.mktemp("traced")
    checkpoint = stage_folder(folder / "stage", "segmenter", *SMALL, classes=CLASSES)
    return checkpoint, export(checkpoint, "torch_export", folder / "out").file.read_bytes()


@pytest.mark.parametrize(("harm", "match"), some_quick([
    (lambda found: {**found, "0": 1 - found["0"]}, r"gives the checkpoint's mask on 0\.000 %"),
    (lambda found: {**found, "1": found["1"] + 0.002}, r"confidence differs .* by 0\.002"),
    (lambda found: {**found, "2": found["2"] * np.float32("nan")}, r"probabilities differs .* nan"),
    (lambda found: {**found, "2": found["2"][:, :2]}, r"gives probabilities as \(2, "),
], 3))  # fmt: skip
def test_a_file_that_differs_from_the_checkpoint_is_not_written(
    traced: tuple[Path, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    harm: Any, match: str,
) -> None:  # fmt: skip
    checkpoint, content = traced

    def reader(content: bytes) -> Any:
        run = program.FORMATS["torch_export"].reader(content)
        return lambda inputs: harm(run(inputs))

    own = program.FORMATS["torch_export"]._replace(write=lambda *_: content, reader=reader)
    monkeypatch.setattr("oaa_pl.prediction.export.exported.FORMATS", {"torch_export": own})
    with pytest.raises(ExportError, match=match):
        export(checkpoint, "torch_export", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = stage_folder(tmp_path / "stage", "segmenter", *SMALL, classes=CLASSES)
    with pytest.raises(
        ConfigError, match=r"format must be one of onnx, torch_export, got 'tflite'"
    ):
        export(checkpoint, "tflite", tmp_path / "out")
    with pytest.raises(MissingInputError, match="does not exist; first run 'oaa fit"):
        export(tmp_path / "last.ckpt", "onnx", tmp_path / "out")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"needs the extra 'export' \(onnxscript is missing\)"):
        export(checkpoint, "onnx", tmp_path / "out")
    (tmp_path / "stage/stage.json").write_text('{"made_from": {"labels": 1}, "classes": []}')
    with pytest.raises(ConfigError, match="has no trained network"):
        export(checkpoint, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()
