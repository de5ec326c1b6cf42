"""The commands with `trainer=gpu` on a real CUDA GPU: every stage, precision and way to train."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands.killed import run_until
from tests.commands.tiny import inside, oaa, surroundings, words

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.report.results import read_results
from oaa_pl.store.reader import StoreReader

# A driver, Lightning and torch's compiler warn of a machine's settings, which no result here needs.
pytestmark = [pytest.mark.cuda, pytest.mark.filterwarnings("default")]

SEED = Path("runs/tiny/seed-0")
# Two epochs teach too little for the paper's gate to accept a map.
FEW = ("methods=[cam,oaa_max]", "gate=none")
STAGES = (
    "fit",
    "attend method=cam",
    "label method=oaa_max",
    "fit stage=segmenter method=oaa_max",
    "evaluate",
)
# cuDNN multiplies in TF32 by default, and adds in another order each time.
NEAR = 0.02


@pytest.fixture
def where(gpu: torch.device) -> tuple[str, ...]:
    """Words that train there."""
    return ("trainer=gpu" if gpu.type == "cuda" else f"trainer={gpu.type}", *FEW)


def run(line: str, *more: str) -> None:
    name, *overrides = line.split()
    said = oaa(name, *overrides, *more)
    assert said.status == 0, (line, said.err)


def record(stage: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((stage / "stage.json").read_text())
    return content


def weights(stage: Path) -> dict[str, torch.Tensor]:
    """As they were saved, on the device of the training."""
    state: dict[str, torch.Tensor] = torch.load(stage / LAST, weights_only=True)["state_dict"]
    return state


def scores(folder: Path) -> dict[tuple[str, ...], float]:
    rows = read_results(folder / "runs/tiny/results.csv")
    return {(row.method, row.split, row.metric): row.value for row in rows}


def require_near(one: Path, other: Path) -> None:
    """The weights and the cumulative maps of two classifiers."""
    for name, value in weights(one / SEED / "classifier").items():
        there = weights(other / SEED / "classifier")[name]
        assert torch.allclose(value.float().cpu(), there.float().cpu(), atol=NEAR, rtol=NEAR), name
    maps = [StoreReader(folder / SEED / "attention/oaa_max/store") for folder in (one, other)]
    assert np.array_equal(*(reader.rows["updates"] for reader in maps))
    assert maps[0].rows["updates"].sum() > 0
    state = [reader.state.astype(np.float64) for reader in maps]
    # Eq. (2) divides by a map's maximum, which magnifies a difference where that is small.
    assert np.mean(np.abs(state[0] - state[1]) > NEAR) < 0.1


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_every_command_runs_on_the_gpu_in_every_precision(
    empty: Path, tiny_voc_once: Path, where: tuple[str, ...], gpu: torch.device, precision: str
) -> None:
    asked = (*words(tiny_voc_once), *where, f"trainer.precision={precision}")
    for line in STAGES:
        run(line, *asked)
    for stage in ("classifier", "segmenter/oaa_max"):
        assert {value.device.type for value in weights(SEED / stage).values()} == {gpu.type}
        if gpu.type == "cuda":  # a CPU has another one for float16
            assert record(SEED / stage)["precision"]["used"] == precision
    assert StoreReader(SEED / "attention/oaa_max/store").rows["updates"].sum() > 0
    found = scores(empty)
    assert any(metric == "segmentation/miou" for _, _, metric in found)
    assert all(0 <= value <= 100 for value in found.values() if not np.isnan(value)), found
    run("predict method=oaa_max", *asked, f"predict.photos={tiny_voc_once}/JPEGImages")
    assert len(list(Path("predictions/masks").iterdir())) == 6
    run("export stage=segmenter method=oaa_max format=torch_export", *asked)
    assert Path("exported/segmenter.pt2").is_file()


def test_a_cpu_gives_the_scores_and_the_masks_of_a_gpu(
    empty: Path, tiny_voc_once: Path, where: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    photos = f"predict.photos={tiny_voc_once}/JPEGImages"
    asked = (*words(tiny_voc_once), *where, "trainer.precision=32-true")
    for line in STAGES[:-1]:
        run(line, *asked)
    shutil.copytree("runs", "other/runs")
    for line in ("evaluate", "predict method=oaa_max"):
        run(line, *asked, photos)
        with inside(empty / "other"):
            run(line, *words(tiny_voc_once), *FEW, photos, "trainer=cpu")
    here, there = scores(empty), scores(empty / "other")
    assert here.keys() == there.keys()
    for name, value in there.items():
        if "threshold" not in name[-1]:  # the best one may change places with another as good
            assert here[name] == pytest.approx(value, abs=0.5, nan_ok=True), name  # per cent
    masks = sorted(Path("predictions/masks").iterdir())
    assert len(masks) == 6
    for path in masks:
        other = np.asarray(Image.open(empty / "other" / path))
        assert np.mean(np.asarray(Image.open(path)) == other) > 0.99, path


def test_a_killed_run_is_resumed_as_if_it_had_lived(
    empty: Path, tiny_voc_once: Path, where: tuple[str, ...]
) -> None:
    asked = (*words(tiny_voc_once), *where, "trainer.precision=32-true")
    killed, lived = empty / "killed", empty / "lived"
    for folder in (killed, lived):
        folder.mkdir()
    ended = run_until(signal.SIGKILL, "classifier/last.ckpt", 2, killed, "fit", *asked)
    assert ended.status == -signal.SIGKILL, ended.err
    assert torch.load(killed / SEED / "classifier" / LAST, weights_only=True)["epoch"] == 0
    for folder in (killed, lived):
        with inside(folder):
            run("fit", *asked)
        assert record(folder / SEED / "classifier")["precision"]["used"] == "32-true"
        assert torch.load(folder / SEED / "classifier" / LAST, weights_only=True)["epoch"] == 1
    require_near(killed, lived)


def test_ddp_on_one_gpu_makes_what_a_plain_training_makes(
    empty: Path, tiny_voc_once: Path, where: tuple[str, ...], gpu: torch.device
) -> None:
    asked = (*words(tiny_voc_once), *FEW, "trainer.precision=32-true")
    plain, ddp = empty / "plain", empty / "ddp"
    for folder in (plain, ddp):
        folder.mkdir()
    with inside(plain):
        run("fit", *asked, *where)
    accelerator = "gpu" if gpu.type == "cuda" else gpu.type
    more = ("trainer=ddp_static", "trainer.devices=1", f"trainer.accelerator={accelerator}")
    done = subprocess.run(  # a process of its own, for it sets environment variables
        [sys.executable, "-m", "oaa_pl", "fit", *asked, *more],
        cwd=ddp, env=surroundings(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    require_near(ddp, plain)


def test_a_compiled_network_trains_to_about_the_same(
    empty: Path, tiny_voc_once: Path, where: tuple[str, ...]
) -> None:
    asked = (*words(tiny_voc_once), *where, "trainer.precision=32-true", "classifier.epochs=1")
    plain, compiled = empty / "plain", empty / "compiled"
    for folder, more in ((plain, ()), (compiled, ("callbacks=compile",))):
        folder.mkdir()
        with inside(folder):
            run("fit", *asked, *more)
    (node,) = record(compiled / SEED / "classifier")["made_from"]["trainer"]["callbacks"]
    assert node["_target_"].endswith("CompileNetwork")
    require_near(compiled, plain)
