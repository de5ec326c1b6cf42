"""A trained segmenter: photos to masks.

What segmenting needs (torch, Hydra, OpenCV and more) is imported when a segmenter is loaded.

Shapes: H x W pixels of a photo; C foreground classes.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.errors import MissingInputError

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from PIL import Image

    from oaa_pl.stages.trained import LabelPhoto

    Photo = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]

__all__ = ["Predictor"]

Recorded = Literal["recorded"]

Mask = NDArray[np.uint8]


class Predictor:
    """A trained segmenter as a function: a photo to its mask, a list of photos to their masks.

    Args:
        label: a photo (H, W, 3) to its mask (H, W).
        classes: names of the foreground classes; a mask has 0 for background and c + 1 for class c.

    Example:
        >>> predictor = Predictor.load("runs/photos/seed-0/segmenter/oaa_max")  # doctest: +SKIP
        >>> mask = predictor("beach.jpg")  # doctest: +SKIP
        >>> predictor.classes[mask.max() - 1]  # doctest: +SKIP
        'dog'
    """

    def __init__(self, label: "LabelPhoto", classes: Sequence[str]) -> None:
        self._label = label
        self.classes = tuple(classes)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        size: int | Recorded | None = "recorded",
        keep_shape: bool | Recorded = "recorded",
        scales: Sequence[float] | Recorded = "recorded",
        flip: bool | Recorded = "recorded",
        crf: str = "recorded",
        device: str = "recorded",
        allow: Sequence[str] = (),
    ) -> Self:
        """Load a segmenter from its folder, wherever it is now.

        The folder may come from a stranger: nothing in its files is executed, and its record may
        ask for our networks only.

        Args:
            folder: of the segmenter: `last.ckpt`, `config.yaml` and `stage.json`; or the path of
                its checkpoint.
            size: side in pixels that a photo is brought to; None: the photo's own size.
            keep_shape: whether `size` is the photo's long side, instead of a square's.
            scales: input scales, each above 0, whose answers are averaged.
            flip: whether to average with the mirrored photo.
            crf: "none", or "release" for the authors' dense CRF (`pip install 'oaa_pl[crf]'`).
            device: "cpu", "cuda" or "auto". If recorded: that of the training, or the CPU.
            allow: packages or modules of your own whose networks the record may ask for.

        Raises:
            MissingInputError: if the checkpoint, or a file beside it, does not exist.
            WeightsError: if the checkpoint is damaged, or of another network.
            ConfigError: if the folder is not a segmenter's, its record asks for other code, or a
                value is not one of those above.
        """
        from oaa_pl.callbacks.resumable import LAST
        from oaa_pl.config.compose import compose_group
        from oaa_pl.config.recipe import plain
        from oaa_pl.files.home import expanded_path
        from oaa_pl.prediction.recorded import recorded_segmenter
        from oaa_pl.prediction.views import require_device, seen
        from oaa_pl.runs.recorded import require_known
        from oaa_pl.stages.views import views_of

        path = expanded_path(os.fspath(folder))
        checkpoint = path / LAST if path.is_dir() else path
        if not checkpoint.is_file():
            raise MissingInputError(
                f"{checkpoint} does not exist; give the folder of a segmenter, which 'oaa fit "
                "stage=segmenter' makes"
            )
        recorded, classes = recorded_segmenter(checkpoint, allow)
        asked: dict[str, Any] = {
            "size": size,
            "keep_shape": keep_shape,
            "scales": list(scales) if isinstance(scales, tuple) else scales,
            "flip": flip,
        }
        views = {key: value for key, value in asked.items() if value != "recorded"}
        named_crf = None if crf == "recorded" else plain(compose_group("crf", crf))
        trainer = {} if device == "recorded" else {"accelerator": device}
        cfg = seen(recorded, views, named_crf, trainer)
        views_of(cfg, called="")
        if trainer:
            require_device(device, called="device")
        if named_crf is None:
            require_known(cfg.crf, checkpoint.parent / "config.yaml", allow)
        return cls.of(cfg, checkpoint, classes)

    @classmethod
    def of(cls, cfg: "DictConfig", checkpoint: Path, classes: Sequence[str]) -> Self:
        """A segmenter by the configuration that it was trained with.

        Args:
            cfg: that configuration, perhaps with other views, another CRF or another device.
            checkpoint: its file.
            classes: names of the foreground classes.

        Raises:
            WeightsError: if the checkpoint is missing, damaged, or of another network.
            ConfigError: if the CRF's extra is not installed, or there are more classes than ids.
        """
        from oaa_pl.stages.configured import Configured
        from oaa_pl.stages.trained import label_photo

        segmenting = Configured(cfg).segmenting
        return cls(label_photo(segmenting, checkpoint, len(classes)), classes)

    @overload
    def __call__(self, photos: "Photo") -> Mask: ...
    @overload
    def __call__(self, photos: "list[Photo] | tuple[Photo, ...]") -> list[Mask]: ...
    def __call__(self, photos: "Photo | list[Photo] | tuple[Photo, ...]") -> Mask | list[Mask]:
        """Segment a photo, or each photo of a list.

        Args:
            photos: an image file, a Pillow image or an RGB array (H, W, 3) uint8; or a list of
                these.

        Returns:
            A mask (H, W) with ids 0..C, of the photo's size; or a list of masks.

        Raises:
            MissingImageError: if a file does not exist.
            BadImageError: if a file or an image cannot be read.
            ShapeError: if a photo is something else, or an array of another shape or type.
        """
        from oaa_pl.prediction.photo import photo_of

        if isinstance(photos, list | tuple):
            return [self._label(photo_of(photo)) for photo in photos]
        return self._label(photo_of(photos))

    @override
    def __repr__(self) -> str:
        return f"Predictor({', '.join(self.classes)})"
