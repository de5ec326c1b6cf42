from typing import get_args

import pytest
import torch
from lightning_fabric.connector import _PRECISION_INPUT
from torch import nn

from oaa_pl.errors import ConfigError
from oaa_pl.nets.precision import InPrecision, precision_of


def lightnings() -> list[object]:
    """Every value that Lightning's own annotation allows, texts and numbers."""
    found: list[object] = []
    for literal in get_args(_PRECISION_INPUT):
        found += get_args(literal)
    return found


def test_lightning_has_no_precision_that_is_not_spoken_for() -> None:
    assert len(lightnings()) == 15
    for value in lightnings():
        if str(value).startswith("transformer-engine"):
            with pytest.raises(ConfigError, match=rf"trainer.precision={value} is not supported"):
                precision_of(value)
        else:
            assert precision_of(value).name in lightnings()
            assert precision_of(str(value)) == precision_of(value)


@pytest.mark.parametrize(
    ("short", "name"),
    [(16, "16-mixed"), (32, "32-true"), (64, "64-true"), ("bf16", "bf16-mixed")],
)
def test_a_short_form_means_what_it_means_to_lightning(short: object, name: str) -> None:
    assert precision_of(short).name == name


@pytest.mark.parametrize("value", ["fp16", "", 8, 16.5, None, True, "auto"])
def test_another_value_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match=r"one of auto, 32-true, bf16-mixed, .* 64; got "):
        precision_of(value)


class Kept(nn.Module):
    """A convolution that remembers in which type it was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 2, 1)
        self.seen = torch.int8

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.layer(image)
        self.seen = maps.dtype
        return maps


@pytest.mark.parametrize(
    ("name", "weights", "computed"),
    [
        ("32-true", torch.float32, torch.float32),
        ("bf16-mixed", torch.float32, torch.bfloat16),
        ("16-mixed", torch.float32, torch.float32),  # float16 as such is for GPUs
        ("bf16-true", torch.bfloat16, torch.bfloat16),
        ("16-true", torch.float16, torch.float16),
        ("64-true", torch.float64, torch.float64),
    ],
)
def test_a_trained_network_is_asked_in_its_own_precision_and_answers_in_float32(
    name: str, weights: torch.dtype, computed: torch.dtype
) -> None:
    kept = Kept()
    maps = InPrecision(kept, precision_of(name))(torch.rand(1, 3, 4, 4))
    assert maps.dtype == torch.float32
    assert kept.seen == computed
    assert kept.layer.weight.dtype == weights


def test_autocast_of_the_devices_is_lightnings() -> None:
    def dtype(name: str, device: str) -> torch.dtype | None:
        context = precision_of(name).autocast(device)
        return context.fast_dtype if context._enabled else None  # type: ignore[attr-defined]  # torch's

    assert dtype("bf16-mixed", "cpu") == torch.bfloat16
    assert dtype("32-true", "cpu") is None
    assert dtype("16-mixed", "cpu") is None


def test_float16_is_float32_on_a_cpu_whatever_is_computed() -> None:
    assert precision_of("16-mixed").on("cpu").name == "32-true"
    for device in ("cuda", "mps"):
        assert precision_of("16-mixed").on(device).name == "16-mixed"
    assert precision_of("16-true").on("cpu").name == "16-true"


@pytest.mark.parametrize("name", ["bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_computes_what_it_is_asked_for(name: str, device: str) -> None:
    lower = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}[name]
    assert precision_of(name).on(device).lower == lower


def test_a_gpu_without_double_precision_is_not_asked_for_it() -> None:
    assert precision_of(64).on("cuda").name == "64-true"
    with pytest.raises(ConfigError, match="64-true needs float64, which Apple's GPUs"):
        precision_of(64).on("mps")
