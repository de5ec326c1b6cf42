"""Parts of objects, and random choices that make them specific to a class, weakly so, or common.

These choices create the paper's problem. Every class has one *emblem* (a head, a sail, a cap) with
its own shape and texture. Other parts are a *weak cue*: with some probability they have the class's
favourite material, otherwise a random common material. Legs, wheels and stems always have a common
material. A classifier needs the emblem. While it learns, and where the emblem is small, it also
uses the weak cues.
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
        rim: darken the border, so that neighbouring parts stay visible.
    """

    outline: Outline
    material: Material
    rim: bool = True


def weak_cue(rng: np.random.Generator, reliability: float) -> bool:
    """Draw whether an object has a weak cue of its class; independent for each cue."""
    return bool(rng.random() < reliability)


def common_material(rng: np.random.Generator) -> Material:
    """A random material that all classes use."""
    colour = COMMON_COLOURS[int(rng.integers(len(COMMON_COLOURS)))]
    return Material(jitter(rng, colour))


def body_material(
    rng: np.random.Generator, favourite: int, pattern: Pattern, reliability: float
) -> Material:
    """The material of a part with two independent weak cues, colour and pattern.

    Args:
        rng: the object's generator.
        favourite: the class's colour, a position in `COMMON_COLOURS`.
        pattern: the class's pattern.
        reliability: probability of each cue, in [0, 1]; without the cue, a common value is drawn.

    Returns:
        The material. Its accent is darker or lighter than its base.
    """
    stock = int(rng.integers(len(COMMON_COLOURS)))
    colour = jitter(rng, COMMON_COLOURS[favourite if weak_cue(rng, reliability) else stock])
    stock_pattern = _PATTERNS[int(rng.integers(len(_PATTERNS)))]
    kind = pattern if weak_cue(rng, reliability) else stock_pattern
    level = float(rng.choice([0.62, 1.3]))
    red, green, blue = np.clip(np.asarray(colour) * level, 0, 1).tolist()
    period, angle = float(rng.uniform(0.2, 0.3)), float(rng.uniform(0, np.pi))
    return Material(colour, (red, green, blue), kind, period, angle)
