"""What a stage goes on from, who may write its folder, and how its end is reported."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb
from pytorch_lightning import Callback
from tests.commands.killed import run_until
from tests.commands.test_kill_and_resume import require_same
from tests.commands.tiny import Said, files, inside, oaa, require_refusal, surroundings, words
from tests.training.test_processes import ONE_TASK

from oaa_pl.callbacks.history import HistoryLogger
from oaa_pl.errors import RunMismatchError
from oaa_pl.runs.record import read_done, read_files, read_key

SEED = Path("runs/tiny/seed-0")
STAGES = {
    "classifier": ("fit",),
    "integral/hybrid": ("fit", "stage=integral"),
    "segmenter/oaa_max": ("fit", "stage=segmenter", "method=oaa_max"),
}
# A stage that is trained is the same code for all three: two of them are enough for `make test`.
TRAINED = [
    "classifier",
    pytest.param("integral/hybrid", marks=pytest.mark.slow),
    "segmenter/oaa_max",
]
OTHERS = {
    "attention/cam": ("attend", "method=cam"),
    "labels/cam": ("label", "method=cam"),
}


def run(place: str, root: Path, *more: str) -> Said:
    command, *rest = (STAGES | OTHERS)[place]
    return oaa(command, *words(root), *rest, *more)


def weights(place: str, root: Path = Path()) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(
        root / SEED / place / "last.ckpt", weights_only=True
    )["state_dict"]
    return state


def require_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def edited(path: Path, edit: Callable[[dict[str, Any]], None], name: str = "last.ckpt") -> None:
    """Save a changed copy of a checkpoint in its place, or under another name."""
    content = torch.load(path, weights_only=True)
    edit(content)
    path.unlink()
    torch.save(content, path.with_name(name))


def unfinished(place: str) -> Path:
    """A stage's folder as it is before the stage has finished, and its maps before they have."""
    maps = (
        [f"attention/{name}" for name in ("oaa_max", "oaa_mean")] if place == "classifier" else []
    )
    for folder in (place, *maps):
        (SEED / folder / "done.json").unlink(missing_ok=True)
    return SEED / place


def cut(content: dict[str, Any]) -> None:
    """As a checkpoint is that was saved after the first of two batches."""
    content["epoch"], content["global_step"] = 0, 1
    content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False


@pytest.mark.parametrize("place", TRAINED)
def test_a_checkpoint_inside_an_epoch_is_refused_with_the_way_out(
    again: Path, finished: Path, tiny_voc_once: Path, place: str
) -> None:
    stage = unfinished(place)
    edited(stage / "last.ckpt", cut)
    before = (stage / "stage.json").read_bytes()
    said = run(place, tiny_voc_once)
    require_refusal(said, f"{place}/last.ckpt was saved inside epoch 0", "remove it to train")
    assert (stage / "stage.json").read_bytes() == before
    (stage / "last.ckpt").unlink()
    said = run(place, tiny_voc_once)
    assert said.status == 0, said.err
    require_equal(weights(place), weights(place, finished))


