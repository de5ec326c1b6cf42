"""Stages of plain Python parts: nothing is composed, and every part is said in one place."""

import csv
import json
import pickle
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from tests.commands.tiny import files

from oaa_pl.attention.cam import class_attention
from oaa_pl.attention.gate import accept_all
from oaa_pl.config.recipe import Recipe
from oaa_pl.data.voc import VocSource
from oaa_pl.errors import MissingInputError, RunMismatchError
from oaa_pl.losses import hybrid_loss
from oaa_pl.modules.optim import constant_schedule, sgd
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.deeplab import DeepLabLargeFov
from oaa_pl.nets.small import SmallTrunk
from oaa_pl.proxy.background import ConstantCue
from oaa_pl.proxy.crf import no_crf
from oaa_pl.proxy.rule import ProxyRule
from oaa_pl.runs.folders import Run
from oaa_pl.stages.attention import AttentionStage, Maps
from oaa_pl.stages.classifier import ClassifierStage
from oaa_pl.stages.integral import IntegralStage, Loss
from oaa_pl.stages.label import LabelStage
from oaa_pl.stages.parts import Data, Network
from oaa_pl.stages.segmenter import SegmenterStage
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained import Segmenting
from oaa_pl.store.reader import StoreReader
from oaa_pl.training.length import Length
from oaa_pl.training.trainer_plan import TrainerPlan

# As `oaa` itself does.
pytestmark = [
    pytest.mark.filterwarnings("ignore::lightning_fabric.utilities.warnings.PossibleUserWarning"),
    pytest.mark.filterwarnings("ignore:You passed in a `val_dataloader`"),
]
GRID = (8, 8)
RULE = {
    "foreground": 0.3, "conflict": 0.9, "salient_background": 32 / 255,
    "attended_background": 0.8, "minimum_foreground": 0.01,
}  # fmt: skip


def squeezed() -> list[A.BasicTransform]:
    return [A.Resize(48, 48)]


def data(root: Path, runs: Path) -> Data:
    train, val = (Recipe.of(VocSource, root=str(root), split=split) for split in ("train", "val"))
    return Data(train, val, Recipe.of(squeezed), Recipe.of(squeezed), folder=runs)


def network(kind: type, role: str) -> Network:
    trunk = Recipe.of(SmallTrunk, widths=[4, 4, 8], stride=4)
    recipe = Recipe.of(kind, trunk=trunk, hidden=8, score_std=0.05)
    return Network(recipe, mean=(0.5,) * 3, std=(0.25,) * 3, role=role)


def trained(lr: float, epochs: int = 2) -> dict[str, object]:
    return {
        "optimizer": Recipe.partial(sgd, lr=lr, rates=[1, 1, 1, 1]),
        "schedule": Recipe.partial(constant_schedule),
        "planned": Length(epochs=epochs, batch_size=2),
    }


def stages(root: Path, runs: Path, lr: float = 0.02) -> list[Stage]:
    """Classifier, integral model, maps, labels, segmenter."""
    shared = {"run_folders": Run.named(runs, "plain", 0), "data": data(root, runs)}
    attention = Recipe.partial(class_attention)
    net = network(AttentionNet, "attention")
    classifier = ClassifierStage(
        **shared, **trained(lr), net=net, gate=Recipe.partial(accept_all), attention=attention,
        fusions={"oaa_max": "maximum"}, grid=GRID, validate_every=1,
    )  # type: ignore[arg-type]  # fmt: skip
    maps = Maps(**shared, method="oaa_max", made_by=classifier.maker)  # type: ignore[arg-type]
    loss = Loss("hybrid", "oaa_plus_hybrid", Recipe.partial(hybrid_loss))
    integral = IntegralStage(
        **shared, **trained(1e-4), net=net, loss=loss, maps=maps, grid=GRID, init="classifier"
    )  # type: ignore[arg-type]
    export = AttentionStage(
        **shared, method="oaa_plus_hybrid", grid=GRID, model=integral, to_attention=attention
    )  # type: ignore[arg-type]
    labels = LabelStage(
        **shared, maps=export, background=Recipe.of(ConstantCue, value=0.95),
        rule=Recipe.of(ProxyRule, **RULE), crf=Recipe.partial(no_crf), workers=1,
    )  # type: ignore[arg-type]  # fmt: skip
    head = network(DeepLabLargeFov, "segmenter")
    views = {"size": 48, "keep_shape": False, "scales": [1.0], "flip": False}
    segmenter = SegmenterStage(
        **shared, **trained(0.01), net=head, labels=labels, validate_every=1,
        segmenting=Segmenting(head, TrainerPlan(), views, Recipe.partial(no_crf)),
    )  # type: ignore[arg-type]  # fmt: skip
    return [classifier, integral, export, labels, segmenter]


