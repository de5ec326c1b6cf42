"""How many processes there are, and who started them: asked of the trainer as it was built."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import FSDPStrategy
from pytorch_lightning.utilities import rank_zero_only
from tests.cases import some_quick
from tests.commands.tiny import files, oaa, require_refusal, surroundings, words

from oaa_pl.config.compose import compose_group
from oaa_pl.config.recipe import plain
from oaa_pl.errors import ConfigError
from oaa_pl.store.layout import ORIGIN_NONE
from oaa_pl.store.reader import StoreReader
from oaa_pl.training.processes import cluster, repeats_the_command, require_supported, spawned

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "0", "LOCAL_RANK": "0", "GROUP_RANK": "0",
    "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29511",
}  # fmt: skip
SLURM = {
    "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "oaa", "SLURM_NTASKS": "2",
    "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0", "SLURM_NODELIST": "localhost",
}  # fmt: skip
ONE_TASK = {**SLURM, "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}


@pytest.fixture(autouse=True)
def surrounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of the environment that a test makes, or Lightning in it, outlives the test."""
    before, rank = dict(os.environ), rank_zero_only.rank
    for name in (*TORCHRUN, *SLURM):
        monkeypatch.delenv(name, raising=False)
    yield
    os.environ.clear()
    os.environ.update(before)
    rank_zero_only.rank = rank


def put(monkeypatch: pytest.MonkeyPatch, values: Mapping[str, str]) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def built(**settings: Any) -> Trainer:
    quiet = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(**(quiet | settings))


@pytest.mark.parametrize(
    ("strategy", "devices", "repeats"),
    [
        ("auto", 1, False),
        ("auto", 2, True),
        ("ddp", 1, True),
        ("ddp", 2, True),
        ("ddp_find_unused_parameters_true", 2, True),
        ("ddp_find_unused_parameters_false", 2, True),
        ("ddp_spawn", 2, False),
        ("ddp_fork", 2, False),
        ("ddp_notebook", 2, False),
    ],
)
def test_it_is_known_whose_processes_repeat_the_command_line(
    strategy: str, devices: int, repeats: bool
) -> None:
    trainer = built(strategy=strategy, devices=devices)
    require_supported(trainer, one_training=True)
    assert repeats_the_command(trainer) is repeats
    if repeats:
        assert not repeats_the_command(built(strategy=spawned(strategy), devices=devices))


def test_a_strategy_with_arguments_of_its_own_keeps_them() -> None:
    node = {"_target_": "pytorch_lightning.strategies.DDPStrategy", "static_graph": True}
    assert spawned(node) == {**node, "start_method": "spawn"}
    for other in ("fsdp", "deepspeed", 3, {**node, "start_method": "fork"}):
        with pytest.raises(ConfigError, match=r"by repeating the command line.*say trainer.strat"):
            spawned(other)


def test_a_static_graph_is_ddp_with_that_one_argument() -> None:
    static, ddp = (plain(compose_group("trainer", name)) for name in ("ddp_static", "ddp"))
    strategy = static.pop("strategy")
    assert static | {"strategy": "ddp"} == ddp
    made = instantiate(strategy)
    trainer = built(strategy=made, devices=2)
    require_supported(trainer, one_training=True)
    assert made._ddp_kwargs == {"static_graph": True}
    assert not repeats_the_command(built(strategy=instantiate(spawned(strategy)), devices=2))


def test_a_strategy_that_splits_the_network_is_refused() -> None:
    trainer = cast(Trainer, SimpleNamespace(strategy=FSDPStrategy()))
    with pytest.raises(ConfigError, match=r"FSDPStrategy, which splits.*say trainer.strategy=auto"):
        require_supported(trainer, one_training=True)


def test_slurm_never_requeues_inside_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster() is None
    put(monkeypatch, SLURM)
    two = cluster()
    assert isinstance(two, SLURMEnvironment)
    assert not two.auto_requeue
    put(monkeypatch, ONE_TASK)
    assert isinstance(cluster(), LightningEnvironment)
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ConfigError, match=r"environment variables cannot be used: .*--ntasks-per"):
        cluster()


