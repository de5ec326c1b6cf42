"""However many processes accumulate, the store is the same; and one that fails costs an epoch.

`python -m tests.callbacks.test_several_processes [[WORK, ARGUMENT...]...]`, in JSON, trains in a
process that nothing else has touched: Lightning forks it, spawns from it, or starts it again.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.strategies import DDPStrategy
from tests.callbacks.tiny_run import FUSIONS, NoiseSource, accumulation, data, pairs, train
from tests.modules.tiny import CONSTANT, quiet_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from oaa_pl import AttentionAccumulation, AttentionStore
from oaa_pl.attention.gate import accept_all
from oaa_pl.callbacks.checkpoint import AtomicCheckpointIO
from oaa_pl.callbacks.epoch_checkpoint import EpochCheckpoint
from oaa_pl.callbacks.generations import GENERATIONS
from oaa_pl.callbacks.resumable import LAST
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.modules.classifier import Classifier
from oaa_pl.modules.optim import sgd
from oaa_pl.store import generation, memmap
from oaa_pl.store.layout import ORIGIN_ACCEPTED
from oaa_pl.store.reader import StoreReader
from oaa_pl.types import Batch

ROOT = Path(__file__).parents[2]
EPOCHS = 3
STATIC = DDPStrategy(static_graph=True, start_method="fork")  # as conf/trainer/ddp_static.yaml
LIMIT_S = 500  # a hang, not a slow machine; and before pytest's own limit


# What the other process does


class PerPixel(nn.Module):
    """Products and sums written out, (B, 3, H, W) to (B, 3, H/2, W/2).

    A convolution sums in another order for another batch size: with 3 x 3 kernels an image's scores
    differ in the last bits, and so would the stores that are to be compared bit for bit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.tensor([[1.5, -0.7, 0.3], [-0.4, 1.1, 0.9], [0.2, 0.6, 1.3]])
        )
        self.bias = nn.Parameter(torch.ones(3))

    def forward(self, image: Tensor) -> Tensor:
        seen = image[..., ::2, ::2]
        scores = self.bias[:, None, None].expand(len(image), 3, *seen.shape[2:])
        for channel in range(3):
            scores = scores + self.weight[:, channel, None, None] * seen[:, channel, None]
        return scores


class InOrder(OaaDataModule):
    """The images as listed in every epoch: the sampler can, the training loader never asks."""

    @override
    def train_dataloader(self) -> "DataLoader[Batch]":
        return self._loader(self.train_set, self.batch_size, shuffle=False)


def stores_of(folder: Path) -> AttentionAccumulation:
    """The same stores as those of `accumulation`, by the front door."""
    source = NoiseSource()
    stores = {
        name: AttentionStore(
            folder / "stores" / name, source.ids, source.classes, source.labels,
            grid=(5, 6), fusion=fusion,
        )
        for name, fusion in FUSIONS.items()
    }  # fmt: skip
    return AttentionAccumulation(stores, gate=accept_all)


def accumulate(
    folder: str, launch: str, processes: int, shuffle: bool, front: bool = False, nodes: int = 1
) -> None:
    """Accumulate the attention of a network that never changes."""
    torch.set_num_threads(1)
    callback = (stores_of if front else accumulation)(Path(folder))
    trainer = quiet_trainer(
        Path(folder),
        max_epochs=EPOCHS,
        enable_checkpointing=True,
        callbacks=[callback, EpochCheckpoint(Path(folder))],
        plugins=[AtomicCheckpointIO()],
        strategy=STATIC if launch == "static" else launch,
        devices=processes,
        num_nodes=nodes,
    )
    images = data()
    if not shuffle:
        images.__class__ = InOrder
    trainer.fit(Classifier(PerPixel(), partial(sgd, lr=1.0, rates=[0.0] * 4), CONSTANT, 3), images)


class FailError(Exception):
    pass


def fail(how: str) -> None:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise FailError("as planned")


class Failing(Callback):
    """One rank fails in epoch 1: in its second batch, or in the commit at its end."""

    def __init__(self, rank: int, where: str, how: str) -> None:
        self.rank, self.where, self.how = rank, where, how

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.global_rank, trainer.current_epoch, batch_idx) != (self.rank, 1, 1):
            return
        if self.where == "batch":
            fail(self.how)
        # Rank 0 has its second generation half written, the others are about to hand theirs over.
        place: Any = generation if self.rank == 0 else memmap
        name = "seal_rows" if self.rank == 0 else "save_shard"
        setattr(place, name, lambda *_: fail(self.how))


