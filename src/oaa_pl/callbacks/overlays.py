"""Pictures on the dashboard: a few images with their maps or proxy labels laid over them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import WandbLogger
from typing_extensions import override

__all__ = ["Overlays"]


class Overlays(Callback):
    """Send pictures of chosen images to W&B after each epoch; does nothing without W&B.

    Args:
        key: name on the dashboard.
        images: places in the data set.
        picture: makes the picture of an image, RGB (H, W, 3) uint8.
        once: whether the first epoch's pictures are enough.
    """

    def __init__(
        self,
        key: str,
        images: Sequence[int],
        picture: Callable[[int], NDArray[np.uint8]],
        once: bool = False,
    ) -> None:
        self.key, self.images, self.picture, self.once = key, tuple(images), picture, once

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or (self.once and trainer.current_epoch > 0):
            return
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                pictures = [self.picture(index) for index in self.images]
                logger.log_image(self.key, pictures, step=trainer.global_step)