@pytest.mark.parametrize("outside", [TORCHRUN, SLURM], ids=["torchrun", "srun"])
@pytest.mark.parametrize(
    ("arguments", "fragments"),
    some_quick(
        [
            (("reproduce", "trainer.devices=2"), ("each of which would run the whole",)),
            (("reproduce",), ("each of which would run the whole", "trainer.devices=N")),
            (("fit", "trainer.devices=2", "seed=0,1", "-m"), ("each of which would", "without -m")),
            (("fit",), ("trainer.devices=1", "say trainer=ddp trainer.devices=2")),
            (("fit", "trainer.devices=3"), ("make 3 by themselves",)),
            (("fit", "trainer.devices=2", "trainer.strategy=ddp_spawn"), ("by themselves",)),
        ]
    ),
    ids=["pipeline", "pipeline of one", "sweep", "one device", "three", "spawn"],
)
def test_processes_started_from_outside_have_to_fit_the_command(
    empty: Path,
    tiny_voc_once: Path,
    monkeypatch: pytest.MonkeyPatch,
    outside: Mapping[str, str],
    arguments: tuple[str, ...],
    fragments: tuple[str, ...],
) -> None:
    put(monkeypatch, outside)
    said = oaa(arguments[0], *words(tiny_voc_once), *arguments[1:])
    assert said.status == 2, said.err
    name = "torchrun" if outside is TORCHRUN else "srun"
    assert f"{name} started 2 processes" in said.last
    for fragment in fragments:
        assert fragment in said.last
    assert not list(empty.rglob("stage.json"))


def test_torchrun_with_one_process_and_two_devices_is_refused(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, {**TORCHRUN, "WORLD_SIZE": "1"})
    said = oaa("fit", *words(tiny_voc_once), "trainer.devices=2")
    require_refusal(said, "torchrun started 1 process, but", "make 2; start 2")
    assert not files(empty)


def test_a_number_of_machines_that_slurm_does_not_know_is_refused(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, SLURM)
    said = oaa("fit", *words(tiny_voc_once), "+trainer.num_nodes=2", "trainer.strategy=ddp")
    require_refusal(said, "srun: You set `devices=1` in Lightning, but")
    assert not files(empty)


def test_a_pipeline_in_one_task_of_slurm_runs(
    empty: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(monkeypatch, ONE_TASK)
    said = oaa("fit", *words(tiny_voc_once))
    assert said.status == 0, said.err


def started(*command: str, folder: Path, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", *command], cwd=folder, env=surroundings() | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def require_done(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        out, _ = process.communicate(timeout=600)
        assert process.returncode == 0, out


def require_trained(folder: Path) -> None:
    seed = folder / "runs/tiny/seed-0"
    store = StoreReader(seed / "attention/oaa_max/store")
    assert (store.rows["origin"] != ORIGIN_NONE).all()
    state = torch.load(seed / "classifier/last.ckpt", weights_only=True)
    assert (state["epoch"], state["global_step"]) == (1, 4)  # two processes, one image each


TWO = ("trainer.devices=2", "classifier.batch_size=1")
TWO_NODES = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2",
             "classifier.batch_size=1")  # fmt: skip


@pytest.mark.slow
def test_two_devices_without_a_strategy_run_the_whole_pipeline(
    empty: Path, tiny_voc_once: Path
) -> None:
    methods = "methods=[oaa_max,oaa_plus_hybrid]"
    require_done(started("oaa_pl", "reproduce", *words(tiny_voc_once), *TWO, methods, folder=empty))
    require_trained(empty)
    assert "runs/tiny/report/index.html" in files(empty)


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy", ["ddp_find_unused_parameters_true", "ddp_notebook", "ddp_spawn", "static"]
)
def test_every_kind_of_ddp_trains(empty: Path, tiny_voc_once: Path, strategy: str) -> None:
    static = ("trainer=ddp_static", "trainer.accelerator=cpu")
    more = static if strategy == "static" else (f"trainer.strategy={strategy}",)
    require_done(started("oaa_pl", "fit", *words(tiny_voc_once), *TWO, *more, folder=empty))
    require_trained(empty)