def learn(folder: str, launch: str, *failing: Any) -> None:
    """Train for real on two processes, or go on; with a rank that fails, if it is said which."""
    torch.set_num_threads(1)
    extra = [Failing(*failing)] if failing else []
    train(Path(folder), *extra, epochs=EPOCHS, strategy=launch, devices=2)


# Running it


def run(log: Path, *jobs: list[Any], launcher: tuple[str, ...] = ("-m",)) -> int:
    """Do the jobs in a process of their own; its status, when all of its processes have ended."""
    module = "tests.callbacks.test_several_processes"
    command = [sys.executable, *launcher, module, json.dumps(jobs)]
    surroundings = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(log.parent)}
    with log.open("w") as out:
        started = subprocess.Popen(
            command, cwd=ROOT, env=surroundings, stdout=out, stderr=out, start_new_session=True
        )
    try:
        status = started.wait(LIMIT_S)
        deadline = time.monotonic() + 30
        while living(started.pid):
            assert time.monotonic() < deadline, f"{living(started.pid)} live on\n{log.read_text()}"
            time.sleep(0.05)
    finally:
        for process in living(started.pid):
            os.kill(process, signal.SIGKILL)
        started.wait()
    return status


def living(session: int) -> list[int]:
    """The processes of a session that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, its_session = stat.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_session) == session and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def files(folder: Path) -> dict[str, bytes]:
    """All of the stores but the locks, which have the writers' processes."""
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted((folder / "stores").rglob("*"))
        if file.is_file() and file.name != "writer.lock"
    }


pytestmark = pytest.mark.usefixtures("one_thread")


# One process and several


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """What one process accumulates, shuffled or not."""
    folders = {shuffle: tmp_path_factory.mktemp("alone") for shuffle in (True, False)}
    for shuffle, folder in folders.items():
        accumulate(str(folder), "auto", 1, shuffle)
    return folders


def assert_same_stores(folder: Path, other: Path) -> None:
    for name in FUSIONS:
        here, there = (StoreReader(place / "stores" / name) for place in (folder, other))
        assert np.array_equal(here.state, there.state), name
        assert np.array_equal(here.rows, there.rows), name
    assert files(folder) == files(other)


