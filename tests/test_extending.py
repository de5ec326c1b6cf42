"""Each part is added from outside the package: a Python file, and a YAML file that names it."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tests.commands.tiny import Said, inside, oaa, words

from oaa_pl.config.compose import compose_group
from oaa_pl.errors import ConfigError
from oaa_pl.modules.classifier import Classifier
from oaa_pl.modules.integral import IntegralAttention
from oaa_pl.store.reader import StoreReader

# File -> its text: the two files of each part.
GATE = {
    "own_gate.py": """
def at_most_one(scores, labels):
    best = scores.masked_fill(~labels, float("-inf"))
    return labels & (best == best.amax(dim=1, keepdim=True))
""",
    "conf/gate/at_most_one.yaml": "_target_: own_gate.at_most_one\n_partial_: true\n",
}
LOSS = {
    "focal.py": """
def focal_loss(score_map, soft_label, gamma):
    q = score_map.sigmoid()
    up = soft_label * (1 - q) ** gamma * q.log()
    down = q ** gamma * (1 - q).log()
    return -up.where(soft_label > 0, down).mean()
""",
    # CONTRIBUTING.md shows this file.
    "conf/loss/focal.yaml": """
name: focal
method: oaa_plus_focal
function: {_target_: focal.focal_loss, _partial_: true, gamma: 2.0}
""",
}
NET = {
    "own_net.py": """
from torch import nn
class Stripes(nn.Module):
    def __init__(self, width, num_classes):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, width, 8, stride=8), nn.ReLU())
        self.trunk.stride, self.trunk.out_channels = 8, width
        self.head = nn.Conv2d(width, num_classes, 1)
    def forward(self, image):
        return self.head(self.trunk(image))
""",
    "conf/net/stripes.yaml": """
name: stripes
weights: none
channels_last: false
mean: [0.5, 0.5, 0.5]
std: [0.25, 0.25, 0.25]
attention: {_target_: own_net.Stripes, _partial_: true, width: 4}
segmenter: {_target_: own_net.Stripes, _partial_: true, width: 4}
""",
}
DATA = {
    "own_data.py": """
from pathlib import Path
import numpy as np
class Squares:
    has_masks = False
    name, split, classes = "squares", "train", ("dark", "light")
    def __init__(self, photos):
        self.ids = tuple(f"square-{number}" for number in range(photos))
        self.labels = np.array([[n % 2 == 0, n % 2 == 1] for n in range(photos)], np.uint8)
    def photo(self, index):
        return np.full((24, 24, 3), 40 + 160 * (index % 2), np.uint8)
    def photo_path(self, index):
        return Path(f"{self.ids[index]}.png")
""",
    "conf/data/squares.yaml": """
name: squares
saliency: null
input_size: 24
crop_size: 24
train: {_target_: own_data.Squares, photos: 4}
val: null
train_transform: [{_target_: albumentations.HorizontalFlip, p: 0.5}]
eval_transform: []
segmenter_train_transform: ${data.train_transform}
""",
}
CUE = {
    "own_cue.py": """
import numpy as np
class Centre:
    def __init__(self, share):
        self.share = share
    def __call__(self, image_id, photo):
        height, width = photo.shape[:2]
        saliency = np.zeros((height, width), np.float32)
        saliency[: int(height * self.share)] = 0.9
        return saliency
""",
    "conf/background/centre.yaml": "_target_: own_cue.Centre\nshare: 0.5\n",
}
LOGGER = {
    "own_logger.py": """
from pathlib import Path
from pytorch_lightning.loggers.logger import Logger
class Lines(Logger):
    name, version = "lines", ""
    def __init__(self, file, title):
        super().__init__()
        self.file, self.title = Path(file), title
    def log_hyperparams(self, params, *args, **kwargs):
        pass
    def log_metrics(self, metrics, step=None):
        with self.file.open("a") as file:
            file.write(f"{self.title}: {sorted(metrics)}\\n")
""",
    "conf/logger/lines.yaml": """