@pytest.mark.parametrize("place", TRAINED)
def test_what_slurm_saved_inside_an_epoch_is_not_used(
    again: Path,
    finished: Path,
    tiny_voc_once: Path,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in ONE_TASK.items():
        monkeypatch.setenv(name, value)
    stage = unfinished(place)
    edited(stage / "last.ckpt", cut, "hpc_ckpt_1.ckpt")
    said = run(place, tiny_voc_once)
    assert said.status == 0, said.err
    assert "hpc_ckpt_1.ckpt was saved inside an epoch, when SLURM asked" in caplog.text
    assert (stage / "requeued-1.unused").is_file()
    require_equal(weights(place), weights(place, finished))


def test_finished_maps_whose_classifier_is_gone_are_not_emptied(
    again: Path, tiny_voc_once: Path
) -> None:
    for name in ("done.json", "last.ckpt"):
        (SEED / "classifier" / name).unlink()
    before = files(SEED / "attention")
    said = run("classifier", tiny_voc_once)
    require_refusal(said, "oaa_max holds finished maps", "is gone; restore it, or remove")
    assert files(SEED / "attention") == before


@pytest.mark.parametrize("place", TRAINED)
def test_a_checkpoint_that_cannot_be_read_is_named_in_every_stage(
    again: Path, tiny_voc_once: Path, place: str
) -> None:
    stage = SEED / place
    (stage / "done.json").unlink()
    (stage / "last.ckpt").write_bytes((stage / "last.ckpt").read_bytes()[:1000])
    require_refusal(run(place, tiny_voc_once), f"{place}/last.ckpt is not a readable checkpoint")


@pytest.mark.slow
def test_slurms_signal_at_any_stage_ends_in_a_run_to_go_on_with(
    empty: Path, finished: Path, tiny_voc_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ONE_TASK.items():
        monkeypatch.setenv(name, value)
    arguments = ("reproduce", *words(tiny_voc_once))
    for ending in ("generations/000001", "classifier/last.ckpt", "hybrid/last.ckpt"):
        ended = run_until(signal.SIGUSR1, ending, 1, empty, *arguments)
        assert ended.status == 130, (ending, ended.err)
        assert "Traceback" not in ended.err
        assert "run the same command again" in ended.err
    assert not list(empty.rglob("hpc_ckpt*"))
    with inside(empty):
        said = oaa(*arguments)
    assert said.status == 0, said.err
    require_same(empty, finished)


def test_an_older_packages_checkpoint_is_gone_on_from_without_a_word(
    empty: Path, finished: Path, tiny_voc_once: Path
) -> None:
    assert run("classifier", tiny_voc_once, "+trainer.max_time={seconds: 0}").status == 130
    old = (
        "ModelCheckpoint{'monitor': None, 'mode': 'min', 'every_n_train_steps': 0, "
        "'every_n_epochs': 1, 'train_time_interval': None}"
    )

    def before(content: dict[str, Any]) -> None:
        content["callbacks"] = {old: {"best_model_path": "last.ckpt", "dirpath": "elsewhere"}}

    edited(SEED / "classifier/last.ckpt", before)
    said = run("classifier", tiny_voc_once)  # a warning would be an error here
    assert said.status == 0, said.err
    require_equal(weights("classifier"), weights("classifier", finished))


@pytest.fixture
def holder() -> Iterator[Callable[[Path], "subprocess.Popen[str]"]]:
    """Another process that holds a folder's lock until it is killed."""
    program = (
        "import sys, time; from pathlib import Path; from oaa_pl.files.lock import WriterLock; "
        "lock = WriterLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(600)"
    )
    held = []

    def hold(folder: Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder / "writer.lock")],
            env=surroundings(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield hold
    for process in held:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("place", [*TRAINED, *OTHERS])
def test_a_second_run_in_a_folder_is_refused_at_once(
    again: Path,
    tiny_voc_once: Path,
    place: str,
    holder: Callable[[Path], "subprocess.Popen[str]"],
) -> None:
    (SEED / place / "done.json").unlink()
    process = holder(SEED / place)
    before = files(again)
    said = run(place, tiny_voc_once)
    require_refusal(said, f"{place} is being written by another process", str(process.pid))
    assert files(again) == before
    process.kill()
    process.wait()
    said = run(place, tiny_voc_once)  # a killed process lets go
    assert said.status == 0, said.err


@pytest.mark.parametrize("place", ["classifier", "attention/cam", "labels/cam", "segmenter/cam"])
def test_scores_are_not_written_into_a_folder_that_another_process_writes(
    again: Path,
    tiny_voc_once: Path,
    place: str,
    holder: Callable[[Path], "subprocess.Popen[str]"],
) -> None:
    (SEED / place / "scored.json").unlink()
    scores = (SEED / place / "metrics.csv").read_bytes()
    holder(SEED / place)
    said = oaa("evaluate", *words(tiny_voc_once))
    require_refusal(said, f"{place} is being written by another process")
    assert (SEED / place / "metrics.csv").read_bytes() == scores


def test_a_failed_stage_lets_go_of_its_folder(again: Path, tiny_voc_once: Path) -> None:
    (SEED / "labels/cam/done.json").unlink()
    for _ in range(2):  # with the lock kept, the second would name this very process
        said = run("labels/cam", tiny_voc_once, "background.value=0")
        assert "has any foreground" in said.last


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the loggers are told at a training's end."""
    told: list[Any] = []
    finish = wandb.finish

    def finalize(logger: HistoryLogger, status: str) -> None:
        told.append(status)

    def finish_and_tell(exit_code: int | None = None) -> None:
        told.append(exit_code)
        finish(exit_code=exit_code)

    monkeypatch.setattr(HistoryLogger, "finalize", finalize)
    monkeypatch.setattr(wandb, "finish", finish_and_tell)
    return told


class Interrupt(Callback):
    def on_train_batch_end(self, *_: object) -> None:
        raise KeyboardInterrupt


def test_the_loggers_are_told_how_a_training_ended(
    empty: Path, tiny_voc_once: Path, ends: list[Any]
) -> None:
    assert "diverged" in run("classifier", tiny_voc_once, "classifier.optimizer.lr=1e30").last
    assert "success" not in ends
    assert ends[-2:] == ["failed", 1]
    ends.clear()
    interrupt = f"callbacks=[{{_target_: {__name__}.Interrupt}}]"
    assert run("classifier", tiny_voc_once, interrupt).status == 130
    assert "success" not in ends
    assert ends[-2:] == ["failed", 1]
    ends.clear()
    assert run("classifier", tiny_voc_once).status == 0
    assert "failed" not in ends
    assert ends[-2:] == ["success", 0]


class Hoarder(Callback):
    def state_dict(self) -> dict[str, Any]:
        return {"where": Path()}


def test_a_state_that_could_not_be_resumed_is_refused_when_training_starts(
    empty: Path, tiny_voc_once: Path
) -> None:
    hoarder = f"callbacks=[{{_target_: {__name__}.Hoarder}}]"
    said = run("classifier", tiny_voc_once, hoarder)
    assert said.status == 2
    assert said.last.startswith("oaa: the state of callback Hoarder holds more than tensors")
    assert not list(empty.rglob("last.ckpt"))


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_record_that_is_damaged_is_named(tmp_path: Path, content: str) -> None:
    for name in ("done.json", "stage.json"):
        (tmp_path / name).write_text(content)
    with pytest.raises(RunMismatchError, match=r"stage\.json is damaged .*remove the folder"):
        read_key(tmp_path)
    if content == "{}":
        assert read_done(tmp_path, "oaa fit") == {}
        assert read_files(tmp_path, "labels") == {}
        return
    with pytest.raises(RunMismatchError, match=r"done\.json is damaged"):
        read_done(tmp_path, "oaa fit")
    with pytest.raises(RunMismatchError, match=r"stage\.json is damaged"):
        read_files(tmp_path, "labels")


def test_done_says_nothing_of_a_stop_where_there_was_none(finished: Path) -> None:
    for place in STAGES:
        assert "stopped" not in json.loads((finished / SEED / place / "done.json").read_text())
