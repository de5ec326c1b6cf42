"""What of the trainer tells two stages apart: facts, not spellings."""

import inspect
from typing import Any

import pytest
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from oaa_pl.config.trainer_key import asked_processes, import_callbacks, trainer_key

PLAIN = {
    "_target_": "pytorch_lightning.Trainer", "accelerator": "cpu", "devices": 1,
    "strategy": "auto", "precision": "32-true", "accumulate_grad_batches": 1,
    "log_every_n_steps": 10,
}  # fmt: skip
EARLY = {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/loss"}


def key(*callbacks: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return trainer_key(PLAIN | settings, callbacks)


def test_the_shipped_trainer_says_nothing() -> None:
    assert key() == {}


@pytest.mark.parametrize(
    "spelled",
    [
        {"limit_train_batches": 1.0},
        {"limit_train_batches": None},
        {"gradient_clip_val": None},
        {"gradient_clip_val": 0.0},
        {"gradient_clip_algorithm": "value"},  # nothing is clipped
        {"deterministic": False},
        {"benchmark": False},
        {"overfit_batches": 0},
        {"overfit_batches": 0.0},
        {"min_epochs": 1},
        {"sync_batchnorm": False},
    ],
)
def test_spelling_a_default_changes_nothing(spelled: dict[str, Any]) -> None:
    assert key(**spelled) == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("limit_train_batches", 2),
        ("limit_train_batches", 1),
        ("limit_train_batches", 0.5),
        ("overfit_batches", 1),
        ("overfit_batches", 1.0),
        ("accumulate_grad_batches", 2),
        ("gradient_clip_val", 0.5),
        ("min_epochs", 3),
        ("min_steps", 3),
        ("deterministic", True),
        ("benchmark", True),
        ("sync_batchnorm", True),
        ("a_setting_of_tomorrow", "anything"),
    ],
)
def test_what_changes_the_outcome_is_held(name: str, value: Any) -> None:
    assert list(key(**{name: value})) == [name]


def test_one_batch_is_not_all_of_them() -> None:
    one, half = (key(limit_train_batches=value) for value in (1, 0.5))
    assert one == {"limit_train_batches": 1}
    assert half == {"limit_train_batches": "50%"}
    everything = key(overfit_batches=1.0)
    assert everything != key(overfit_batches=1)


def test_how_gradients_are_clipped_counts_where_they_are() -> None:
    clipped = key(gradient_clip_val=1, gradient_clip_algorithm="value")
    assert clipped == {"gradient_clip_val": 1, "gradient_clip_algorithm": "value"}
    assert key(gradient_clip_val=1, gradient_clip_algorithm="norm") == {"gradient_clip_val": 1}


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"accelerator": "gpu", "devices": 4, "num_nodes": 2, "strategy": "ddp"},
        {"profiler": "simple", "detect_anomaly": True, "log_every_n_steps": 1},
        {"max_time": "00:01:00:00"},
        {"limit_test_batches": 3, "limit_predict_batches": 3, "inference_mode": False},
        {"limit_val_batches": 3, "val_check_interval": 0.5},
    ],
)
def test_where_it_runs_and_what_is_shown_does_not_count(elsewhere: dict[str, Any]) -> None:
    assert key(**elsewhere) == {}


def test_every_setting_of_lightning_counts_but_for_a_named_list() -> None:
    """A list of harmless settings, so that a new one of Lightning's is held until it is judged."""
    uncounted = {
        name
        for name, parameter in inspect.signature(Trainer.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and not key(**{name: "other"})
    }
    assert uncounted == {
        "accelerator", "strategy", "devices", "num_nodes", "precision", "logger", "callbacks",
        "max_epochs", "max_steps", "max_time", "limit_val_batches", "limit_test_batches",
        "limit_predict_batches", "val_check_interval", "check_val_every_n_epoch",
        "num_sanity_val_steps", "log_every_n_steps", "enable_checkpointing",
        "enable_progress_bar", "enable_model_summary", "gradient_clip_algorithm",
        "inference_mode", "use_distributed_sampler", "profiler",
        "detect_anomaly", "plugins", "reload_dataloaders_every_n_epochs", "default_root_dir",
        "enable_autolog_hparams", "model_registry",
    }  # fmt: skip


class Watcher(Callback):
    only_looks = True


class Changer(Callback):
    pass


class OwnCheckpoint(ModelCheckpoint):
    pass


def test_a_callback_counts_unless_it_only_looks() -> None:
    here = __name__
    looking = [
        {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint"},
        {"_target_": "lightning.pytorch.callbacks.LearningRateMonitor"},
        {"_target_": f"{here}.Watcher"},
        {"_target_": f"{here}.OwnCheckpoint"},
    ]
    import_callbacks(looking)
    assert key(*looking) == {}
    changing = [EARLY, {"_target_": f"{here}.Changer"}, {"_target_": "nowhere.to.be.Found"}]
    for callback in changing:
        import_callbacks([*looking, callback])
        assert key(*looking, callback) == {"callbacks": [callback]}


def test_what_is_validated_counts_where_a_callback_may_look_at_it() -> None:
    found = key(EARLY, limit_val_batches=3, val_check_interval=1.0)
    assert found == {"limit_val_batches": 3, "callbacks": [EARLY]}


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        ({"devices": 1}, 1),
        ({"devices": 2}, 2),
        ({"devices": "2"}, 2),
        ({"devices": [0, 3]}, 2),
        ({"devices": "0,1,2"}, 3),
        ({"devices": "1,"}, 1),
        ({"devices": 2, "num_nodes": 3}, 6),
        ({"devices": "auto"}, 1),  # of CPUs there is one
        ({"devices": "auto", "accelerator": "gpu"}, None),
        ({"devices": -1, "accelerator": "gpu"}, None),
        ({"devices": "-1", "accelerator": "gpu"}, None),
    ],
)
def test_the_number_of_processes_is_known_where_it_is_said(
    settings: dict[str, Any], number: int | None
) -> None:
    assert asked_processes(PLAIN | settings) == number
