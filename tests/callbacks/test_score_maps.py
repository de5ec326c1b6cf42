"""Where a batch's score map is from: what cannot be one is refused by name."""

from typing import Any

import pytest
import torch
from torch import nn

from oaa_pl.callbacks.lightning import LightningModule
from oaa_pl.callbacks.score_maps import ScoreMaps
from oaa_pl.errors import ConfigError

BATCH = torch.ones(2, 3, 8, 8)


class Module(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.fc = nn.Conv2d(3, 8, 3), nn.Linear(8, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, None, None), "layer= must be the path of a layer .*got int 4"),
        ((nn.ReLU(), None, None), "layer= must be the path of a layer .*got ReLU"),
        (("", None, None), "layer= must be the path of a layer .*got str ''"),
        (("body", nn.Linear(1, 1), None), "head= must be the path of a layer .*got Linear"),
        ((None, None, "body"), "score_map= must be a function .*got 'body'; a layer is named by"),
    ],
    ids=str,
)
def test_what_names_no_place_is_refused(arguments: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ScoreMaps(*arguments)


@pytest.mark.parametrize("returned", [None, (BATCH,), [[1.0]], 3], ids=str)
def test_a_function_that_returns_no_tensor_is_refused(returned: Any) -> None:
    maps = ScoreMaps(None, None, lambda module, batch: returned)
    with pytest.raises(ConfigError, match=rf"score_map= must return .*{type(returned).__name__}"):
        maps.read(Module(), BATCH, {"loss": torch.ones(())})


def test_a_layer_of_features_without_its_head_is_refused_once_the_tags_are_known() -> None:
    module = Module().train()
    labels = torch.ones(2, 2)
    for layer, head, refused in (("body", None, True), ("body", "fc", False)):
        maps = ScoreMaps(layer, head, None)
        maps.attach(module)
        module.body(BATCH)
        found = maps.read(module, BATCH, {"loss": torch.ones(())})
        assert found is not None
        if refused:
            with pytest.raises(
                ConfigError, match=r"'body' returns 8 maps .* 2 classes: give head="
            ):
                maps.require_fit(found, labels)
        else:
            maps.require_fit(found, labels)
        maps.detach()


def test_a_batch_of_labels_in_another_shape_is_left_to_accumulation() -> None:
    ScoreMaps(None, None, None).require_fit(torch.ones(2, 8, 4, 4), torch.ones(2, 3))