def test_the_network_sees_an_image_alike_in_every_batch() -> None:
    images = torch.randn(7, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        together = PerPixel()(images)
        for size in (1, 2, 3, 4):
            apart = torch.cat([PerPixel()(some) for some in images.split(size)])
            assert torch.equal(apart, together), size


@pytest.mark.parametrize("shuffle", [True, False])
def test_every_image_is_fused_once_an_epoch(alone: dict[bool, Path], shuffle: bool) -> None:
    for name in FUSIONS:
        rows = StoreReader(alone[shuffle] / "stores" / name).rows
        assert rows["updates"].tolist() == [EPOCHS] * len(pairs().pairs)
        assert rows["last_epoch"].tolist() == [EPOCHS - 1] * len(rows)
        assert rows["origin"].tolist() == [ORIGIN_ACCEPTED] * len(rows)


def test_the_order_of_the_images_does_not_matter(alone: dict[bool, Path]) -> None:
    assert_same_stores(alone[False], alone[True])


@pytest.mark.slow
def test_two_processes_make_the_store_of_one(alone: dict[bool, Path], tmp_path: Path) -> None:
    jobs = [["accumulate", str(tmp_path / str(way)), "ddp_fork", 2, way] for way in (True, False)]
    log = tmp_path / "log"
    assert run(log, *jobs) == 0, log.read_text()
    for shuffle in (True, False):
        assert_same_stores(tmp_path / str(shuffle), alone[shuffle])


@pytest.mark.slow
def test_two_nodes_of_torchrun_make_the_store_of_one_process(
    alone: dict[bool, Path], tmp_path: Path
) -> None:
    """Two nodes on this machine: as on two machines, each has a torchrun of its own."""
    job = ["accumulate", str(tmp_path), "ddp", 1, True, False, 2]
    where = ("--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", "--master-port=29517")

    def node(rank: int) -> int:
        launcher = ("-m", "torch.distributed.run", *where, f"--node-rank={rank}", "-m")
        return run(tmp_path / f"log-{rank}", job, launcher=launcher)

    with ThreadPoolExecutor(2) as both:
        ends = list(both.map(node, (0, 1)))
    assert ends == [0, 0], "".join((tmp_path / f"log-{rank}").read_text() for rank in (0, 1))
    assert_same_stores(tmp_path, alone[True])


@pytest.mark.slow
def test_two_processes_of_a_static_graph_make_the_store_of_one(
    alone: dict[bool, Path], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    assert run(log, ["accumulate", str(tmp_path), "static", 2, True]) == 0, log.read_text()
    assert_same_stores(tmp_path, alone[True])


@pytest.mark.parametrize("launch", ["ddp_fork", pytest.param("ddp_spawn", marks=pytest.mark.slow)])
def test_two_processes_make_an_attention_store_of_one(
    alone: dict[bool, Path], tmp_path: Path, launch: str
) -> None:
    log = tmp_path / "log"
    job = ["accumulate", str(tmp_path), launch, 2, True, True]
    assert run(log, job) == 0, log.read_text()
    source = NoiseSource()
    for name, fusion in FUSIONS.items():
        one, two = (StoreReader(folder / "stores" / name) for folder in (alone[True], tmp_path))
        assert np.array_equal(one.state, two.state), name
        assert np.array_equal(one.rows, two.rows), name
        store = AttentionStore(
            tmp_path / "stores" / name, source.ids, source.classes, source.labels,
            grid=(5, 6), fusion=fusion,
        )  # fmt: skip
        assert np.array_equal(store["d", "dog"], one.dense(3)[1])


WAYS = [*product(["ddp_fork"], [1, 3, 4]), ("ddp_spawn", 2), ("ddp_spawn", 4), ("ddp", 4)]


@pytest.mark.reliability
@pytest.mark.parametrize(("launch", "processes"), WAYS)
def test_any_number_of_processes_started_in_any_way_makes_the_store_of_one(
    alone: dict[bool, Path],
    tmp_path: Path,
    tally: Callable[[str, int], None],
    launch: str,
    processes: int,
) -> None:
    # `ddp` repeats the command line, and with it all of the jobs.
    for ways in [[True], [False]] if launch == "ddp" else [[True, False]]:
        jobs = [["accumulate", str(tmp_path / str(way)), launch, processes, way] for way in ways]
        log = tmp_path / "log"
        assert run(log, *jobs) == 0, log.read_text()
    for shuffle in (True, False):
        assert_same_stores(tmp_path / str(shuffle), alone[shuffle])
        tally("stores of 1 to 4 processes equal to one process's", len(FUSIONS))


# One process that fails


@pytest.fixture(scope="module")
def never_failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("never")
    log = folder / "log"
    assert run(log, ["learn", str(folder), "ddp_fork"]) == 0, log.read_text()
    return folder


def weights(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / LAST, weights_only=True)["state_dict"]
    return {name: value.numpy().tobytes() for name, value in state.items()}


def assert_only_the_first_epoch_is_committed(folder: Path) -> None:
    named = torch.load(folder / LAST, weights_only=True)[GENERATIONS]
    for name in FUSIONS:
        store = folder / "stores" / name
        reader = StoreReader(store)
        assert reader.generations() == [1]
        assert reader.rows["last_epoch"].max() == 0
        assert named[name] == [1, generation.seal_of(store, 1)]


FAILURES = [
    *product(["ddp_fork"], [0, 1], ["batch", "commit"], ["raise", "kill"]),
    ("ddp", 0, "batch", "kill"),
    ("ddp", 1, "batch", "raise"),
    ("ddp", 1, "commit", "kill"),
]


@pytest.mark.reliability
@pytest.mark.parametrize(("launch", "rank", "where", "how"), FAILURES)
def test_a_process_that_fails_ends_all_and_the_run_goes_on_as_if_it_had_not(
    never_failed: Path,
    tmp_path: Path,
    tally: Callable[[str, int], None],
    launch: str,
    rank: int,
    where: str,
    how: str,
) -> None:
    log = tmp_path / "log"
    assert run(log, ["learn", str(tmp_path), launch, rank, where, how]) != 0, log.read_text()
    assert how == "kill" or "FailError: as planned" in log.read_text()
    half_made = list(tmp_path.glob("stores/*/generations/000002.partial"))
    assert half_made or (rank, where, how) != (0, "commit", "kill")
    assert_only_the_first_epoch_is_committed(tmp_path)
    assert run(log, ["learn", str(tmp_path), launch]) == 0, log.read_text()
    assert files(tmp_path) == files(never_failed)
    assert weights(tmp_path) == weights(never_failed)
    tally("failures of one of two processes survived", 1)


if __name__ == "__main__":
    for work, *arguments in json.loads(sys.argv[1]):
        {"accumulate": accumulate, "learn": learn}[work](*arguments)
