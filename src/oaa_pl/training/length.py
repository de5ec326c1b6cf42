"""How long a stage trains."""

import math
from dataclasses import dataclass, replace
from typing import Any

from oaa_pl.errors import ConfigError

__all__ = ["Length"]


@dataclass(frozen=True)
class Length:
    """Epochs, or steps of the optimiser, of batches of a size.

    Attributes:
        epochs: if given, instead of steps.
        steps: of the optimiser, where `epochs` is None.
        batch_size: photos of one batch, per process.
        least_steps: if given, epochs are added until there are this many steps.
    """

    epochs: Any = None
    steps: Any = None
    batch_size: int = 1
    least_steps: Any = None

    def for_images(self, images: int, stage: str) -> "Length":
        """The length of a stage on so many images: epochs are added to reach `least_steps`.

        A network needs enough steps: after fifteen epochs of fifty photos, a segmenter still
        predicts background only.

        Args:
            images: N, that the stage trains on.
            stage: its part of the configuration, for errors.

        Raises:
            ConfigError: if `least_steps` is not a number of steps.
        """
        least, epochs = self.least_steps, self.epochs
        if least is None:
            return self
        if not isinstance(least, int) or isinstance(least, bool) or least < 0:
            raise ConfigError(f"{stage}.least_steps must be a whole number or null, got {least!r}")
        if epochs is not None and least:
            batches = math.ceil(images / self.batch_size)
            epochs = max(epochs, math.ceil(least / batches))
        return replace(self, epochs=epochs, least_steps=None)

    def planned(self, what: str) -> tuple[int | None, int]:
        """Epochs and -1, or None and steps, as Lightning takes them.

        Args:
            what: the stage's name, for errors.

        Raises:
            ConfigError: if it is not a whole number of 1 or more.
        """
        length = self.steps if self.epochs is None else self.epochs
        if not isinstance(length, int) or isinstance(length, bool) or length < 1:
            raise ConfigError(
                f"{what}: epochs, or steps if epochs is null, must be 1 or more and whole, got "
                f"{length!r}"
            )
        return self.epochs, -1 if self.epochs is not None else length

    @property
    def key(self) -> dict[str, Any]:
        """For a stage's record."""
        return {"epochs": self.epochs, "steps": self.steps, "batch_size": self.batch_size}
