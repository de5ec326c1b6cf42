import pytest
import torch
from tests.modules.tiny import TinyNet
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from oaa_pl.errors import ConfigError
from oaa_pl.modules.optim import (
    Rates,
    constant_schedule,
    parameter_groups,
    poly_schedule,
    sgd,
    step_schedule,
)


def rates_of(schedule: LambdaLR, steps: int) -> list[float]:
    """The factor at each step; trained by nothing."""
    found = []
    for _ in range(steps):
        found.append(float(schedule.get_last_lr()[0]))
        schedule.optimizer.step()
        schedule.step()
    return found


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)


def test_trunk_and_head_weights_and_biases_have_their_own_rates() -> None:
    groups = {group["name"]: group for group in sgd(TinyNet(), lr=0.1).param_groups}
    rates = {name: group["lr"] for name, group in groups.items()}
    assert rates == pytest.approx(
        {"trunk_weight": 0.1, "trunk_bias": 0.2, "head_weight": 1.0, "head_bias": 2.0}
    )


def test_every_trainable_parameter_is_in_one_group() -> None:
    net = TinyNet()
    net.trunk[0].weight.requires_grad_(False)
    groups = parameter_groups(net, 0.1, 0.0, Rates())
    assert [group["name"] for group in groups] == ["head_bias", "head_weight", "trunk_bias"]
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(p) for p in net.parameters() if p.requires_grad)


class Deep(nn.Module):
    """A trunk, two layers and a last one that is named."""

    last_layers = ("head.1",)

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.neck = nn.Linear(1, 1), nn.Linear(1, 1)
        self.head = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
        self.head1 = nn.Linear(1, 1)  # begins like `head.1`, and is none of it


def rates_by_layer(fast: str | list[str] | None) -> dict[str, float]:
    net = Deep()
    groups = sgd(net, 1.0, rates=[1, 2, 10, 20], fast=fast).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {rates[id(p)] for n, p in net.named_parameters() if n.endswith("bias")} <= {2.0, 20.0}
    layers = [name for name, _ in net.named_parameters() if name.endswith("weight")]
    return {name[: -len(".weight")]: rates[id(net.get_parameter(name))] for name in layers}


@pytest.mark.parametrize(
    ("fast", "which"),
    [
        (None, {"neck", "head.0", "head.1", "head1"}),  # the release's attention networks
        ("last", {"head.1"}),  # DeepLab
        (["head"], {"head.0", "head.1"}),
        ("head.0", {"head.0"}),
        (["neck", "head1"], {"neck", "head1"}),
        (["trunk"], {"trunk"}),
        ([], set()),
    ],
)
def test_fast_layers_are_named(fast: str | list[str] | None, which: set[str]) -> None:
    assert {name for name, rate in rates_by_layer(fast).items() if rate == 10.0} == which


def test_groups_say_what_is_in_them() -> None:
    names = [group["name"] for group in sgd(Deep(), 1.0, fast="last").param_groups]
    assert names == [
        "head_bias", "head_weight", "middle_bias", "middle_weight", "trunk_bias", "trunk_weight",
    ]  # fmt: skip


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got 'head.2'; outside the trunk it has head.0, head.1"):
        sgd(Deep(), 1.0, fast=["head.2"])


def test_a_network_that_does_not_name_its_last_layers_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"got TinyNet without `last_layers`; .* fast=null"):
        sgd(TinyNet(), 1.0, fast="last")


def test_the_caffe_release_decays_no_bias() -> None:
    def decays(decay_biases: bool) -> dict[str, float]:
        groups = sgd(TinyNet(), 0.1, weight_decay=2e-4, decay_biases=decay_biases).param_groups
        return {group["name"]: group["weight_decay"] for group in groups}

    assert set(decays(True).values()) == {2e-4}
    assert decays(False) == {
        "head_bias": 0.0, "head_weight": 2e-4, "trunk_bias": 0.0, "trunk_weight": 2e-4,
    }  # fmt: skip


def test_momentum_is_passed_on() -> None:
    group = sgd(TinyNet(), 0.1, momentum=0.7, nesterov=True).param_groups[0]
    assert (group["momentum"], group["nesterov"]) == (0.7, True)


@pytest.mark.parametrize(("lr", "rates"), [(0.0, Rates()), (-1.0, Rates()), (0.1, (1, 2, 10))])
def test_a_rate_that_is_none_is_refused(lr: float, rates: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="sgd needs lr above 0 and four rates"):
        sgd(TinyNet(), lr, rates=rates)


def test_the_paper_divides_the_rate_by_ten_at_two_thirds() -> None:
    found = rates_of(step_schedule(optimizer(), 9, at=[2 / 3]), 9)
    assert found == pytest.approx([1.0] * 6 + [0.1] * 3)


def test_steps_may_be_several() -> None:
    found = rates_of(step_schedule(optimizer(), 8, at=[0.25, 0.75], factor=0.5), 8)
    assert found == pytest.approx([1.0] * 2 + [0.5] * 4 + [0.25] * 2)


def test_the_poly_schedule_falls_to_zero_at_the_end() -> None:
    found = rates_of(poly_schedule(optimizer(), 10), 12)
    assert found[:10] == pytest.approx([(1 - step / 10) ** 0.9 for step in range(10)])
    assert found[10:] == [0.0, 0.0]  # a step too many must not make a complex number


def test_a_power_of_one_is_a_straight_line() -> None:
    assert rates_of(poly_schedule(optimizer(), 4, power=1), 4) == pytest.approx(
        [1, 0.75, 0.5, 0.25]
    )


def test_the_constant_schedule_is_constant() -> None:
    assert rates_of(constant_schedule(optimizer(), 3), 5) == [1.0] * 5


@pytest.mark.parametrize("warmup", [0, 1, 4])
def test_a_warm_up_rises_in_equal_steps_and_then_leaves_the_rate_alone(warmup: int) -> None:
    found = rates_of(step_schedule(optimizer(), 10, at=[1.0], warmup=warmup), 10)
    rise = [(step + 1) / (warmup + 1) for step in range(warmup)]
    assert found == pytest.approx(rise + [1.0] * (10 - warmup))
    poly = rates_of(poly_schedule(optimizer(), 10, warmup=warmup), 10)
    plain = rates_of(poly_schedule(optimizer(), 10), 10)
    expected = [a * b for a, b in zip([*rise, *[1.0] * 10], plain, strict=False)]
    assert poly == pytest.approx(expected)


def test_groups_keep_their_ratio_under_a_schedule() -> None:
    grouped = sgd(TinyNet(), 0.1)
    schedule = step_schedule(grouped, 2, at=[0.5])
    before = schedule.get_last_lr()
    grouped.step()
    schedule.step()
    assert schedule.get_last_lr() == pytest.approx([lr / 10 for lr in before])
