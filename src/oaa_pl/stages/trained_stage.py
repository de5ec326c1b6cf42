"""The common part of the stages that train a network: classifier, integral model, segmenter."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import pytorch_lightning as pl
from pytorch_lightning import Callback
from torch import nn
from typing_extensions import override

from oaa_pl.callbacks.resumable import LAST
from oaa_pl.config.factory import factory
from oaa_pl.config.recipe import Recipe
from oaa_pl.data.datamodule import OaaDataModule
from oaa_pl.data.source import Source, fingerprint
from oaa_pl.errors import ConfigError
from oaa_pl.modules.stage import StageModule
from oaa_pl.runs.record import StageRecord
from oaa_pl.stages.parts import Config, Network
from oaa_pl.stages.stage import Stage
from oaa_pl.stages.trained import load_into, ready
from oaa_pl.training.length import Length
from oaa_pl.training.precision import Settled, as_trained, settle
from oaa_pl.training.train import train
from oaa_pl.training.trainer_plan import TrainerPlan

__all__ = ["TrainedStage"]


@dataclass(kw_only=True, eq=False)
class TrainedStage(Stage):
    """A stage that trains a network.

    Attributes:
        net: the network that is trained.
        optimizer: makes the optimiser from the network; or a class of `torch.optim`.
        schedule: makes the schedule from the optimiser and the number of steps; or a class of
            `torch.optim.lr_scheduler`.
        planned: length of the training, for any number of photos.
        trainer: settings of the run's trainings.
        validate_every: epochs; None or 0: no validation.
        name: on its progress bar, in its log and on the dashboard.
    """

    part: ClassVar[str]  # of the configuration
    recipe: ClassVar[str] = ""  # below it, where its values are; "": they are the part's own

    net: Network
    optimizer: Recipe
    schedule: Recipe
    planned: Length
    trainer: TrainerPlan = field(default_factory=TrainerPlan)
    validate_every: Any = None
    name: str = field(init=False)

    @abstractmethod
    def own_key(self) -> dict[str, Any]:
        """What determines the outcome of this stage alone, under its parts' names."""

    @abstractmethod
    def module(self, net: nn.Module) -> StageModule:
        """The network, wired into Lightning."""

    @abstractmethod
    def loaders(self, *, trial: bool = False) -> OaaDataModule:
        """The photos, and what the network learns from.

        Args:
            trial: whether only the time of a step counts: what no earlier stage has made yet is
                replaced by constants of the same shape.
        """

    def initial(self, net: nn.Module) -> nn.Module:
        """The network with the weights that the training starts from."""
        return net

    def callbacks(self) -> list[Callback]:
        """The stage's own callbacks."""
        return []

    def prepare(self) -> None:
        """Clear up; called once the folder is this process's, before training."""

    def complete(self, record: StageRecord) -> dict[str, Any]:
        """What is left to do with the trained network; facts for `done.json`."""
        del record
        return {}

    def trained(self, trainer: TrainerPlan | None = None) -> nn.Module:
        """The trained network, ready to be called: see `ready`.

        Args:
            trainer: its device and precision; as configured, or as recorded, if None.

        Raises:
            WeightsError: if the checkpoint is missing, damaged, or of another network.
        """
        trainer = trainer or as_trained(self.trainer, self.folder, self.net.full_on_cpu)
        module = load_into(self.net.unweighted.make(self.classes), self.folder / LAST)
        return ready(module, self.net, trainer)

    @property
    def place(self) -> str:
        """Where the configuration has its values: "segmenter.frozen_head" or another key."""
        return f"{self.part}.{self.recipe}" if self.recipe else self.part

    @property
    def photos(self) -> Source:
        """The photos that are trained on."""
        return self.data.train

    @property
    def classes(self) -> int:
        """C, without the background."""
        return len(self.photos.classes)

    @cached_property
    def settled(self) -> Settled:
        """The trainer with the precision of this stage, decided at the first use.

        Raises:
            ConfigError: if there is no such precision, or the device cannot compute in it.
        """
        classifier = self.run_folders.classifier
        return settle(self.trainer, self.folder, classifier, self.net.full_on_cpu)

    @cached_property
    def length(self) -> Length:
        """Length of the training on these photos."""
        return self.planned.for_images(len(self.photos.ids), self.place)

    @override
    def key(self) -> dict[str, Any]:
        trainer = self.settled.trainer
        return {
            "seed": self.run_folders.seed,
            "data": fingerprint(self.photos),
            "input": self.data.input_key,
            "net": self.net.key,
            "precision": trainer.precision,
            **trainer.key,
            "shuffle": self.data.shuffle,
            **self.own_key(),
        }

    def training_key(self) -> dict[str, Any]:
        """Length, optimiser and schedule, as the stage's own part of the key has them."""
        return {
            **self.length.key, "optimizer": self.optimizer.key, "schedule": self.schedule.key,
        }  # fmt: skip

    @override
    def files(self) -> dict[str, str]:
        return self.net.files | super().files()

    @override
    def record(self) -> StageRecord:
        return StageRecord(self.folder, self.key(), self.files(), self.trainer.processes)

    @property
    def config_text(self) -> str:
        """The resolved configuration, with what was decided for this training."""
        part = dict(self.config.values.get(self.part, {})) | {"epochs": self.length.epochs}
        part.pop("least_steps", None)  # the record says how many epochs there were
        config = Config({**self.config.values, self.part: part})
        return config.text(trainer={"precision": self.settled.trainer.precision})

    @override
    def make(self, record: StageRecord, *, alone: bool) -> Mapping[str, Any] | None:
        validation, callbacks = self.validation(), self.callbacks()
        pl.seed_everything(self.run_folders.seed, verbose=False)
        module = self.module(self.initial(self.net.make(self.classes)))
        goes_on = train(
            record, self.settled.trainer, self.length, self.name, module, self.loaders(), callbacks,
            config=self.config_text, alone=alone, precision=self.settled.facts,
            prepare=self.prepare, **validation,
        )  # fmt: skip
        return self.complete(record) if goes_on else None

    @property
    def validates_on(self) -> Source | None:
        """The photos that a validation looks at; None: it cannot validate."""
        return None

    def validation(self) -> dict[str, Any]:
        """Arguments of the trainer for `validate_every`.

        Raises:
            ConfigError: if it is not a number of epochs.
        """
        every = self.validate_every
        if self.validates_on is None or every is None or every == 0:
            return {}
        if not isinstance(every, int) or isinstance(every, bool) or every < 0:
            raise ConfigError(f"{self.place}.validate_every must be epochs, or null, got {every!r}")
        return {"check_val_every_n_epoch": every, "limit_val_batches": 1.0}

    def calls(self) -> dict[str, Any]:
        """The calls that make network, optimiser and schedule, for the checkpoint."""
        net = self.net.unweighted.recipe.key
        made = {"net": {key: value for key, value in net.items() if key != "_partial_"}}
        made["net"]["num_classes"] = self.classes + (self.net.role == "segmenter")
        parts = zip(("optimizer", "schedule"), self.optimisation(), strict=True)
        for name, part in parts:
            target = getattr(self, name).key["_target_"]
            made[name] = {"_target_": target, "_partial_": True, **part.keywords}
        return made

    def optimisation(self) -> tuple[Any, Any]:
        """What makes the optimiser, and what makes the schedule.

        Raises:
            ConfigError: if one cannot be imported, takes no such values, or lacks one.
        """
        return (
            factory(self.optimizer, f"{self.place}.optimizer"),
            factory(self.schedule, f"{self.place}.schedule"),
        )
