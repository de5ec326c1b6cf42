from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from tests.callbacks.tiny_run import train
from tests.modules.tiny import quiet_trainer
from torch import nn

from oaa_pl.callbacks.compile import CompileNetwork
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.compose import compose_group
from oaa_pl.config.recipe import plain
from oaa_pl.config.trainer_key import trainer_key
from oaa_pl.errors import ConfigError
from oaa_pl.store.reader import StoreReader

pytestmark = pytest.mark.usefixtures("one_thread")


class Counted:
    """A backend that runs what it was given, and counts its graphs."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: Any, _: Any) -> Any:
        self.graphs += 1
        return graph.forward


def test_a_compiled_network_trains_to_the_same_weights_and_maps(tmp_path: Path) -> None:
    """The backend computes the graph as it is, so nothing is rounded otherwise."""
    counted = Counted()
    train(tmp_path / "plain", epochs=1)
    train(tmp_path / "compiled", CompileNetwork(backend=counted), epochs=1)
    assert counted.graphs > 0
    states = [
        torch.load(tmp_path / name / LAST, weights_only=True)["state_dict"]
        for name in ("plain", "compiled")
    ]
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.allclose(states[1][name], value, atol=1e-6), name
    maps = [StoreReader(tmp_path / name / "stores/most").state for name in ("plain", "compiled")]
    assert abs(maps[0].astype(float) - maps[1]).max() < 1e-3  # float16


def test_the_configuration_names_it_and_a_record_has_it() -> None:
    node = plain(compose_group("callbacks", "compile"))["compile"]
    made = instantiate(node)
    assert isinstance(made, CompileNetwork)
    assert made.options == {"backend": "inductor"}
    assert trainer_key({}, [node]) == {"callbacks": [node]}


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"backend must be one of .*inductor.*, got 'fast'"):
        CompileNetwork(backend="fast")


def test_a_module_without_such_a_layer_is_refused(tmp_path: Path) -> None:
    module: Any = nn.Identity()
    with pytest.raises(ConfigError, match=r"Identity has no layer 'net' to compile; give Compile"):
        CompileNetwork().on_fit_start(quiet_trainer(tmp_path), module)
