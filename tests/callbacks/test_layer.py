"""The layer that holds the cells, by name or found."""

import pytest
import torch
from torch import Tensor, nn

from oaa_pl.callbacks.layer import find_layer, head_layers, layer_of, takes_channels_last
from oaa_pl.errors import ConfigError, UnfitNetworkError


def classifier() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)
    )


class Holder(nn.Module):
    """A module without a forward, as a LightningModule may be."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


@pytest.mark.parametrize("path", ["model.0", "model._orig_mod.0"])
def test_a_layer_is_found_behind_a_compiled_part(path: str) -> None:
    module = Holder(model=torch.compile(classifier(), backend="eager"))
    assert isinstance(layer_of(module, path), nn.Conv2d)


@pytest.mark.parametrize(
    ("path", "near"),
    [("model.5", r"model\.[0-4]"), ("", r"model\.4"), ("model.", "model"), ("net.0", r"model\.0")],
)
def test_a_path_that_does_not_exist_is_refused_with_the_nearest(path: str, near: str) -> None:
    with pytest.raises(ConfigError, match=rf"Holder has no layer .*; the nearest are .*{near}"):
        layer_of(Holder(model=classifier()), path)


def test_the_layers_of_a_head_are_listed_with_the_shape_that_they_take() -> None:
    head = nn.Sequential(nn.Sequential(nn.Conv2d(8, 4, 1), nn.ReLU()), nn.Linear(4, 2))
    assert head_layers(Holder(head=head), "head") == (
        ("head.0.0", (-1, 1, 1)), ("head.0.1", (-1,)), ("head.1", (-1,)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("head", "last"),
    [
        (nn.Linear(5, 2), True), (nn.LayerNorm(5), True), (nn.BatchNorm1d(5), True),
        (nn.Linear(3, 2), False), (nn.Linear(9, 2), False), (nn.Dropout(), False),
    ],
    ids=str,
)  # fmt: skip
def test_the_axis_of_the_channels_is_the_one_that_the_head_takes(
    head: nn.Module, last: bool
) -> None:
    assert takes_channels_last(head, torch.ones(2, 3, 4, 5)) == last


def test_a_square_of_as_many_cells_as_features_has_its_channels_first() -> None:
    assert not takes_channels_last(nn.Linear(5, 2), torch.ones(2, 5, 5, 5))


@pytest.mark.parametrize("inside", [nn.ModuleDict, nn.ModuleList])
def test_a_classifier_is_found_in_a_collection_of_parts(inside: type) -> None:
    parts = {"net": classifier(), "metric": nn.Identity()}
    module = Holder(parts=inside(parts if inside is nn.ModuleDict else parts.values()))
    network, pieces, path = find_layer(module)
    assert isinstance(network, nn.Sequential)
    assert pieces is not None
    assert path in ("parts.net.1", "parts.0.1")


def test_the_modules_own_forward_decides_between_several_networks() -> None:
    class Both(Holder):
        def forward(self, image: Tensor) -> Tensor:
            return self.student(image)

    _, _, path = find_layer(Both(teacher=classifier(), student=classifier()))
    assert path == "student.1"


def test_several_classifiers_and_no_forward_are_refused_by_name() -> None:
    module = Holder(teacher=classifier(), student=classifier())
    with pytest.raises(
        UnfitNetworkError, match=r"several classifiers.*teacher\.1, student\.1.*give layer="
    ):
        find_layer(module)
