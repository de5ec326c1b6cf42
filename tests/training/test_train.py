"""Several processes, and what a trainer is refused."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.commands.tiny import files, oaa, require_refusal, surroundings, words

from oaa_pl.store.layout import ORIGIN_NONE
from oaa_pl.store.reader import StoreReader

TWO = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")


def run(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oaa_pl", name, *arguments],
        cwd=folder, env=surroundings(), capture_output=True, text=True, timeout=1500, check=False,
    )  # fmt: skip


def require_whole(seed: Path) -> None:
    for method in ("oaa_max", "oaa_mean"):
        store = StoreReader(seed / f"attention/{method}/store")
        assert len(store.rows) == 6
        assert (store.rows["origin"] != ORIGIN_NONE).all()
        # Each image is seen once an epoch, whichever process sees it.
        assert store.rows["updates"].max() <= 2
        assert np.asarray(store.state).any()


@pytest.mark.slow
def test_two_processes_train_one_stage_and_fill_one_store(empty: Path, tiny_voc_once: Path) -> None:
    arguments = (*words(tiny_voc_once), *TWO, "classifier.batch_size=1", "gate=none")
    done = run(empty, "fit", *arguments)
    assert done.returncode == 0, done.stderr
    require_whole(empty / "runs/tiny/seed-0")
    store = StoreReader(empty / "runs/tiny/seed-0/attention/oaa_max/store")
    assert (store.rows["updates"] == 2).all()
    assert not [name for name in files(empty) if "outputs" in name or "/live/" in name]
    again = run(empty, "fit", *arguments)
    assert again.returncode == 0, again.stderr
    assert "batch/s" not in again.stderr


@pytest.mark.slow
def test_two_processes_run_the_whole_pipeline(empty: Path, tiny_voc_once: Path) -> None:
    done = run(empty, "reproduce", *words(tiny_voc_once), *TWO, "methods=[oaa_max,oaa_plus_hybrid]")
    assert done.returncode == 0, done.stderr
    require_whole(empty / "runs/tiny/seed-0")
    assert "runs/tiny/report/index.html" in files(empty)


@pytest.mark.slow
def test_a_sweep_over_two_processes_does_not_repeat_itself(
    empty: Path, tiny_voc_once: Path
) -> None:
    done = run(empty, "fit", *words(tiny_voc_once), *TWO, "seed=0,1", "-m")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Launching") + done.stdout.count("Launching") == 1
    for seed in (0, 1):
        require_whole(empty / f"runs/tiny/seed-{seed}")


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [(), ("seed=0,1", "-m")])
def test_a_damaged_photo_ends_all_processes_with_one_line(
    empty: Path, tiny_voc: Path, sweep: tuple[str, ...]
) -> None:
    photo = tiny_voc / "JPEGImages/2007_000002.jpg"
    photo.write_bytes(photo.read_bytes()[:-400])
    done = run(empty, "fit", *words(tiny_voc), *TWO, *sweep)
    assert done.returncode == 2, done.stderr
    assert f": {photo} is not a readable image" in done.stderr
    if sweep:
        # Of spawned processes, Python itself may say how those ended that were not at fault.
        assert f": {photo} is no" in done.stderr.splitlines()[-1]
    else:
        assert "Traceback" not in done.stderr


def test_a_device_that_this_machine_lacks_is_refused(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("fit", *words(tiny_voc_once), "trainer=cpu", "trainer.devices=0")
    assert (said.status, said.err.count("\n")) == (2, 1)
    assert said.err.startswith("oaa: trainer: ")
    assert not files(empty)


@pytest.mark.parametrize("callbacks", ["[{_target_: nosuch.Thing}]", "[{_target_: math.sqrt}]"])
def test_a_callback_that_cannot_be_made_is_refused(
    empty: Path, tiny_voc_once: Path, callbacks: str
) -> None:
    said = oaa("fit", *words(tiny_voc_once), f"callbacks={callbacks}")
    require_refusal(said, "oaa: callbacks: ", "_target_ of a Lightning callback")
    assert not files(empty)


def test_a_stage_may_be_as_long_as_steps_say(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("fit", *words(tiny_voc_once), "classifier.epochs=null", "classifier.steps=3")
    assert said.status == 0, said.err
    assert "classifier: 100%" in said.err
    assert "3/3" in said.err
