"""A part of an object, and the draws that make parts class-specific, weakly so, or shared.

This is where the data set poses the paper's problem. Every class has one *emblem* (a head, a
sail, a cap) that is its own in shape and texture. Its other parts take a *weak cue*: the
class's favourite material in a share of the objects, otherwise one drawn from what all classes
use. Legs, wheels and stems always come from the common stock. A tag classifier needs the emblem;
while it learns, and on images where the emblem is small, it also leans on the weak cues.
"""

from dataclasses import dataclass

import numpy as np

from oaa_pl.data.synthetic.materials import Colour, Material, Pattern, hue, jitter
from oaa_pl.data.synthetic.shapes import Outline

__all__ = ["COMMON_COLOURS", "DARK", "Part", "body_material", "common_material", "weak_cue"]

DARK: Colour = (0.12, 0.10, 0.12)

COMMON_COLOURS: tuple[Colour, ...] = (
    hue(28, 0.80, 0.92),  # orange
    hue(212, 0.75, 0.85),  # blue
    hue(172, 0.75, 0.75),  # teal
    hue(44, 0.65, 0.92),  # ochre
    hue(355, 0.80, 0.85),  # red
    hue(285, 0.45, 0.72),  # violet
    hue(90, 0.60, 0.72),  # green
    hue(330, 0.45, 0.92),  # pink
)
"""The colours of bodies; a class prefers one of them, all classes use all of them."""

_PATTERNS: tuple[Pattern, ...] = ("plain", "stripes", "spots", "checks", "scales", "patches")


@dataclass(frozen=True)
class Part:
    """One painted outline of an object.

    Attributes:
        outline: in the object's frame, (N, 2).
        material: its surface.
        rim: darken the border, so that neighbouring parts stay apart.
    """

    outline: Outline
    material: Material
    rim: bool = True


def weak_cue(rng: np.random.Generator, reliability: float) -> bool:
    """Whether an object shows one of its class's weak cues; drawn for each cue on its own."""
    return bool(rng.random() < reliability)


def common_material(rng: np.random.Generator) -> Material:
    """A material that any class may be made of."""
    colour = COMMON_COLOURS[int(rng.integers(len(COMMON_COLOURS)))]
    return Material(jitter(rng, colour))


def body_material(
    rng: np.random.Generator, favourite: int, pattern: Pattern, reliability: float
) -> Material:
    """The material of a weakly specific part: two independent cues, its colour and its pattern.

    Args:
        rng: the object's generator.
        favourite: the class's colour, a position in `COMMON_COLOURS`.
        pattern: the class's pattern.
        reliability: probability of each cue, in [0, 1]; failing it, the common stock is used.

    Returns:
        The material, with an accent darker or lighter than its base.
    """
    stock = int(rng.integers(len(COMMON_COLOURS)))
    colour = jitter(rng, COMMON_COLOURS[favourite if weak_cue(rng, reliability) else stock])
    stock_pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
    kind = pattern if weak_cue(rng, reliability) else stock_pattern
    level = float(rng.choice([0.62, 1.3]))
    red, green, blue = np.clip(np.asarray(colour) * level, 0, 1).tolist()
    period, angle = float(rng.uniform(0.2, 0.3)), float(rng.uniform(0, np.pi))
    return Material(colour, (red, green, blue), kind, period, angle)
