"""Pictures on the dashboard: a few images with their maps or proxy labels laid over them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import WandbLogger
from typing_extensions import override

from oaa_pl.ids import IGNORED

__all__ = ["Labelled", "Overlays", "mask_of"]


class Labelled(NamedTuple):
    """A picture and what is seen on it.

    Attributes:
        picture: RGB, (H, W, 3) uint8.
        label: ids, 0 background, c + 1 class c, 255 ignored, (H, W) uint8.
    """

    picture: NDArray[np.uint8]
    label: NDArray[np.uint8]


class Overlays(Callback):
    """Send pictures of chosen images to W&B after each epoch; does nothing without W&B.

    Args:
        key: name on the dashboard, before the place of each image.
        images: places in the data set.
        picture: makes the picture of an image, and its label map.
        classes: names of the foreground classes.
        once: whether the first epoch's pictures are enough.
    """

    def __init__(
        self,
        key: str,
        images: Sequence[int],
        picture: Callable[[int], Labelled],
        classes: Sequence[str],
        once: bool = False,
    ) -> None:
        self.key, self.images, self.picture, self.once = key, tuple(images), picture, once
        self.classes = tuple(classes)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or (self.once and trainer.current_epoch > 0):
            return
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                for index in self.images:  # a key each: pictures of one key must have one size
                    made = self.picture(index)
                    masks = [{self.key: mask_of(made.label, self.classes)}]
                    name = f"{self.key}/{index}"
                    logger.log_image(name, [made.picture], trainer.global_step, masks=masks)


def mask_of(label: NDArray[np.uint8], classes: Sequence[str]) -> dict[str, Any]:
    """A label map as W&B's images take it.

    Args:
        label: ids, 0 background, c + 1 class c, 255 ignored, (H, W).
        classes: names of the foreground classes.
    """
    names = {0: "background", **dict(enumerate(classes, 1)), IGNORED: "ignored"}
    return {"mask_data": label, "class_labels": names}
