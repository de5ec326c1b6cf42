"""Metrics of the configuration are made, fed and written under the names of their results."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy
from typing_extensions import override

from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.stages.metrics import AddedMetrics

ROOT = Path(__file__).parents[2]

ACCURACY = {
    "_target_": "torchmetrics.classification.MulticlassAccuracy",
    "average": "micro",
    "ignore_index": 255,
}


class Answer(Metric):
    """A metric that gives what it is made with."""

    full_state_update = False

    def __init__(self, num_classes: int, answer: Any) -> None:
        super().__init__()
        self.num_classes, self.answer = num_classes, answer
        self.add_state("seen", torch.zeros(()), dist_reduce_fx="sum")

    @override
    def update(self, *values: Tensor) -> None:
        self.seen += 1

    @override
    def compute(self) -> Any:
        return self.answer


def added(answer: Any = 1, of: tuple[str, ...] = ("proxy",)) -> AddedMetrics:
    node = {"_target_": f"{__name__}.Answer", "answer": answer}
    return AddedMetrics({"own": {"of": list(of), "metric": node}})


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")  # nothing was counted
@pytest.mark.parametrize(
    ("answer", "scores"),
    [
        (2, {"proxy__own": 2.0}),
        (torch.tensor([0.5]), {"proxy__own": 0.5}),
        ({"a": 1, "b": torch.tensor(2)}, {"proxy__own_a": 1.0, "proxy__own_b": 2.0}),
        ({"own": 1, "each": torch.tensor([1, 2])}, {"proxy__own": 1.0}),
    ],
)
def test_a_score_has_the_name_of_its_result(answer: Any, scores: dict[str, float]) -> None:
    assert added(answer).begin("proxy", 3).scores() == scores


@pytest.mark.filterwarnings("ignore:The ``compute`` method:UserWarning")
def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"metric.own: compute\(\) must return a number.*\[1, 2\]"
    ):
        added([1, 2]).begin("proxy", 3).scores()


def test_a_metric_of_another_result_has_no_part_in_scores_and_key() -> None:
    other = added(of=("attention",))
    assert other.begin("proxy", 3).scores() == {}
    assert other.key("proxy") == {}
    assert other.key("attention") == {
        "metrics": {"own": {"_target_": f"{__name__}.Answer", "answer": 1}}
    }


def test_an_abstaining_pixel_does_not_count() -> None:
    scoring = AddedMetrics({"accuracy": {"of": ["proxy"], "metric": ACCURACY}}).begin("proxy", 3)
    label = torch.tensor([[0, 1, IGNORED], [2, 2, 1]], dtype=torch.uint8)
    mask = torch.tensor([[0, 1, 1], [1, 2, IGNORED]], dtype=torch.uint8)
    scoring.update_labels(label, mask)
    assert scoring.scores() == {"proxy__accuracy": 0.75}
    oracle = MulticlassAccuracy(num_classes=3, average="micro")
    assert oracle(torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 1, 2])) == 0.75


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "own.Metric"},
        {"of": "proxy", "metric": ACCURACY},
        {"of": ["proxy"], "metric": {"average": "micro"}},
        {"of": ["proxy"], "metric": "own.Metric"},
        {"of": ["proxy"], "metric": ACCURACY, "percent": True},
        "own.Metric",
    ],
)
def test_a_node_of_another_form_is_refused(node: Any) -> None:
    with pytest.raises(ConfigError, match=r"metric.own must have 'of', a list of results, and"):
        AddedMetrics({"own": node})


def test_an_unknown_result_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"metric.own.of must be of classification, .* got masks"):
        added(of=("proxy", "masks"))


def test_a_part_that_is_not_a_metric_is_refused() -> None:
    node = {"of": ["proxy"], "metric": {"_target_": "builtins.dict"}}
    with pytest.raises(ConfigError, match=r"metric.own.metric must make a torchmetrics.Metric"):
        AddedMetrics({"own": node}).begin("proxy", 3)


def test_every_metric_of_the_package_is_made_and_scores_its_results() -> None:
    found = {}
    for file in sorted((ROOT / "conf" / "metric").glob("*.yaml")):
        for name, node in (OmegaConf.to_container(OmegaConf.load(file)) or {}).items():
            for result in node["of"]:
                scoring = AddedMetrics({name: node}).begin(result, 3)
                mask = torch.tensor([[0, 1, 2], [1, 1, IGNORED]])
                if result == "attention":
                    scoring.update(torch.rand(1, 2, 3), torch.tensor([0]), mask)
                else:
                    scoring.update_labels(torch.tensor([[0, 1, 1], [1, 2, 2]]), mask)
                found.update(scoring.scores())
    assert "segmentation__boundary_iou" in found
    assert "attention__pixel_average_precision" in found
    assert {"proxy__activation_m_fp", "proxy__activation_m_fn"} < set(found)
