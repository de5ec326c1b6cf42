"""A recipe makes the same part by Hydra and without it, and says of what."""

from typing import Any

import pytest

from oaa_pl.attention.gate import top_k
from oaa_pl.config.recipe import Recipe
from oaa_pl.nets.attention import AttentionNet
from oaa_pl.nets.small import SmallTrunk
from oaa_pl.nets.weights import with_weights
from oaa_pl.proxy.background import ConstantCue

VALUE = {"_target_": "oaa_pl.proxy.background.ConstantCue", "value": 0.2}
TRUNK = {"_target_": "oaa_pl.nets.small.SmallTrunk", "widths": [4, 8], "stride": 2}
NET = {"_target_": "oaa_pl.nets.attention.AttentionNet", "trunk": TRUNK, "hidden": 4}


def plain_net() -> Recipe:
    return Recipe.of(AttentionNet, trunk=Recipe.of(SmallTrunk, widths=[4, 8], stride=2), hidden=4)


def test_a_function_with_values_has_the_key_of_the_node_that_names_it() -> None:
    assert Recipe.of(ConstantCue, value=0.2).key == VALUE
    assert plain_net().key == NET
    assert Recipe.partial(top_k).key == {
        "_target_": "oaa_pl.attention.gate.top_k", "_partial_": True,
    }  # fmt: skip


@pytest.mark.parametrize("recipe", [Recipe(VALUE), Recipe.of(ConstantCue, value=0.2)])
def test_both_make_the_part(recipe: Recipe) -> None:
    cue = recipe()
    assert isinstance(cue, ConstantCue)
    assert cue.value == 0.2


@pytest.mark.parametrize("recipe", [Recipe({**NET, "_partial_": True}), plain_net()])
def test_what_a_recipe_leaves_open_is_given_when_it_is_called(recipe: Recipe) -> None:
    net = recipe(num_classes=3)
    assert isinstance(net, AttentionNet)
    assert isinstance(net.trunk, SmallTrunk)


@pytest.mark.parametrize("recipe", [
    Recipe({"_target_": "oaa_pl.attention.gate.top_k", "_partial_": True}), Recipe.partial(top_k),
])  # fmt: skip
def test_a_partial_recipe_gives_the_function(recipe: Recipe) -> None:
    assert recipe().func is top_k
    assert recipe.name == "top_k"


def lists(values: Any) -> Any:
    return type(values)


def test_what_is_made_never_sees_a_container_of_the_configuration() -> None:
    assert Recipe({"_target_": f"{__name__}.lists", "values": [1]})() is list


def test_weights_are_left_out_at_any_depth() -> None:
    module = Recipe.of(SmallTrunk, widths=[4, 8], stride=2)
    trunk = Recipe.of(with_weights, module=module, weights="gone.pth")
    recipe = Recipe.of(AttentionNet, trunk=trunk, hidden=4)
    assert recipe.without_weights().key["trunk"]["weights"] == "none"
    assert isinstance(recipe.without_weights()(num_classes=3), AttentionNet)
    assert recipe.key["trunk"]["weights"] == "gone.pth"
