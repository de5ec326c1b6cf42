"""A trained segmenter as a function from photos to labels.

Shapes: H x W pixels of the photo; C foreground classes.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from hydra.utils import instantiate
from numpy.typing import NDArray
from omegaconf import DictConfig

from oaa_pl.errors import ConfigError
from oaa_pl.ids import IGNORED
from oaa_pl.nets.bands import stretched_label
from oaa_pl.nets.checkpoint import load_into
from oaa_pl.nets.inference import SegmentPhoto
from oaa_pl.nets.trunk import trunk_stride
from oaa_pl.prediction.network import for_segmenter, on_device, segmenter_net, without_weights
from oaa_pl.prediction.views import views_of
from oaa_pl.training.precision import as_trained

__all__ = ["LabelPhoto", "label_photo", "segment_photo"]

log = logging.getLogger(__name__)

LabelPhoto = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]

# Values that a CRF gets, H x W x (C + 1): 0.3 GB, and five times as much while it infers. With 21
# labels 3 megapixels; its widths are meant for photos of 500 px.
_CRF_VALUES = 2**26


def segment_photo(cfg: DictConfig, checkpoint: Path, classes: int) -> SegmentPhoto:
    """A trained segmenter as a function of a photo.

    Args:
        cfg: the configuration that it was trained with.
        checkpoint: its file.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
    """
    cfg = as_trained(for_segmenter(cfg), checkpoint.parent)
    views = views_of(cfg)
    net = segmenter_net(without_weights(cfg), classes)
    load_into(net, checkpoint)
    return SegmentPhoto(
        on_device(cfg, net),
        cfg.net.mean,
        cfg.net.std,
        **views,
        multiple=trunk_stride(net),
    )


def label_photo(cfg: DictConfig, checkpoint: Path, classes: int) -> LabelPhoto:
    """A trained segmenter and the configuration's CRF as a function: photo to label (H, W).

    A CRF needs all probabilities at once, so a photo that is large for its number of labels gets
    it at a smaller size, and its label is brought to the photo.

    Args:
        cfg: the configuration that it was trained with.
        checkpoint: its file.
        classes: C.

    Raises:
        WeightsError: if the checkpoint is missing, damaged, or of another network.
        ConfigError: if the CRF's extra is not installed, or there are more classes than ids.
    """
    segment, crf = segment_photo(cfg, checkpoint, classes), instantiate(cfg.crf)
    if classes > IGNORED - 1:
        raise ConfigError(f"a label map holds {IGNORED - 1} classes at most, got {classes}")
    if str(cfg.crf._target_).endswith(".no_crf"):
        return segment.label

    def label(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
        size = photo.shape[0], photo.shape[1]
        smaller = _within(size, classes + 1)
        if smaller != size:
            log.info("the CRF of %d x %d px is computed at %d x %d px", *size[::-1], *smaller[::-1])
            shrunk = cv2.resize(photo, smaller[::-1], interpolation=cv2.INTER_AREA)
            refined = crf(shrunk.astype(np.uint8, copy=False), segment(photo, smaller).numpy())
            return stretched_label(torch.from_numpy(refined), size)
        refined = crf(photo, segment(photo).numpy())
        ids: NDArray[np.uint8] = refined.argmax(axis=0).astype(np.uint8)
        return ids

    return label


def _within(size: tuple[int, int], labels: int) -> tuple[int, int]:
    """The size at which a CRF of so many labels is computed: the photo's, or one that it can."""
    height, width = size
    if height * width * labels <= _CRF_VALUES:
        return size
    factor = (_CRF_VALUES / (height * width * labels)) ** 0.5
    return max(1, int(height * factor)), max(1, int(width * factor))
