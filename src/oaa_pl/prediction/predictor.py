"""A trained segmenter: photos to masks and confidence.

What segmenting needs (torch, Hydra, OpenCV and more) is imported when a segmenter is loaded.

Shapes: H x W pixels of a photo; C foreground classes.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from oaa_pl.errors import ConfigError, MissingInputError
from oaa_pl.nets.spans import TILE

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from PIL import Image

    from oaa_pl.stages.refined import Prediction, RefinedSegmenter

    Photo = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]

__all__ = ["Predictor"]

Recorded = Literal["recorded"]

Mask = NDArray[np.uint8]
Confidence = NDArray[np.float32]

# On a CPU a batch gains little, and a mask alone does not depend on other photos by one bit.
_BATCH = {"cpu": 1}
_BATCH_OF_GPU = 8


class Predictor:
    """A trained segmenter as a function: a photo to its mask, a list of photos to their masks.

    Args:
        segmenter: photos (H, W, 3) of any sizes to their masks and confidence.
        classes: names of the foreground classes; a mask has 0 for background and c + 1 for class c.
        batch_size: photos in memory at a time; those whose network inputs have the same size are
            computed together. None: 1 on a CPU, else 8.

    Raises:
        ConfigError: if `batch_size` is not a positive whole number.

    Examples:
        >>> folder = "runs/photos/seed-0/segmenter/oaa_max-frozen_head"
        >>> predictor = Predictor.load(folder)  # doctest: +SKIP
        >>> mask = predictor("beach.jpg")  # doctest: +SKIP
        >>> predictor.classes[mask.max() - 1]  # doctest: +SKIP
        'dog'
        >>> masks, confidence = predictor(["a.jpg", "b.jpg"], confidence=True)  # doctest: +SKIP
    """

    def __init__(
        self, segmenter: "RefinedSegmenter", classes: Sequence[str], batch_size: int | None = None
    ) -> None:
        if batch_size is None:
            batch_size = _BATCH.get(segmenter.segment.device.type, _BATCH_OF_GPU)
        if type(batch_size) is not int or batch_size < 1:
            raise ConfigError(
                f"batch_size must be a whole number of photos, 1 or more, or null for the "
                f"device's own, got {batch_size!r}"
            )
        self._segmenter = segmenter
        self.classes = tuple(classes)
        self.batch_size = batch_size

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
        tile: int | None = TILE,
        batch_size: int | None = None,
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
            device: "cpu", "cuda", "mps" or "auto". If recorded: that of the training, or the CPU.
            tile: longest side in pixels of what the network gets at once. A larger input is cut
                into overlapping tiles, which bounds memory; None: never.
            batch_size: photos in memory at a time; None: 1 on a CPU, else 8.
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
        from oaa_pl.prediction.views import seen
        from oaa_pl.runs.recorded import require_known
        from oaa_pl.stages.views import views_of
        from oaa_pl.training.device import require_device

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
        return cls.of(cfg, checkpoint, classes, tile=tile, batch_size=batch_size)

    @classmethod
    def of(
        cls,
        cfg: "DictConfig",
        checkpoint: Path,
        classes: Sequence[str],
        *,
        tile: int | None = TILE,
        batch_size: int | None = None,
    ) -> Self:
        """A segmenter by the configuration that it was trained with.

        Args:
            cfg: that configuration, perhaps with other views, another CRF or another device.
            checkpoint: its file.
            classes: names of the foreground classes.
            tile: longest side in pixels of what the network gets at once; None: any.
            batch_size: photos in memory at a time; None: 1 on a CPU, else 8.

        Raises:
            WeightsError: if the checkpoint is missing, damaged, or of another network.
            ConfigError: if the CRF's extra is not installed, there are more classes than ids, or
                `tile` or `batch_size` is not a positive whole number.
        """
        from oaa_pl.stages.configured import Configured
        from oaa_pl.stages.trained import refined_segmenter

        segmenting = replace(Configured(cfg).segmenting, tile=tile)
        segmenter = refined_segmenter(segmenting, checkpoint, len(classes))
        return cls(segmenter, classes, batch_size)

    @overload
    def __call__(self, photos: "Photo", *, confidence: Literal[False] = False) -> Mask: ...
    @overload
    def __call__(self, photos: "Photo", *, confidence: Literal[True]) -> "Prediction": ...
    @overload
    def __call__(
        self, photos: "list[Photo] | tuple[Photo, ...]", *, confidence: Literal[False] = False
    ) -> list[Mask]: ...
    @overload
    def __call__(
        self, photos: "list[Photo] | tuple[Photo, ...]", *, confidence: Literal[True]
    ) -> tuple[list[Mask], list[Confidence]]: ...
    def __call__(
        self, photos: "Photo | list[Photo] | tuple[Photo, ...]", *, confidence: bool = False
    ) -> "Mask | list[Mask] | Prediction | tuple[list[Mask], list[Confidence]]":
        """Segment a photo, or each photo of a list.

        Args:
            photos: an image file, a Pillow image or an RGB array (H, W, 3) uint8; or a list of
                these. For more photos than fit into memory use `each`.
            confidence: whether to return the probability of each pixel's id as well.

        Returns:
            A mask (H, W) with ids 0..C, of the photo's size; or a list of masks. With
            `confidence`, two values: the mask and its confidence (H, W) float32 in (0, 1]; or the
            list of masks and the list of confidences.

        Raises:
            MissingImageError: if a file does not exist.
            BadImageError: if a file or an image cannot be read.
            ShapeError: if a photo is something else, or an array of another shape or type.
        """
        several = isinstance(photos, list | tuple)
        given = list(photos) if isinstance(photos, list | tuple) else [photos]
        if confidence:
            found = list(self.each(given))
            if not several:
                return found[0]
            return [one.mask for one in found], [one.confidence for one in found]
        masks = [mask for batch in self._batches(given) for mask in self._segmenter.masks(batch)]
        return masks if several else masks[0]

    def each(self, photos: "Iterable[Photo]") -> "Iterator[Prediction]":
        """Segment photos one after the other, with `batch_size` of them in memory at a time.

        Args:
            photos: image files, Pillow images or arrays, as above; perhaps a generator.

        Yields:
            Mask and confidence of each photo, in their order.

        Raises:
            MissingImageError, BadImageError, ShapeError: as above, at the photo's batch.
        """
        for batch in self._batches(photos):
            yield from self._segmenter.predictions(batch)

    def _batches(self, photos: "Iterable[Photo]") -> Iterator[list[NDArray[np.uint8]]]:
        from oaa_pl.prediction.photo import photo_of

        rest = iter(photos)
        while batch := [photo_of(photo) for photo in islice(rest, self.batch_size)]:
            yield batch

    @override
    def __repr__(self) -> str:
        return f"Predictor({', '.join(self.classes)})"