defaults: [csv, _self_]
lines:
  _target_: own_logger.Lines
  file: ${training.folder}/lines.txt
  title: ${training.name}
""",
}
CALLBACK = {
    "own_callback.py": """
from pathlib import Path
from pytorch_lightning import Callback
class Mark(Callback):
    only_looks = True
    def __init__(self, file):
        self.file = Path(file)
    def on_train_end(self, trainer, pl_module):
        self.file.write_text(str(trainer.current_epoch))
""",
    "conf/callbacks/mark.yaml": """
mark: {_target_: own_callback.Mark, file: "${training.folder}/mark.txt"}
""",
}
METRIC = {
    "own_metric.py": """
import torch
from torchmetrics import Metric
class Found(Metric):
    full_state_update = False
    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.add_state("seen", torch.zeros(num_classes), dist_reduce_fx="sum")
    def update(self, label, mask):
        counted = label[(mask != 255) & (label == mask)]
        self.seen += torch.bincount(counted, minlength=self.num_classes) > 0
    def compute(self):
        return {"background": self.seen[0], "objects": self.seen[1:].sum()}
""",
    "conf/metric/found.yaml": """
found:
  of: [proxy]
  metric: {_target_: own_metric.Found}
""",
}
# A stock metric of torchmetrics needs no file of its own.
ACCURACY = """
accuracy:
  of: [proxy, segmentation]
  metric:
    _target_: torchmetrics.classification.MulticlassAccuracy
    average: micro
    ignore_index: 255
"""
PARTS = {
    "gate": GATE, "loss": LOSS, "network": NET, "data layout": DATA, "background cue": CUE,
    "logger": LOGGER, "callback": CALLBACK, "metric": METRIC,
}  # fmt: skip


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the package, with every part."""
    folder = tmp_path_factory.mktemp("outside")
    for files in PARTS.values():
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    (folder / "conf/metric/accuracy.yaml").write_text(ACCURACY)
    return folder


