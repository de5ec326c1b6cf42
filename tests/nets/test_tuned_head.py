"""The trunk is trained as far as the head sees it, and its statistics stay."""

import torch
from tests.nets.test_frozen_head import Trunk

from oaa_pl.nets.frozen_head import FrozenHeadNet, FrozenTrunk
from oaa_pl.nets.tuned_head import TunedHeadNet, TunedTrunk


def test_it_is_the_frozen_heads_network_before_it_is_trained() -> None:
    frozen = FrozenHeadNet(Trunk(), num_classes=3, layers=["2", "3"]).eval()
    tuned = TunedHeadNet(Trunk(), num_classes=3, layers=["2", "3"]).eval()
    tuned.load_state_dict(frozen.state_dict())
    image = torch.randn(2, 3, 16, 24)
    assert torch.equal(tuned(image), frozen(image))


def test_training_moves_trunk_and_head_but_no_statistic_of_the_trunk() -> None:
    net = TunedHeadNet(Trunk(), num_classes=3, layers=["2", "3"]).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        net(torch.randn(4, 3, 16, 16)).square().mean().backward()
        optimizer.step()
    after = net.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    statistics = {f"trunk.trunk.1.{one}" for one in ("running_mean", "running_var")}
    counted = {"trunk.trunk.1.num_batches_tracked", "standardise.mean", "standardise.deviation"}
    twice = {"head.0.mean", "head.0.deviation"}  # `standardise` is the head's first layer too
    assert same == statistics | counted | twice
    assert net.head.training
    assert not any(one.training for one in net.trunk.trunk.modules())


def test_what_the_head_does_not_see_is_not_trained() -> None:
    trunk = TunedTrunk(Trunk(), ["2"])
    assert [one.requires_grad for one in trunk.trunk[0].parameters()] == [True, True]
    assert [one.requires_grad for one in trunk.trunk[3].parameters()] == [False, False]
    net = TunedHeadNet(Trunk(), num_classes=3, layers=["2"]).train()
    net(torch.randn(2, 3, 16, 16)).sum().backward()
    trained = [one for one in net.parameters() if one.requires_grad]
    assert all(one.grad is not None for one in trained)


def test_what_is_frozen_in_the_trunk_stays_so() -> None:
    trunk = Trunk()
    trunk[0].requires_grad_(False)
    assert not any(one.requires_grad for one in TunedTrunk(trunk).trunk[0].parameters())
    assert all(one.requires_grad for one in TunedTrunk(trunk).trunk[3].parameters())
    wholly = TunedTrunk(Trunk().requires_grad_(False))
    assert not any(one.requires_grad for one in wholly.parameters())


def test_its_features_are_those_of_the_frozen_trunk() -> None:
    trunk, image = Trunk().eval(), torch.randn(2, 3, 16, 24)
    frozen = FrozenTrunk(trunk, ["2", "3"])(image)
    tuned = TunedTrunk(trunk.requires_grad_(True), ["2", "3"]).train()(image)
    assert torch.equal(tuned.detach(), frozen)
