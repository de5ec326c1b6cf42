"""The part of the trainer's configuration that determines a stage's outcome.

Every setting counts, except a list of settings that cannot change the outcome. So an unknown
setting makes two stages different, and they are not mixed. Two spellings of one value are equal.
"""

import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from omegaconf import OmegaConf
from pytorch_lightning import Trainer

__all__ = ["asked_processes", "import_callbacks", "recorded_trainer", "trainer_key"]

# Devices, output, and loops that no stage runs. `precision` and the number of processes
# (`asked_processes`) have their own keys in a stage's record. `max_time`
# leaves a stage unfinished, so the next run continues.
_HARMLESS = {
    "_target_", "_convert_", "accelerator", "devices", "num_nodes", "strategy", "precision",
    "logger", "log_every_n_steps", "profiler", "detect_anomaly", "default_root_dir",
    "enable_progress_bar", "enable_model_summary", "enable_checkpointing", "enable_autolog_hparams",
    "model_registry", "num_sanity_val_steps", "use_distributed_sampler", "inference_mode",
    "limit_test_batches", "limit_predict_batches", "reload_dataloaders_every_n_epochs",
    "max_epochs", "max_steps", "max_time", "callbacks", "plugins",
}  # fmt: skip

# They change nothing by themselves, but a callback may look at what was validated.
_VALIDATION = {"limit_val_batches", "val_check_interval", "check_val_every_n_epoch"}

# Lightning's callbacks that only look; so do their subclasses.
_OBSERVERS = {
    "Checkpoint", "ModelCheckpoint", "OnExceptionCheckpoint", "LearningRateMonitor",
    "DeviceStatsMonitor", "ModelSummary", "ProgressBar", "RichModelSummary", "RichProgressBar",
    "TQDMProgressBar", "ThroughputMonitor", "Timer",
}  # fmt: skip
_LIGHTNING = ("pytorch_lightning.", "lightning.pytorch.")

# Values that mean the same as no value.
_SAME_AS_DEFAULT: dict[str, tuple[Any, ...]] = {
    "deterministic": (False,),
    "benchmark": (False,),
    "gradient_clip_val": (0,),
    "gradient_clip_algorithm": ("norm",),
    "min_epochs": (0, 1),
    "min_steps": (0,),
    "overfit_batches": (0,),
}
# A whole number counts batches, a fraction is a share: 1 is one batch, 1.0 is all of them.
_SHARES = ("limit_train_batches", "limit_val_batches", "val_check_interval", "overfit_batches")


def trainer_key(settings: Mapping[str, Any], callbacks: Sequence[Any]) -> dict[str, Any]:
    """Settings of the trainer, and callbacks, that change what a stage makes.

    Args:
        settings: `trainer` of a configuration, as plain values.
        callbacks: `callbacks` of a configuration, as plain values.

    Returns:
        Plain values by name; Lightning's defaults are left out, so that giving
        one changes nothing.
    """
    callbacks = [one for one in callbacks if not _only_looks(one)]
    harmless = _HARMLESS if callbacks else _HARMLESS | _VALIDATION
    if not settings.get("gradient_clip_val"):
        harmless = harmless | {"gradient_clip_algorithm"}
    key = {
        name: _canonical(name, value)
        for name, value in settings.items()
        if name not in harmless and not _is_default(name, value)
    }
    return key | ({"callbacks": callbacks} if callbacks else {})


def nodes_of(callbacks: Any) -> list[Any]:
    """The nodes of callbacks without their names; older records have a list.

    Args:
        callbacks: of a configuration, as plain values; anything else has none.
    """
    found = list(callbacks.values()) if isinstance(callbacks, Mapping) else callbacks
    return [one for one in found if one is not None] if isinstance(found, list) else []


def import_callbacks(callbacks: Sequence[Any]) -> None:
    """Import the classes of the configured callbacks, so that they can be looked at.

    Never used on a record's callbacks: the author of its folder may be unknown.

    Args:
        callbacks: of this command's configuration, as plain values.
    """
    for callback in callbacks:
        with suppress(Exception):  # what cannot be imported is reported when it is made
            get_class(callback["_target_"])


def asked_processes(settings: Mapping[str, Any]) -> int | None:
    """How many processes a configuration requests; None if it uses as many as there are.

    Args:
        settings: its `trainer`, as plain values.
    """
    devices, nodes = settings.get("devices", "auto"), settings.get("num_nodes", 1)
    if isinstance(devices, str):
        words = [word for word in devices.split(",") if word.strip()]
        if devices == "auto" and settings.get("accelerator") == "cpu":
            devices = 1
        elif "," in devices:
            devices = words
        elif devices.strip().isdecimal():
            devices = int(devices)
    count = len(devices) if isinstance(devices, list) else devices
    if not isinstance(count, int) or not isinstance(nodes, int) or count < 1:
        return None
    return count * nodes


def recorded_trainer(folder: Path) -> tuple[dict[str, Any], int | None]:
    """What a stage's recorded configuration says of its trainer.

    Args:
        folder: the stage's.

    Returns:
        The `trainer` of a key, if it says anything; and the number of processes, if it is known.
    """
    try:
        recorded: Any = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"), resolve=True)
        settings, callbacks = (recorded.get(name) for name in ("trainer", "callbacks"))
        settings = settings if isinstance(settings, dict) else {}
        key = trainer_key(settings, nodes_of(callbacks))
        return {"trainer": key} if key else {}, asked_processes(settings)
    except Exception:  # yaml and OmegaConf raise many errors; then nothing is known
        return {}, None


def _is_default(name: str, value: Any) -> bool:
    if value is None:
        return True
    if name in _SHARES and isinstance(value, float) and name != "overfit_batches":
        return value == 1.0
    same = (_DEFAULTS.get(name), *_SAME_AS_DEFAULT.get(name, ()))
    # `True == 1` in Python: a switch is never a number.
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in same)


def _canonical(name: str, value: Any) -> Any:
    # In a record, which is JSON, `1` and `1.0` are equal.
    if name in _SHARES and isinstance(value, float):
        return f"{100 * value:g}%"
    return value


def _only_looks(callback: Any) -> bool:
    """Whether a callback is one of Lightning's that only look, or declares that itself."""
    target = str(callback.get("_target_", "")) if isinstance(callback, Mapping) else ""
    module, _, name = target.rpartition(".")
    if target.startswith(_LIGHTNING) and name in _OBSERVERS:
        return True
    made = getattr(sys.modules.get(module), name, None)
    if not isinstance(made, type):
        return False
    lightning = (b.__name__ for b in made.__mro__ if f"{b.__module__}.".startswith(_LIGHTNING))
    return getattr(made, "only_looks", False) is True or not _OBSERVERS.isdisjoint(lightning)


_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(Trainer.__init__).parameters.items()
    if parameter.default is not inspect.Parameter.empty
}
