"""What a run says of its trainings: the trainer's settings, callbacks and dashboard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from oaa_pl.config.recipe import Recipe
from oaa_pl.config.trainer_key import asked_processes, import_callbacks, trainer_key
from oaa_pl.errors import ConfigError

__all__ = ["TrainerPlan"]

_ON_CPU = MappingProxyType(
    {
        "_target_": "pytorch_lightning.Trainer",
        "accelerator": "cpu",
        "devices": 1,
        "precision": "32-true",
    }
)


@dataclass(frozen=True)
class TrainerPlan:
    """What all trainings of a run share.

    Attributes:
        settings: of the trainer, as plain values with its `_target_`; by default one CPU process.
        callbacks: recipes of the user's own Lightning callbacks.
        wandb: `project`, `entity`, `tags` and `offline` of the dashboard; None: no dashboard.
        job: name of the run on the dashboard, before the stage's.
        in_sweep: whether this process runs several jobs one after another.

    Raises:
        ConfigError: if the settings name no trainer.
    """

    settings: Mapping[str, Any] = field(default_factory=lambda: dict(_ON_CPU))
    callbacks: Sequence[Recipe] = ()
    wandb: Mapping[str, Any] | None = None
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
        """As asked for: "auto", or one of Lightning's."""
        return self.settings.get("precision")

    def changed(self, **settings: Any) -> "TrainerPlan":
        """The same with other settings of the trainer."""
        return replace(self, settings={**self.settings, **settings})

    @property
    def key(self) -> dict[str, Any]:
        """For a stage's record: what of it changes what is trained, the precision apart."""
        callbacks = [callback.key for callback in self.callbacks]
        import_callbacks(callbacks)
        key = trainer_key(self.settings, callbacks)
        # Left out where it says nothing, as in the records of older packages.
        return {"trainer": key} if key else {}

    @property
    def processes(self) -> int | None:
        """How many processes it asks for; None if it takes as many as there are."""
        return asked_processes(self.settings)