@pytest.fixture(scope="module")
def made(tiny_voc_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Stage]]:
    """A folder of runs, and the stages that were run in it; to be read only."""
    GlobalHydra.instance().clear()
    runs = tmp_path_factory.mktemp("plain")
    pipeline = stages(tiny_voc_once, runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HydraConfig, "get", lambda: pytest.fail("asked Hydra of its configuration"))
        for stage in pipeline:
            stage.run()
        for stage in pipeline:
            stage.score()
    assert not GlobalHydra.instance().is_initialized()
    return runs, pipeline


def test_every_stage_runs_without_a_configuration(made: tuple[Path, list[Stage]]) -> None:
    _, pipeline = made
    assert all(stage.finished for stage in pipeline)
    maps = StoreReader(pipeline[2].folder / "store")
    assert np.asarray(maps.state).any()
    assert len(list((pipeline[3].folder / "proxy").glob("*.png"))) == 4


def test_a_record_says_what_each_part_was(made: tuple[Path, list[Stage]]) -> None:
    _, pipeline = made
    for stage in pipeline:
        record = json.loads((stage.folder / "stage.json").read_text())
        assert record["made_from"] == json.loads(json.dumps(stage.key()))
    optimizer = pipeline[0].key()["classifier"]["optimizer"]
    assert optimizer == {
        "_target_": "oaa_pl.modules.optim.sgd", "_partial_": True, "lr": 0.02,
        "rates": [1, 1, 1, 1],
    }  # fmt: skip


def test_scores_lie_beside_what_they_are_of(made: tuple[Path, list[Stage]]) -> None:
    _, pipeline = made
    found = {}
    for stage in pipeline:
        path = stage.scored_folder / "metrics.csv"
        if path.is_file():
            with path.open(newline="") as file:
                found[stage.title] = {row["metric"] for row in csv.DictReader(file)}
    assert found["classifier, accumulating attention"] == {"classification/map"}
    assert "attention/miou" in found["attention of oaa_plus_hybrid"]
    assert "proxy/miou" in found["proxy labels of oaa_plus_hybrid"]
    assert found["segmenter on oaa_plus_hybrid"] == {"segmentation/miou"}


def test_the_miou_of_a_segmenter_is_seen_as_it_trains(made: tuple[Path, list[Stage]]) -> None:
    _, pipeline = made
    with (pipeline[4].folder / "history.csv").open(newline="") as file:
        seen = [float(row["value"]) for row in csv.DictReader(file) if row["name"] == "val/miou"]
    assert len(seen) == 2  # of two epochs
    assert all(0 < value <= 1 for value in seen)


def test_a_finished_stage_is_skipped_and_another_one_is_not_taken_for_it(
    made: tuple[Path, list[Stage]], tiny_voc_once: Path
) -> None:
    runs, _ = made
    before = {name: (runs / name).stat().st_mtime_ns for name in files(runs)}
    for stage in stages(tiny_voc_once, runs):
        stage.run()
    assert before == {name: (runs / name).stat().st_mtime_ns for name in files(runs)}
    with pytest.raises(RunMismatchError, match=r"made with classifier\.optimizer\.lr=0\.02"):
        stages(tiny_voc_once, runs, lr=0.03)[0].run()


def test_a_stage_names_the_command_that_makes_what_it_lacks(
    tiny_voc_once: Path, tmp_path: Path
) -> None:
    _, integral, export, labels, segmenter = stages(tiny_voc_once, tmp_path)
    for stage, maker in (
        (integral, "oaa fit stage=classifier"),
        (export, "oaa fit stage=integral loss=hybrid"),
        (labels, "oaa attend method=oaa_plus_hybrid"),
        (segmenter, "oaa label method=oaa_plus_hybrid"),
    ):
        with pytest.raises(MissingInputError, match=f"first run '{maker}'"):
            stage.run()
    assert not files(tmp_path)


def test_a_recipe_can_be_sent_to_another_process() -> None:
    recipe = network(AttentionNet, "attention").recipe
    sent = pickle.loads(pickle.dumps(recipe))
    assert sent.key == recipe.key
    assert isinstance(sent(num_classes=3), AttentionNet)
