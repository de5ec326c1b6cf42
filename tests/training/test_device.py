"""Which device maps, scores and predictions are made on; on machines that this one is not."""

import logging
from typing import Any

import pytest
import torch
from torch import nn

from oaa_pl.config.recipe import Recipe
from oaa_pl.errors import ConfigError
from oaa_pl.stages import trained
from oaa_pl.stages.parts import Network
from oaa_pl.training.device import device_of, require_device
from oaa_pl.training.notice import forget
from oaa_pl.training.trainer_plan import TrainerPlan


def machine(monkeypatch: pytest.MonkeyPatch, gpus: int = 0, *, apple: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    forget()


@pytest.mark.parametrize(
    ("gpus", "apple", "accelerator", "devices", "found"),
    [
        (4, False, "gpu", 1, "cuda"), (4, False, "gpu", [2], "cuda:2"),
        (4, False, "gpu", [3, 1], "cuda:3"), (4, False, "auto", "1,2", "cuda:1"),
        (4, False, "cuda", "3,", "cuda:3"), (4, False, "cuda", "auto", "cuda"),
        (4, False, "gpu", 4, "cuda"), (4, False, "gpu", -1, "cuda"), (4, False, "cpu", [2], "cpu"),
        (0, True, "gpu", 1, "mps"), (0, True, "mps", "auto", "mps"), (0, True, "auto", [0], "mps"),
        (0, True, "cpu", 2, "cpu"), (0, False, "auto", "auto", "cpu"),
        (0, False, None, None, "cpu"),
    ],
)  # fmt: skip
def test_the_device_is_the_first_that_the_trainers_settings_name(
    monkeypatch: pytest.MonkeyPatch,
    gpus: int,
    apple: bool,
    accelerator: str | None,
    devices: Any,
    found: str,
) -> None:
    machine(monkeypatch, gpus, apple=apple)
    assert device_of({"accelerator": accelerator, "devices": devices}) == torch.device(found)


@pytest.mark.parametrize("place", [4, -1])
def test_a_gpu_that_the_machine_lacks_is_refused(
    monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    machine(monkeypatch, 4)
    with pytest.raises(ConfigError, match=r"trainer.devices=\[-?\d\]: this machine has 4 GPUs"):
        device_of({"accelerator": "gpu", "devices": [place]})


def test_places_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, 4)
    with pytest.raises(ConfigError, match=r"devices must be a number, auto, or places"):
        device_of({"accelerator": "gpu", "devices": ["first"]})


@pytest.mark.parametrize("accelerator", ["gpu", "cuda", "mps"])
def test_a_cpu_in_the_place_of_a_gpu_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, accelerator: str
) -> None:
    machine(monkeypatch)
    for _ in range(2):
        assert device_of({"accelerator": accelerator, "devices": [2]}).type == "cpu"
    assert caplog.messages == [
        f"trainer.accelerator={accelerator}: this machine has no such device; the CPU is used"
    ]


@pytest.mark.parametrize(
    ("apple", "accelerator", "lacks"),
    [
        (False, "gpu", "no GPU"), (False, "cuda", "no CUDA GPU"), (False, "mps", "no Apple GPU"),
        (True, "cuda", "no CUDA GPU"), (True, "tpu", "must be one of cpu, gpu, cuda, mps, auto"),
    ],
)  # fmt: skip
def test_a_kind_that_is_named_for_photos_must_be_here(
    monkeypatch: pytest.MonkeyPatch, apple: bool, accelerator: str, lacks: str
) -> None:
    machine(monkeypatch, apple=apple)
    for fits in ("cpu", "auto", *(["gpu", "mps"] if apple else [])):
        require_device(fits)
    with pytest.raises(ConfigError, match=f"trainer.accelerator.*{lacks}"):
        require_device(accelerator)


@pytest.mark.parametrize(
    ("device", "name", "used"),
    [
        ("cpu", "16-mixed", "32-true"), ("mps", "16-mixed", "16-mixed"),
        ("cuda:1", "bf16-mixed", "bf16-mixed"), ("mps", "bf16-mixed", "bf16-mixed"),
    ],
)  # fmt: skip
def test_a_trained_network_is_used_on_that_device_in_its_precision(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    device: str,
    name: str,
    used: str,
) -> None:
    """The weights are not moved here: no such device may be at hand."""
    caplog.set_level(logging.ERROR)
    moved: list[torch.device] = []
    monkeypatch.setattr(trained, "device_of", lambda settings: torch.device(device))
    module = nn.Conv2d(3, 2, 1)
    real = module.to
    monkeypatch.setattr(
        module, "to", lambda *to, **how: moved.extend(to[:1]) or real(*to[1:], **how)
    )
    net = Network(Recipe.of(nn.Conv2d), (0, 0, 0), (1, 1, 1))
    ready = trained.ready(module, net, TrainerPlan().changed(precision=name))
    assert moved[0] == torch.device(device)
    assert ready.precision.name == used  # type: ignore[union-attr]  # an InPrecision


def test_double_precision_is_refused_on_an_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, apple=True)
    plan = TrainerPlan().changed(accelerator="gpu", precision="64-true")
    net = Network(Recipe.of(nn.Conv2d), (0, 0, 0), (1, 1, 1))
    monkeypatch.setattr(nn.Module, "to", lambda module, *_, **__: module)
    with pytest.raises(ConfigError, match="float64, which Apple's GPUs do not have"):
        trained.ready(nn.Conv2d(3, 2, 1), net, plan)
