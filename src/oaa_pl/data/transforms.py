"""Augment a photo, and compute the view: the affine map from the photo to the network's input.

Any list of albumentations' transforms works if their geometry is affine.

Shapes: photos (H, W, 3) uint8 RGB; network inputs (3, h, w) float32; views (2, 3) float32, from
whole-photo coordinates to view coordinates, both in [-1, 1] from edge to edge.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, NamedTuple

import albumentations as A  # as its own manual abbreviates it
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from oaa_pl.data.geometry import MOVES, STAYS, Matrix, warp_label
from oaa_pl.errors import ConfigError, NonAffineTransformError
from oaa_pl.ids import IGNORED
from oaa_pl.types import Purpose

__all__ = ["View", "ViewTransform"]

_LOG = "drawn_moves"
_COMPOSITIONS = (A.Compose, A.Sequential, A.OneOf, A.SomeOf, A.RandomOrder, A.OneOrOther)
_RESIZES = (A.Resize, A.LongestMaxSize, A.SmallestMaxSize)
_NORMALISERS = (A.Normalize, A.ToFloat, A.FromFloat, A.ToTensorV2)


class View(NamedTuple):
    """One sample as the network sees it.

    Attributes:
        image: normalised, (3, h, w) float32.
        view: whole-photo coordinates to view coordinates, (2, 3) float32.
        target: class ids, 255 outside the photo, (h, w) int64; None without a label.
    """

    image: Tensor
    view: Tensor
    target: Tensor | None


class ViewTransform:
    """Augment and normalise a photo, and return its exact affine view.

    The label map does not go through albumentations. It is sampled with the view, so that the two
    agree. It is 255 (ignored) where the network sees padding.

    Args:
        augmentations: albumentations' transforms in order. They must end at one size, so that
            batches can be stacked. `fill_mask` must not be 1.
        mean: of the network's input, per channel, for pixel values in 0..1.
        std: of the network's input, per channel, above 0.

    Raises:
        NonAffineTransformError: if an augmentation (nested ones too) moves pixels in a way that is
            not affine or not known.
        ConfigError: if `mean` or `std` are not three numbers, or an augmentation has an unknown
            argument, normalises (this class does it), or needs more than the photo.
    """

    def __init__(
        self, augmentations: Sequence[Any], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:  # RGB
            raise ConfigError(
                f"mean and std must be 3 numbers, std above 0, got {list(mean)} and {list(std)}"
            )
        self._scale = torch.tensor([1 / (255 * s) for s in std]).view(3, 1, 1)
        self._offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(3, 1, 1)
        self._moves: list[A.BasicTransform] = []
        for transform in _leaves(augmentations):
            _check(transform)
            if type(transform) in MOVES:
                # Albumentations' replay mechanism: each run writes its random values to the log.
                transform.set_deterministic(True, save_key=_LOG)
                self._moves.append(transform)
        fixed = list(takewhile(_is_fixed, augmentations))
        self._resizes = A.Compose(fixed)
        self._pipeline = A.Compose(list(augmentations[len(fixed) :]))

    def augment(
        self, photo: NDArray[Any], seed: Sequence[int]
    ) -> tuple[NDArray[Any], Matrix, NDArray[np.bool_]]:
        """Augment without normalising.

        Args:
            photo: (H, W, 3) uint8 RGB, or float32 in [0, 1].
            seed: whole numbers, 0 or more. The result depends only on them and the photo.

        Returns:
            The augmented photo (h, w, 3) in the same dtype, its view (3, 3) float64, and whether a
            pixel is photo (not padding), (h, w) bool.
        """
        return self._augment(self.resized(photo), seed)

    def _augment(
        self, resized: NDArray[Any], seed: Sequence[int]
    ) -> tuple[NDArray[Any], Matrix, NDArray[np.bool_]]:
        generator = np.random.default_rng([Purpose.AUGMENTATION, *seed])
        # By default albumentations seeds all transforms equally, and draws would be correlated.
        self._pipeline.set_random_state(generator, random.Random(int(generator.integers(2**63))))
        log = _Log()
        ones = np.ones(resized.shape[:2], dtype=np.uint8)
        seen = self._pipeline(image=resized, mask=ones, **{_LOG: log})
        # Look up ids at each call: after unpickling in a worker, the transforms are new objects.
        known = {id(transform): MOVES[type(transform)] for transform in self._moves}
        view = np.eye(3)
        for key, params in log.entries:
            view = known[key](params) @ view
        return seen["image"], view, seen["mask"] == 1

    def __call__(
        self, photo: NDArray[np.uint8], seed: Sequence[int], label: NDArray[np.uint8] | None = None
    ) -> View:
        """Augment and normalise a photo, and warp its label map to the same view.

        Args:
            photo: (H, W, 3) uint8 RGB.
            seed: whole numbers, 0 or more; (seed, epoch, index) in training.
            label: class ids of the whole photo in {0..C, 255}, any resolution; None: no target.

        Returns:
            Image, view and target.

        Raises:
            ConfigError: if the augmentations do not return 8-bit RGB.
        """
        return self.of_resized(self.resized(photo), seed, label)

    def resized(self, photo: NDArray[Any]) -> NDArray[Any]:
        """A photo after the resizes that the augmentations begin with: the same for every seed.

        Args:
            photo: (H, W, 3) uint8 RGB, or float32 in [0, 1].

        Returns:
            The resized photo, (h, w, 3) in the same dtype; the photo itself, if the augmentations
            do not begin with a resize to a fixed size.
        """
        resized: NDArray[Any] = self._resizes(image=photo)["image"]
        return resized

    def of_resized(
        self,
        resized: NDArray[np.uint8],
        seed: Sequence[int],
        label: NDArray[np.uint8] | None = None,
    ) -> View:
        """The same as a call with the photo, for who kept its `resized` pixels.

        Args:
            resized: what `resized` returned, (h, w, 3) uint8. It may be changed.
            seed: as in a call.
            label: as in a call: of the whole photo, any resolution.

        Returns:
            Image, view and target.

        Raises:
            ConfigError: if the augmentations do not return 8-bit RGB.
        """
        image, view, shown = self._augment(resized, seed)
        if image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise ConfigError(
                f"the augmentations gave a picture of shape {image.shape} and type {image.dtype}, "
                "expected (h, w, 3) uint8: leave out augmentations that normalise or drop channels"
            )
        pixels = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        target = None
        if label is not None:
            # After a crop and padding, the view covers photo where the network sees padding.
            seen = np.where(shown, warp_label(label, view, shown.shape), IGNORED)
            target = torch.from_numpy(seen.astype(np.int64))
        return View(
            image=torch.addcmul(self._offset, pixels.float(), self._scale),
            view=torch.from_numpy(view[:2].astype(np.float32)),
            target=target,
        )


class _Log(dict[int, Mapping[str, Any]]):
    """Keep all entries in order. In a plain dict, a transform drawn twice would count once."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[int, Mapping[str, Any]]] = []

    @override
    def __setitem__(self, key: int, params: Mapping[str, Any]) -> None:
        self.entries.append((key, params))