@pytest.fixture(scope="module")
def run(
    outside: Path, tiny_voc_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Said]]:
    """A run whose two attention stages and labels use every part but the data layout."""
    home = tmp_path_factory.mktemp("run")
    known = [word for word in words(tiny_voc_once) if not word.startswith(("net", "background"))]
    chosen = (
        *known, "net=stripes", "gate=at_most_one", "loss=focal", "background=centre",
        "logger=lines", "callbacks=mark", "classifier.keep_empty=true",
        "--config-dir", str(outside / "conf"),
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, inside(home):
        patch.syspath_prepend(outside)
        said = [
            oaa("fit", *chosen),
            oaa("fit", *chosen, "stage=integral"),
            oaa("label", *chosen, "method=oaa_max"),
            oaa("evaluate", *chosen, "methods=[oaa_max]"),
            oaa("evaluate", *chosen, "methods=[oaa_max]", "metric=[found,accuracy]"),
        ]
    return home / "runs/tiny/seed-0", said


def test_the_example_of_the_guide_is_the_loss_that_is_tested() -> None:
    guide = Path(__file__).parents[1] / "CONTRIBUTING.md"
    assert LOSS["conf/loss/focal.yaml"] in guide.read_text("utf-8")


def test_no_part_needs_more_than_two_files() -> None:
    assert {name: len(files) for name, files in PARTS.items() if len(files) > 2} == {}


def test_the_commands_run_with_parts_from_outside(run: tuple[Path, list[Said]]) -> None:
    assert [(one.status, one.last) for one in run[1] if one.status] == []


def test_the_gate_decides_what_is_accumulated(run: tuple[Path, list[Said]]) -> None:
    folder, _ = run
    store = StoreReader(folder / "attention/oaa_max/store")
    accepted = store.rows["updates"]
    # Each of two epochs accepts one class of each of the four photos.
    assert accepted.sum() == 2 * 4
    assert read(folder / "classifier").gate._target_ == "own_gate.at_most_one"


def test_the_network_and_the_loss_are_trained(run: tuple[Path, list[Said]]) -> None:
    folder, _ = run
    state = torch.load(folder / "integral/focal/last.ckpt", weights_only=True)["state_dict"]
    assert set(state) == {f"net.{name}" for name in (
        "trunk.0.weight", "trunk.0.bias", "head.weight", "head.bias")}  # fmt: skip
    losses = (folder / "integral/focal/history.csv").read_text()
    assert "train/loss_epoch" in losses


def test_the_background_cue_makes_the_labels(run: tuple[Path, list[Said]]) -> None:
    assert read(run[0] / "labels/oaa_max").background.share == 0.5
    assert len(list((run[0] / "labels/oaa_max/proxy").glob("*.png"))) == 4


def test_metrics_are_added_to_the_results_that_they_name(run: tuple[Path, list[Said]]) -> None:
    folder, _ = run
    scores = scores_in(folder / "labels/oaa_max")
    # Of four photos: a count, so a whole number that is not above it.
    for name in ("found_background", "found_objects", "found_background_hard"):
        assert scores[f"proxy/{name}"] in range(5)
    assert scores["proxy/found_background"] > 0
    assert 0 < scores["proxy/accuracy"] <= 1
    assert scores["proxy/accuracy"] != scores["proxy/accuracy_hard"]
    attention = scores_in(folder / "attention/oaa_max")
    assert not any("found" in name or "accuracy" in name for name in attention)


def scores_in(stage: Path) -> dict[str, float]:
    with (stage / "metrics.csv").open(newline="") as file:
        return {row["metric"]: float(row["value"]) for row in csv.DictReader(file)}


def test_logger_and_callback_know_the_stage_that_they_are_of(run: tuple[Path, list[Said]]) -> None:
    folder, _ = run
    for stage, name in (("classifier", "classifier"), ("integral/focal", "integral focal")):
        lines = (folder / stage / "lines.txt").read_text()
        assert lines.startswith(f"tiny seed 0 {name}: [")
        assert (folder / stage / "mark.txt").read_text() == "2"


def test_a_checkpoint_of_a_foreign_network_asks_for_it(
    run: tuple[Path, list[Said]], outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(outside)
    path = run[0] / "classifier/last.ckpt"
    with pytest.raises(
        ConfigError, match=r"own_net.Stripes.*load_from_checkpoint\(path, net=...\)"
    ):
        Classifier.load_from_checkpoint(path, weights_only=True)
    from own_net import Stripes  # type: ignore[import-not-found]  # the file above

    made = Classifier.load_from_checkpoint(path, weights_only=True, net=Stripes(4, 20))
    state = torch.load(path, weights_only=True)["state_dict"]
    assert torch.equal(made.net.head.weight, state["net.head.weight"])
    with pytest.raises(ConfigError, match=r"checkpoint's loss asks to call 'focal"):
        IntegralAttention.load_from_checkpoint(
            run[0] / "integral/focal/last.ckpt", net=Stripes(4, 20)
        )


def test_a_data_layout_from_outside_is_trained_on(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(outside)
    monkeypatch.chdir(tmp_path)
    said = oaa(
        "fit", "--config-dir", str(outside / "conf"), "data=squares", "net=stripes", "name=own",
        "store.grid=[3,3]", "classifier.epochs=1", "classifier.batch_size=2",
    )  # fmt: skip
    assert said.status == 0, said.err
    store = StoreReader(Path("runs/own/seed-0/attention/oaa_max/store"))
    assert store.pairs.classes == ("dark", "light")


def test_another_segmenter_may_be_a_network_from_outside(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.setattr(
        "oaa_pl.commands.fit.run", lambda cfg: found.append(compose_group("net", cfg.segmenter.net))
    )
    said = oaa("fit", "--config-dir", str(outside / "conf"), "segmenter.net=stripes")
    assert said.status == 0, said.err
    assert found[0].attention._target_ == "own_net.Stripes"
    with pytest.raises(ConfigError, match=r"net must be one of efficientnet_lite0, .*'stripes'"):
        compose_group("net", "stripes")


def read(stage: Path) -> Any:
    return OmegaConf.load(stage / "config.yaml")
