"""Settings of a run's trainings: the trainer's, callbacks and loggers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from oaa_pl.config.recipe import Recipe
from oaa_pl.config.trainer_key import asked_processes, import_callbacks, trainer_key
from oaa_pl.errors import ConfigError
from oaa_pl.training.loggers import BLANKS

__all__ = ["TrainerPlan"]

_ON_CPU = MappingProxyType(
    {
        "_target_": "pytorch_lightning.Trainer",
        "accelerator": "cpu",
        "devices": 1,
        "precision": "32-true",
    }
)

_HISTORY = Recipe(
    {"_target_": "oaa_pl.callbacks.history.HistoryLogger", "folder": BLANKS["folder"]}
)


@dataclass(frozen=True)
class TrainerPlan:
    """What all trainings of a run share.

    Attributes:
        settings: of the trainer, as plain values with its `_target_`; by default one CPU process.
        callbacks: the user's own Lightning callbacks, by name.
        loggers: Lightning loggers, by name; by default the history in the stage's folder.
        job: group of the runs on a dashboard; no two jobs of a sweep share it.
        in_sweep: whether this process runs several jobs one after another.

    Raises:
        ConfigError: if the settings name no trainer.
    """

    settings: Mapping[str, Any] = field(default_factory=lambda: dict(_ON_CPU))
    callbacks: Mapping[str, Recipe] = field(default_factory=dict)
    loggers: Mapping[str, Recipe] = field(default_factory=lambda: {"history": _HISTORY})
    job: str = "run"
    in_sweep: bool = False

    def __post_init__(self) -> None:
        settings: Any = self.settings  # from a user's YAML
        if not isinstance(settings, Mapping) or "_target_" not in settings:
            raise ConfigError(
                f"trainer must be a mapping with a _target_, got {settings!r}; say "
                "trainer=cpu|gpu|ddp"
            )

    @property
    def precision(self) -> Any:
        """As configured: "auto", or one of Lightning's."""
        return self.settings.get("precision")

    def changed(self, **settings: Any) -> "TrainerPlan":
        """The same with other settings of the trainer."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def key(self) -> dict[str, Any]:
        """For a stage's record: all that changes the result, except the precision."""
        callbacks = [callback.key for callback in self.callbacks.values()]
        import_callbacks(callbacks)
        key = trainer_key(self.settings, callbacks)
        # Left out if empty, as in the records of older packages.
        return {"trainer": key} if key else {}

    @property
    def processes(self) -> int | None:
        """How many processes it requests; None if it uses as many as there are."""
        return asked_processes(self.settings)
