"""Compose one image: background, clutter, and one to three objects, from (seed, split, index).

Shapes: photo (H, W, 3) uint8 RGB; mask (H, W) uint8, 0 background, c + 1 = class c.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.synthetic.animals import bird, cat, fish, giraffe
from oaa_pl.data.synthetic.background import clutter, ground
from oaa_pl.data.synthetic.canvas import SUBPIXELS, Canvas, Pose
from oaa_pl.data.synthetic.parts import Part
from oaa_pl.data.synthetic.things import boat, car, lamp, mushroom
from oaa_pl.errors import ConfigError

__all__ = ["BUILDERS", "CLASSES", "SPLITS", "Scene", "draw_scene"]

Builder = Callable[[np.random.Generator, float], list[Part]]

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "bird": bird,
        "boat": boat,
        "car": car,
        "cat": cat,
        "fish": fish,
        "giraffe": giraffe,
        "lamp": lamp,
        "mushroom": mushroom,
    }
)
CLASSES: tuple[str, ...] = tuple(BUILDERS)

SPLITS = ("train", "val")
_OBJECTS = (0.45, 0.40, 0.15)  # shares of images with one, two and three objects
_SCALES = ((0.30, 0.42), (0.22, 0.29), (0.19, 0.24))  # half a body's length by the longer side
_MIN_PIXELS = 60  # if fewer pixels of an object are visible, the scene is drawn again


@dataclass(frozen=True)
class Scene:
    """One finished image.

    Attributes:
        photo: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, exact.
    """

    photo: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def draw_scene(seed: int, split: str, index: int, long_side: int, reliability: float) -> Scene:
    """Draw one image of a split. The same arguments give the same bytes in any process.

    Args:
        seed: of the data set.
        split: "train" or "val".
        index: of the image in its split, 0 or more.
        long_side: pixels of the longer side.
        reliability: probability of each weak cue of an object, in [0, 1].

    Returns:
        The scene. Every object has at least 60 visible pixels.

    Raises:
        ConfigError: if `split` is neither "train" nor "val".
    """
    if split not in SPLITS:
        raise ConfigError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    short_side = round(long_side * rng.uniform(0.7, 1.0))
    sides = (short_side, long_side) if rng.random() < 0.7 else (long_side, short_side)
    shape = (sides[0] * SUBPIXELS, sides[1] * SUBPIXELS)
    while True:
        canvas = Canvas(ground(rng, shape))
        clutter(rng, canvas, int(rng.integers(2, 8)))
        count = 1 + int(rng.choice(3, p=_OBJECTS))
        kinds = [index % len(CLASSES), *rng.integers(len(CLASSES), size=count - 1).tolist()]
        placed = _place_objects(rng, canvas, kinds, reliability)
        mask = canvas.mask(len(CLASSES) + 1)
        pixels = np.bincount(mask.ravel(), minlength=len(CLASSES) + 1)
        if placed and all(pixels[kind + 1] >= _MIN_PIXELS for kind in kinds):
            return Scene(canvas.photo(), mask)


def _place_objects(
    rng: np.random.Generator, canvas: Canvas, kinds: list[int], reliability: float
) -> bool:
    """Paint objects of the given kinds with little overlap; false if there is no position."""
    height, width, _ = canvas.colours.shape
    reference = min(max(height, width), 1.2 * min(height, width))
    low, high = _SCALES[len(kinds) - 1]
    taken: list[tuple[float, float, float, float]] = []
    for kind in kinds:
        parts = list(BUILDERS.values())[kind](rng, reliability)
        corners = np.concatenate([part.outline for part in parts])
        for _ in range(40):
            scale = float(rng.uniform(low, high)) * reference
            pose = Pose((0.0, 0.0), scale, float(rng.uniform(-0.2, 0.2)), bool(rng.random() < 0.5))
            turned = pose.place(corners)
            least, most = turned.min(axis=0), turned.max(axis=0)
            free = np.asarray([width, height]) * 1.0 - (most - least)
            if (free < 0).any():
                continue
            corner = rng.uniform(0, 1, 2) * free
            area = (*corner, *(corner + most - least))
            if all(_overlap(area, other) < 0.12 for other in taken):
                break
        else:
            return False
        taken.append(area)
        centre = corner - least
        pose = Pose((float(centre[0]), float(centre[1])), scale, pose.angle, pose.flip)
        canvas.paint(parts, pose, kind + 1)
    return True


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Overlap of two boxes (left, top, right, bottom), as a share of the smaller one."""
    across = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    down = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return across * down / min(areas)