@pytest.mark.slow
def test_a_sweep_over_two_devices_without_a_strategy_does_not_repeat_itself(
    empty: Path, tiny_voc_once: Path
) -> None:
    process = started("oaa_pl", "fit", *words(tiny_voc_once), *TWO, "seed=0,1", "-m", folder=empty)
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out
    assert out.count("Launching") == 1
    assert (empty / "runs/tiny/seed-1/classifier/done.json").is_file()
    require_trained(empty)


@pytest.mark.slow
def test_torchrun_trains_a_stage(empty: Path, tiny_voc_once: Path) -> None:
    torchrun = ("torch.distributed.run", "--nproc-per-node=2", "--master-port=29513", "-m")
    require_done(started(*torchrun, "oaa_pl", "fit", *words(tiny_voc_once), *TWO, folder=empty))
    require_trained(empty)


def made(folder: Path) -> dict[str, bytes]:
    """The weights, and all of the stores but the locks, which have the writers' processes."""
    seed = folder / "runs/tiny/seed-0"
    state = torch.load(seed / "classifier/last.ckpt", weights_only=True)["state_dict"]
    weights = {name: value.numpy().tobytes() for name, value in state.items()}
    stores = {
        str(path.relative_to(seed)): path.read_bytes()
        for path in sorted(seed.glob("attention/*/store/**/*"))
        if path.is_file() and path.name != "writer.lock"
    }
    assert len({Path(name).parts[1] for name in stores}) == 2  # maximum and mean
    return weights | stores


@pytest.fixture(scope="module")
def one_node(tiny_voc_once: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What two processes of one machine make, as in the test above."""
    folder = tmp_path_factory.mktemp("one_node")
    torchrun = ("torch.distributed.run", "--nproc-per-node=2", "--master-port=29514", "-m")
    require_done(started(*torchrun, "oaa_pl", "fit", *words(tiny_voc_once), *TWO, folder=folder))
    return made(folder)


@pytest.mark.slow
def test_torchrun_on_two_nodes_makes_what_one_node_makes(
    empty: Path, tiny_voc_once: Path, one_node: dict[str, bytes]
) -> None:
    """Two nodes on this machine: as on two machines, each has a torchrun of its own."""
    where = ("--nnodes=2", "--nproc-per-node=1", "--master-addr=127.0.0.1", "--master-port=29515")
    fit = ("-m", "oaa_pl", "fit", *words(tiny_voc_once), *TWO_NODES)
    require_done(
        *(
            started("torch.distributed.run", *where, f"--node-rank={rank}", *fit, folder=empty)
            for rank in (0, 1)
        )
    )
    require_trained(empty)
    assert made(empty) == one_node


@pytest.mark.slow
def test_slurm_on_two_nodes_makes_what_one_node_makes(
    empty: Path, tiny_voc_once: Path, one_node: dict[str, bytes]
) -> None:
    nodes = {**SLURM, "SLURM_NTASKS_PER_NODE": "1", "SLURM_NNODES": "2"}
    nodes |= {"SLURM_NODELIST": "127.0.0.1", "MASTER_PORT": "29516"}
    fit = ("oaa_pl", "fit", *words(tiny_voc_once), *TWO_NODES)
    require_done(
        *(
            started(*fit, folder=empty, **nodes | {"SLURM_PROCID": rank, "SLURM_NODEID": rank})
            for rank in ("0", "1")
        )
    )
    require_trained(empty)
    assert made(empty) == one_node


@pytest.mark.slow
def test_two_tasks_of_slurm_train_a_stage(empty: Path, tiny_voc_once: Path) -> None:
    more = ("oaa_pl", "fit", *words(tiny_voc_once), *TWO)
    require_done(
        *(
            started(*more, folder=empty, **SLURM | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank})
            for rank in ("0", "1")
        )
    )
    require_trained(empty)