def _leaves(transforms: Sequence[Any]) -> Iterator[Any]:
    for transform in transforms:
        if type(transform) in _COMPOSITIONS:
            yield from _leaves(transform.transforms)
        else:
            yield transform


def _is_fixed(transform: Any) -> bool:
    """Whether it resizes every time to the same size: a list of sizes is one to draw from."""
    size = getattr(transform, "max_size", None)
    return type(transform) in _RESIZES and transform.p >= 1 and not isinstance(size, (list, tuple))


def _check(transform: Any) -> None:
    name = type(transform).__name__
    if isinstance(transform, _NORMALISERS):
        raise ConfigError(f"{name} must be removed: normalisation follows the augmentations")
    known = type(transform) in MOVES or type(transform) in STAYS
    if not known and not isinstance(transform, A.ImageOnlyTransform):
        affine = ", ".join(sorted(t.__name__ for t in (*MOVES, *STAYS)))
        raise NonAffineTransformError(
            f"{name} moves pixels in a way that is not known to be affine, so attention could not "
            f"be brought back to the photo: use augmentations that only change colours, or {affine}"
        )
    if transform.invalid_args:
        raise ConfigError(f"{name} knows no argument {', '.join(transform.invalid_args)}")
    if transform.targets_as_params:
        raise ConfigError(f"{name} needs {', '.join(transform.targets_as_params)}: leave it out")
