"""Textured backgrounds, and clutter that does not belong to any class.

Shapes: pictures are (H, W, 3) float32 RGB in [0, 1]; fields are (H, W) float32.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from oaa_pl.data.synthetic.canvas import Canvas, Pose
from oaa_pl.data.synthetic.materials import Material, hue, jitter
from oaa_pl.data.synthetic.parts import Part, common_material
from oaa_pl.data.synthetic.shapes import box, ellipse, limb, smooth

__all__ = ["clutter", "ground", "value_noise"]

Picture = NDArray[np.float32]

# Hue, saturation, value: sky, grass, sand, earth, haze; paler than any object.
_TINTS = (
    (200, 0.30, 0.88),
    (100, 0.30, 0.66),
    (35, 0.25, 0.80),
    (25, 0.28, 0.55),
    (260, 0.12, 0.75),
)


def value_noise(rng: np.random.Generator, shape: tuple[int, int], octaves: int = 4) -> Picture:
    """Smooth noise: random grids of growing fineness, enlarged and summed.

    Args:
        rng: source of the grids.
        shape: height and width.
        octaves: number of grids; each is twice as fine and half as strong as the last.

    Returns:
        Values in [-1, 1], (H, W).
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        cells = 3 * 2**octave
        grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        total += cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.5**octave
    noise: Picture = np.clip(total / 1.6, -1, 1)
    return noise


def ground(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """A muted background of two tinted zones with noise, and sometimes a weave or stripes.

    Args:
        rng: the image's generator.
        shape: height and width.

    Returns:
        The picture, (H, W, 3).
    """
    height, width = shape
    above, below = rng.choice(len(_TINTS), 2, replace=False)
    colours = [np.asarray(jitter(rng, hue(*_TINTS[i])), np.float32) for i in (above, below)]
    horizon = rng.uniform(0.35, 0.9) + 0.06 * value_noise(rng, (1, width), 3)[0]
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    softness = float(rng.choice([0.01, 0.12]))
    share = np.clip((rows - horizon[None]) / softness + 0.5, 0, 1)[..., None]
    picture = colours[0] * (1 - share) + colours[1] * share
    grain = value_noise(rng, shape, 6)[..., None] * rng.uniform(0.06, 0.16)
    tone = value_noise(rng, shape, 2)[..., None] * rng.uniform(-0.08, 0.08, 3)
    mixed: Picture = np.clip(picture + grain + tone + _weave(rng, shape), 0, 1).astype(np.float32)
    return mixed


def _weave(rng: np.random.Generator, shape: tuple[int, int]) -> Picture:
    """A faint regular texture in about half of the images, (H, W, 1)."""
    strength = float(rng.uniform(0.02, 0.06)) if rng.random() < 0.5 else 0.0
    angle, period = rng.uniform(0, np.pi), rng.uniform(9, 24)
    y, x = np.indices(shape, dtype=np.float32)
    wave = np.sin(2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period)
    woven: Picture = (strength * wave)[..., None].astype(np.float32)
    return woven


def clutter(rng: np.random.Generator, canvas: Canvas, amount: int) -> None:
    """Paint pebbles, blades, planks and poles over the background, all with id 0.

    Args:
        rng: the image's generator.
        canvas: painted on.
        amount: number of pieces.
    """
    height, width, _ = canvas.colours.shape
    for _ in range(amount):
        spot = (float(rng.uniform(0, width)), float(rng.uniform(0.2, 1) * height))
        size = float(rng.uniform(0.025, 0.07)) * max(height, width)
        pose = Pose(spot, size, float(rng.uniform(-0.4, 0.4)))
        canvas.paint(_thing(rng), pose, 0)


def _thing(rng: np.random.Generator) -> list[Part]:
    kind = int(rng.integers(4))
    muted = Material(jitter(rng, hue(*_TINTS[int(rng.integers(len(_TINTS)))]), 0.12))
    if kind == 0:
        wobble = rng.uniform(0.7, 1.15, 7)
        turn = np.linspace(0, 2 * np.pi, 7, endpoint=False)
        stone = np.stack([wobble * np.cos(turn), 0.7 * wobble * np.sin(turn)], axis=1)
        return [Part(smooth(stone), muted)]
    if kind == 1:
        green = Material(jitter(rng, hue(100, 0.45, 0.5), 0.1))
        tips = rng.uniform(-0.8, 0.8, 3)
        return [Part(limb([(0, 1), (t / 3, 0), (t, -1.2)], [0.16, 0.04]), green) for t in tips]
    if kind == 2:
        return [Part(box((0, 0), (1.6, 0.6)), muted)]
    toy = common_material(rng)  # clutter in an object's colour
    return [Part(ellipse((0, 0), (0.55, 0.55)), toy)]
