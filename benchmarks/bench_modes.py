"""What makes a training step faster on a CPU, each against plain float32."""

import time
from collections.abc import Callable

import pytest
from conftest import Bench
from networks import LITE, SMALL, VGG, Mode, network, stepping

from oaa_pl.machine import usable_cores

LAST = Mode("channels_last: applied by itself")
HALF = Mode("bfloat16 and channels_last: trainer.precision=auto chooses bfloat16", half=True)
MODES = (
    (SMALL, LAST),
    (SMALL, HALF),
    (LITE, LAST),
    (LITE, Mode("bfloat16 and channels_last: not chosen by itself", half=True)),
    (LITE, Mode("channels_last, and the first two blocks frozen", freeze=2)),
    (LITE, Mode("channels_last, batch of 32 (for an image)", batch=32)),
    (VGG, LAST),
    (VGG, HALF._replace(sought=">= 4")),
    (VGG, Mode("the same, and the first two blocks frozen: net.freeze=2, not chosen by itself",
               sought=">= 4", half=True, freeze=2)),
)  # fmt: skip
COMPILED = Mode("channels_last and torch.compile", compiled=True)
SLOW_TURNS = 3  # of steps of seconds


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize(
    ("name", "mode"), [*MODES, pytest.param(LITE, COMPILED, marks=pytest.mark.heavy)]
)
def test_a_step_in_another_mode(bench: Bench, name: str, mode: Mode) -> None:
    net, batch, side = network(name)
    plain = stepping(net, batch, side, Mode("plain", last=False))
    net, _, _ = network(name, mode.freeze)
    count = mode.batch or batch
    bench.ratio(
        f"training step, {name}: plain float32 over {mode.words}", mode.sought,
        repeated(plain, count // batch), stepping(net, count, side, mode),
        f"batch {batch}, {side} px, one thread", SLOW_TURNS,
    )  # fmt: skip


@pytest.mark.parametrize("name", [SMALL, LITE, VGG])
def test_a_step_in_all_threads(bench: Bench, name: str) -> None:
    net, batch, side = network(name)
    one, cores = Mode("plain", last=False), usable_cores()
    bench.ratio(
        f"training step, {name}: one thread over {cores} threads", "",
        stepping(net, batch, side, one), stepping(net, batch, side, one._replace(threads=cores)),
        "plain float32; torch takes all cores by itself", SLOW_TURNS,
    )  # fmt: skip


def repeated(step: Callable[[], object], times: int) -> Callable[[], None]:
    """Several steps as one."""

    def steps() -> None:
        for _ in range(times):
            step()

    return steps
