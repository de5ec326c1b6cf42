"""Materials of object parts: two colours and a pattern that moves with the object.

Shapes: colours are (3,) float64 RGB in [0, 1]; fields of n points are (n,) and (n, 3).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Colour", "Material", "Pattern", "hue", "jitter", "material_colours"]

Colour = tuple[float, float, float]
Pattern = Literal["plain", "stripes", "spots", "patches", "checks", "scales"]
Field = NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """The surface of a part.

    Attributes:
        colour: base colour, RGB in [0, 1].
        accent: colour of the pattern, RGB in [0, 1]; unused by "plain".
        pattern: pattern in the accent colour.
        period: length of one repeat, in the object's frame.
        angle: direction of the pattern, in radians.
        shine: strength of the shading, 0 (flat) to 1.
    """

    colour: Colour
    accent: Colour = (1.0, 1.0, 1.0)
    pattern: Pattern = "plain"
    period: float = 0.2
    angle: float = 0.0
    shine: float = 0.6


def hue(degrees: float, saturation: float, value: float) -> Colour:
    """RGB of a colour given by hue in degrees, saturation and value in [0, 1].

    Examples:
        >>> hue(0, 1, 1), hue(120, 0.5, 1)
        ((1.0, 0.0, 0.0), (0.5, 1.0, 0.5))
    """
    sector = np.asarray([5.0, 3.0, 1.0]) + degrees / 60
    dip = np.clip(np.minimum(sector % 6, 4 - sector % 6), 0, 1)
    red, green, blue = (value - value * saturation * dip).tolist()
    return (red, green, blue)


def jitter(rng: np.random.Generator, colour: Colour, spread: float = 0.06) -> Colour:
    """A colour near `colour`: each channel moved by at most `spread`, brightness by as much."""
    moved = np.asarray(colour) + rng.uniform(-spread, spread, 3) + rng.uniform(-spread, spread)
    red, green, blue = np.clip(moved, 0, 1).tolist()
    return (red, green, blue)


def material_colours(material: Material, x: Field, y: Field) -> Field:
    """The colour of a material at points of the object's frame.

    Args:
        material: the surface.
        x: horizontal coordinates, (n,).
        y: vertical coordinates, (n,).

    Returns:
        RGB in [0, 1], (n, 3).
    """
    base = np.asarray(material.colour)
    if material.pattern == "plain":
        return np.broadcast_to(base, (x.size, 3)).copy()
    share = _accent_share(material, x, y)[:, None]
    mixed: Field = base * (1 - share) + np.asarray(material.accent) * share
    return mixed


def _accent_share(material: Material, x: Field, y: Field) -> Field:
    """Share of the accent colour, in [0, 1], (n,)."""
    cos, sin = np.cos(material.angle), np.sin(material.angle)
    u = (cos * x + sin * y) / material.period
    v = (cos * y - sin * x) / material.period
    if material.pattern == "stripes":
        return _soft_step(np.cos(2 * np.pi * u))
    if material.pattern == "checks":
        return _soft_step(2 * np.cos(np.pi * u) * np.cos(np.pi * v))
    if material.pattern == "spots":
        shifted = u + 0.5 * (np.floor(v) % 2)  # every second row moved by half a spot
        far = np.hypot(shifted % 1 - 0.5, v % 1 - 0.5)
        return _soft_step(4 * (0.3 - far))
    if material.pattern == "scales":
        shifted = u + 0.5 * (np.floor(v) % 2)
        rim = np.hypot(shifted % 1 - 0.5, v % 1) - 0.6
        line: Field = np.clip(1 - np.abs(rim) / 0.16, 0, 1)
        return line
    return _soft_step(4 * (_cell_gap(u, v) - 0.16))  # patches


def _soft_step(level: Field) -> Field:
    share: Field = np.clip(0.5 + 2.5 * level, 0, 1)
    return share


def _cell_gap(u: Field, v: Field) -> Field:
    """Distance to the second nearest minus the nearest of jittered grid points, (n,).

    The grid points move by a fixed hash of their cell, so the pattern needs no random state.
    """
    column, row = np.floor(u), np.floor(v)
    gaps = []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            i, j = column + right, row + down
            wobble = np.sin(i * 127.1 + j * 311.7) * 43758.5
            drift = np.sin(i * 269.5 + j * 183.3) * 24634.6
            centre_u = i + 0.5 + 0.4 * (wobble - np.floor(wobble) - 0.5) * 2
            centre_v = j + 0.5 + 0.4 * (drift - np.floor(drift) - 0.5) * 2
            gaps.append(np.hypot(u - centre_u, v - centre_v))
    nearest = np.partition(np.stack(gaps), 1, axis=0)
    return np.asarray(nearest[1] - nearest[0], dtype=np.float64)
