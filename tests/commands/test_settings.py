"""The trainer's settings by the command line: they tell stages apart, work, or are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tests.cases import some_quick
from tests.commands.tiny import files, oaa, require_refusal, words

STAGE = Path("runs/tiny/seed-0/classifier")


def unfinish(stage: Path = STAGE) -> None:
    """As a kill just before the end leaves a stage."""
    (stage / "done.json").unlink()


@pytest.mark.parametrize(
    "setting",
    [
        "+trainer.limit_train_batches=1",
        # That these count as well, tests/config/test_trainer_key.py checks without a training.
        pytest.param("trainer.accumulate_grad_batches=2", marks=pytest.mark.slow),
        pytest.param("+trainer.gradient_clip_val=0.1", marks=pytest.mark.slow),
    ],
)
def test_a_quick_try_is_not_taken_for_the_run_nor_resumed_as_it(
    empty: Path, tiny_voc_once: Path, setting: str
) -> None:
    arguments = words(tiny_voc_once)
    said = oaa("fit", *arguments, setting)
    assert said.status == 0, said.err
    name = setting.lstrip("+").partition("=")[0]
    for _ in ("finished", "interrupted"):
        require_refusal(oaa("fit", *arguments), f"classifier was made with {name}=", "name=...")
        assert oaa("fit", *arguments, setting).status == 0
        (STAGE / "done.json").unlink(missing_ok=True)


def test_a_finished_run_knows_itself_however_its_defaults_are_spelled(
    again: Path, tiny_voc_once: Path
) -> None:
    before = (STAGE / "last.ckpt").stat().st_mtime_ns
    spelled = ("+trainer.limit_train_batches=1.0", "+trainer.gradient_clip_val=0")
    shown = (
        "+trainer.profiler=simple",
        "trainer.log_every_n_steps=1",
        "trainer.strategy=ddp_spawn",
    )
    assert oaa("fit", *words(tiny_voc_once), *spelled, *shown).status == 0
    assert (STAGE / "last.ckpt").stat().st_mtime_ns == before


def old_record(stage: Path = STAGE) -> None:
    """The record as an older package left it: no trainer in the key, no number of processes."""
    path = stage / "stage.json"
    record: dict[str, Any] = json.loads(path.read_text())
    record.pop("processes", None)
    record["made_from"].pop("trainer", None)
    path.write_text(json.dumps(record))


def test_an_old_record_of_the_defaults_is_finished_and_resumed(
    again: Path, tiny_voc_once: Path
) -> None:
    for stage in ("classifier", "integral/hybrid", "segmenter/cam"):
        old_record(again / "runs/tiny/seed-0" / stage)
    before = (STAGE / "last.ckpt").stat().st_mtime_ns
    said = oaa("reproduce", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert (STAGE / "last.ckpt").stat().st_mtime_ns == before
    unfinish()
    old_record()
    said = oaa("fit", *words(tiny_voc_once))
    assert said.status == 0, said.err
    assert json.loads((STAGE / "stage.json").read_text())["processes"] == 1


def test_an_old_record_of_other_settings_is_told_by_its_configuration(
    empty: Path, tiny_voc_once: Path
) -> None:
    arguments = words(tiny_voc_once)
    assert oaa("fit", *arguments, "trainer.accumulate_grad_batches=2").status == 0
    old_record()
    said = oaa("fit", *arguments)
    require_refusal(said, "trainer.accumulate_grad_batches=2, requested None")
    assert oaa("fit", *arguments, "trainer.accumulate_grad_batches=2").status == 0
    # Of a run on two devices as well: its batches were twice as large.
    cfg = OmegaConf.load(STAGE / "config.yaml")
    cfg.trainer.update(devices=2, accumulate_grad_batches=1)
    OmegaConf.save(cfg, STAGE / "config.yaml")
    require_refusal(oaa("fit", *arguments), "trainer.devices for 2 processes, requested 1")


def test_other_processes_than_before_are_told(again: Path, tiny_voc_once: Path) -> None:
    for _ in ("finished", "interrupted"):
        said = oaa("fit", *words(tiny_voc_once), "trainer.devices=2")
        require_refusal(said, "made with trainer.devices for 1 processes, requested 2")
        (STAGE / "done.json").unlink(missing_ok=True)


EARLY = (
    "callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: train/loss_epoch, "
    "min_delta: 1000, patience: 1, check_on_train_epoch_end: true}]"
)


def progress(stage: Path = STAGE) -> tuple[int, bool]:
    content = torch.load(stage / "last.ckpt", weights_only=True)
    batches = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    return content["epoch"] + 1, batches["is_last_batch"]


def test_an_early_stop_is_recorded_and_said(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = (*words(tiny_voc_once), "classifier.epochs=6", EARLY)
    said = oaa("fit", *arguments)
    assert said.status == 0, said.err
    stopped = {"by": ["EarlyStopping"], "epochs": 2, "steps": 4, "planned": "6 epochs"}
    assert json.loads((STAGE / "done.json").read_text())["stopped"] == stopped
    assert "classifier: stopped by EarlyStopping after 2 epochs (4 steps), planned" in caplog.text
    # Killed before it could say so: it stays stopped there, and does not train on.
    before = torch.load(STAGE / "last.ckpt", weights_only=True)["state_dict"]
    unfinish()
    said = oaa("fit", *arguments)
    assert said.status == 0, said.err
    assert json.loads((STAGE / "done.json").read_text())["stopped"] == stopped
    after = torch.load(STAGE / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    require_refusal(
        oaa("fit", *words(tiny_voc_once), "classifier.epochs=6"), "made with trainer.callbacks="
    )


def test_an_early_stop_by_a_metric_that_is_not_there_is_one_line(
    empty: Path, tiny_voc_once: Path
) -> None:
    said = oaa("fit", *words(tiny_voc_once), EARLY.replace("train/loss_epoch", "val/nothing"))
    assert said.status == 2
    assert said.last.startswith("oaa: callbacks: Early stopping conditioned on metric `val/nothing")


def test_a_fallback_of_an_epoch_that_never_came_is_said(
    empty: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = ("classifier.epochs=6", "classifier.fallback=last_epoch", EARLY)
    said = oaa("fit", *words(tiny_voc_once), *more)
    assert said.status == 0, said.err
    assert "the planned last epoch never came" in caplog.text


def test_an_early_stop_inside_an_epoch_waits_for_its_end(empty: Path, tiny_voc_once: Path) -> None:
    # The third validation, after the first of two batches of the second epoch, asks for the stop.
    early = (
        "callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss, "
        "min_delta: 1000, patience: 2, check_on_train_epoch_end: false}]"
    )
    more = ("classifier.epochs=6", "classifier.validate_every=1", "+trainer.val_check_interval=1")
    said = oaa("fit", *words(tiny_voc_once), *more, early)
    assert said.status == 0, said.err
    assert json.loads((STAGE / "done.json").read_text())["stopped"]["epochs"] == 2
    assert progress() == (2, True)


def test_a_stage_that_ran_out_of_time_is_gone_on_with(
    empty: Path, finished: Path, tiny_voc_once: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = (*words(tiny_voc_once), "+trainer.max_time={seconds: 0}")
    said = oaa("fit", *arguments)
    assert said.status == 130, said.err
    assert said.err.endswith("interrupted; run the same command again to continue from there\n")
    assert "classifier: stopped by TimeLimit after 1 epochs (2 steps) of 2 epochs" in caplog.text
    assert not (STAGE / "done.json").exists()
    assert progress() == (1, True)
    said = oaa("fit", *arguments)  # its time is counted anew, and the plan is reached
    assert said.status == 0, said.err
    assert "stopped" not in json.loads((STAGE / "done.json").read_text())
    there = torch.load(finished / STAGE / "last.ckpt", weights_only=True)["state_dict"]
    here = torch.load(STAGE / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(there[name], here[name]) for name in there)


@pytest.mark.parametrize("duration", ["soon", "12", "{weeks: many}"])
def test_a_time_that_is_none_is_refused(empty: Path, tiny_voc_once: Path, duration: str) -> None:
    said = oaa("fit", *words(tiny_voc_once), f"+trainer.max_time={duration}")
    require_refusal(said, "trainer.max_time must be DD:HH:MM:SS")
    assert not files(empty)


@pytest.mark.parametrize(
    ("setting", "instead"),
    some_quick(
        [
            ("+trainer.max_epochs=3", "say classifier.epochs=..."),
            ("+trainer.max_steps=3", "say classifier.epochs=null classifier.steps=..."),
            (
                "+trainer.callbacks=[{_target_: pytorch_lightning.callbacks.Timer}]",
                "callbacks=[...]",
            ),
            ("+trainer.logger=true", "say logger=csv"),
            ("+trainer.default_root_dir=elsewhere", "say runs=<folder>"),
            ("+trainer.plugins=[x]", "a stage brings its own"),
            ("+trainer.check_val_every_n_epoch=2", "say classifier.validate_every"),
            ("+trainer.use_distributed_sampler=true", "the loaders split the images"),
            ("+trainer.num_sanity_val_steps=2", "a resumed run would differ"),
            ("+trainer.enable_progress_bar=true", "a bar of its own"),
            ("+trainer.enable_model_summary=true", "ModelSummary"),
            ("+trainer.enable_checkpointing=false", "result is its checkpoint"),
            ("+trainer.fast_dev_run=true", "limit_train_batches=2"),
            ("+trainer.overfit_batches=1", "limit_train_batches=2 loader.shuffle=false"),
            ("+trainer.barebones=true", "saves no checkpoint"),
            ("+trainer.num_nodes=2", "needs torchrun or srun"),
            ("+trainer.limit_train_batches=0", "trains nothing"),
            ("+trainer.limit_train_batches=0.0", "trains nothing"),
            ("+trainer.limit_train_batchs=2", "unexpected keyword argument 'limit_train_batchs'"),
            ("+trainer.gradient_clip_algorithm=magic", "magic"),
            ("trainer.strategy=magic", "magic"),
            ("~trainer._target_", "trainer must be a mapping with a _target_"),
        ]
    ),
)
def test_a_setting_that_a_stage_makes_itself_is_refused_before_training(
    empty: Path, tiny_voc_once: Path, setting: str, instead: str
) -> None:
    require_refusal(oaa("fit", *words(tiny_voc_once), setting), "trainer", instead)
    assert not files(empty)


def test_settings_that_say_what_a_stage_does_anyway_are_taken(
    again: Path, tiny_voc_once: Path
) -> None:
    same = (
        "+trainer.use_distributed_sampler=false", "+trainer.fast_dev_run=false",
        "+trainer.enable_checkpointing=true", "+trainer.max_epochs=null", "+trainer.max_steps=-1",
        "+trainer.logger=null", "+trainer.callbacks=[]", "+trainer.num_nodes=1",
        "+trainer.limit_val_batches=1",
    )  # fmt: skip
    unfinish()
    said = oaa("fit", *words(tiny_voc_once), *same)
    assert said.status == 0, said.err


def test_a_share_that_makes_no_batch_is_one_line(empty: Path, tiny_voc_once: Path) -> None:
    said = oaa("fit", *words(tiny_voc_once), "+trainer.limit_train_batches=0.1")
    assert said.status == 2
    assert said.last.startswith("oaa: trainer: ")
    assert not (STAGE / "done.json").exists()


@pytest.mark.parametrize("length", ["0", "1.5", "many", "true"])
def test_a_length_that_is_none_is_refused(empty: Path, tiny_voc_once: Path, length: str) -> None:
    said = oaa("fit", *words(tiny_voc_once), f"classifier.epochs={length}")
    require_refusal(said, "classifier: epochs, or steps if epochs is null, must be 1 or more")
    assert not files(empty)
    said = oaa("fit", *words(tiny_voc_once), "classifier.epochs=null", "classifier.steps=null")
    require_refusal(said, "must be 1 or more and whole, got None")


def test_a_checkpoint_of_ones_own_lies_beside_ours(empty: Path, tiny_voc_once: Path) -> None:
    own = (
        "callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, dirpath: own, "
        "filename: '{step}'}, "
        "{_target_: pytorch_lightning.callbacks.ModelCheckpoint, dirpath: every, "
        "every_n_train_steps: 1, save_top_k: -1, filename: '{step}'}]"
    )
    said = oaa("fit", *words(tiny_voc_once), own)
    assert said.status == 0, said.err
    assert [path.name for path in Path("own").iterdir()] == ["step=4.ckpt"]
    assert len(list(Path("every").iterdir())) == 4
    assert progress() == (2, True)
    # They only look: the stage is the one that was trained without them.
    assert oaa("fit", *words(tiny_voc_once)).status == 0
