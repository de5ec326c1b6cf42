"""The things: car, boat, mushroom and lamp, with random proportions.

Emblems: the car's glazed cabin, the boat's sail, the mushroom's cap and the lamp's shade.
"""

import numpy as np

from oaa_pl.data.synthetic.materials import Colour, Material, hue, jitter
from oaa_pl.data.synthetic.parts import DARK, Part, body_material, common_material, weak_cue
from oaa_pl.data.synthetic.shapes import box, ellipse, limb, smooth

__all__ = ["boat", "car", "lamp", "mushroom"]

_CREAM: Colour = (0.95, 0.92, 0.84)


def car(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A car: cabin with two windows; weak: body, door; common: wheels."""
    roof = float(rng.uniform(-0.66, -0.5))
    rear, front = float(rng.uniform(-0.62, -0.45)), float(rng.uniform(0.25, 0.42))
    steel = Material(jitter(rng, (0.86, 0.87, 0.9), 0.03))
    cabin = [(rear - 0.2, -0.02), (rear, roof), (front, roof), (front + 0.32, -0.02)]
    glass = Material(hue(200, 0.45, 0.95), hue(215, 0.75, 0.5), "stripes", 0.2, 0.7, shine=0.2)
    middle = (rear + front) / 2
    inset = roof + 0.1
    left, right, sill = middle - 0.05, middle + 0.05, -0.06
    windows = [
        [(rear - 0.08, sill), (rear + 0.08, inset), (left, inset), (left, sill)],
        [(right, sill), (right, inset), (front - 0.06, inset), (front + 0.18, sill)],
    ]
    deck = [(-1, 0.4), (-1.02, -0.0), (-0.85, -0.1), (0.75, -0.08), (1.02, 0.08), (1.05, 0.4)]
    door = body_material(rng, 5, "checks", reliability)
    parts = [Part(np.asarray(cabin), steel)]
    parts += [Part(np.asarray(w), glass) for w in windows]
    parts.append(Part(smooth(deck, 1), body_material(rng, 4, "plain", reliability)))
    parts.append(Part(box((middle, 0.15), (0.55, 0.42)), door))
    parts.append(Part(ellipse((0.96, 0.1), (0.07, 0.09)), Material(hue(52, 0.5, 1.0), shine=0.1)))
    return parts + _wheels(rng, 0.44)


def _wheels(rng: np.random.Generator, height: float) -> list[Part]:
    size = float(rng.uniform(0.21, 0.26))
    hub = common_material(rng)
    parts = []
    for x in (-0.56, 0.58):
        parts.append(Part(ellipse((x, height), (size, size)), Material((0.17, 0.17, 0.19))))
        parts.append(Part(ellipse((x, height), (size * 0.5, size * 0.5)), hub))
    return parts


def boat(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A boat: red-barred sail; weak: hull, flag; common: mast, cabin."""
    mast = float(rng.uniform(-0.2, 0.1))
    top = float(rng.uniform(-1.15, -0.95))
    wood = common_material(rng)
    sheet = Material(_CREAM, hue(355, 0.8, 0.8), "stripes", rng.uniform(0.26, 0.34), np.pi / 2)
    lean = float(rng.uniform(0.62, 0.8))
    main = [(mast + 0.08, top + 0.08), (mast + lean, 0.14), (mast + 0.08, 0.14)]
    jib = [(mast - 0.07, top + 0.3), (mast - 0.07, 0.14), (mast - rng.uniform(0.4, 0.55), 0.14)]
    hull = [(-1.0, 0.24), (1.08, 0.2), (0.75, 0.72), (-0.72, 0.72)]
    flag = [(mast, top - 0.2), (mast - 0.36, top - 0.1), (mast, top)]
    parts = [
        Part(limb([(mast, 0.3), (mast, top - 0.2)], [0.05, 0.04]), wood),
        Part(np.asarray(flag), body_material(rng, 6, "plain", reliability)),
        Part(np.asarray(main), sheet),
        Part(np.asarray(jib), sheet),
        Part(smooth(hull, 1), body_material(rng, 6, "stripes", reliability)),
    ]
    holes = [ellipse((x, 0.42), (0.075, 0.075)) for x in (-0.4, 0.0, 0.4)]
    return parts + [Part(hole, Material(DARK, shine=0.1)) for hole in holes]


def mushroom(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A mushroom: spotted cap; weak: stem, ring; common: leaves at its foot."""
    width, height = float(rng.uniform(0.75, 0.95)), float(rng.uniform(0.62, 0.85))
    bend = float(rng.uniform(-0.25, 0.25))
    rim = -0.12
    turn = np.linspace(np.pi, 2 * np.pi, 30)
    arch = np.stack([width * np.cos(turn), rim + height * np.sin(turn)], axis=1)
    under = [(width * 0.92, rim + 0.16), (0.0, rim + 0.24), (-width * 0.92, rim + 0.16)]
    red = jitter(rng, hue(6, 0.85, 0.80), 0.04)
    cap = Material(red, _CREAM, "spots", rng.uniform(0.36, 0.44), rng.uniform(-0.3, 0.3))
    stem = body_material(rng, 7, "plain", reliability)
    parts = [Part(limb([(bend, 0.9), (bend, 0.4), (0, -0.1)], [0.32, 0.2]), stem)]
    parts += _leaves(rng, bend)
    if weak_cue(rng, reliability):
        skirt = [(-0.24, 0.2), (0.24, 0.2), (0.4, 0.44), (-0.36, 0.44)]
        parts.append(Part(np.asarray(skirt), Material(_CREAM, hue(25, 0.4, 0.7), "stripes", 0.12)))
    gills = Material(_CREAM, hue(25, 0.4, 0.65), "stripes", 0.1)
    parts.append(Part(smooth([(-width, rim), *under[::-1], (width, rim)], 2), gills))
    return [*parts, Part(arch, cap)]


def _leaves(rng: np.random.Generator, foot: float) -> list[Part]:
    leaf = common_material(rng)
    parts = []
    for side in (-1, 1):
        angle = float(rng.uniform(0.3, 0.9))
        centre = (foot + side * 0.42, 0.74)
        parts.append(Part(ellipse(centre, (0.36, 0.13), -side * angle), leaf))
    return parts


def lamp(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A lamp: glowing shade with a fringe; weak: foot, chequered column; common: arm."""
    lean = float(rng.uniform(-0.3, 0.3))
    width = float(rng.uniform(1.15, 1.4))
    glow = Material(hue(50, 0.30, 1.0), hue(40, 0.75, 1.0), "checks", 0.22, np.pi / 4, shine=0.2)
    fringe = Material(hue(300, 0.6, 0.45), hue(50, 0.6, 0.95), "stripes", 0.14, shine=0.2)
    shade = box((lean, -0.55), (width, 0.85), rng.uniform(0.4, 0.6))
    hem = box((lean, -0.08), (width * 1.04, 0.16), 0.97)
    knee = (-lean * 0.8, 0.25)
    column = body_material(rng, 5, "checks", reliability)
    foot = body_material(rng, 3, "plain", reliability)
    base = [(-0.55, 0.95), (0.55, 0.95), (0.34, 0.66), (-0.34, 0.66)]
    parts = [Part(limb([(0, 0.72), knee, (lean, -0.2)], [0.15, 0.12]), column)]
    if weak_cue(rng, 0.5):
        chain = limb([(lean + 0.35, 0.0), (lean + 0.35, 0.4)], [0.03, 0.03])
        parts.append(Part(chain, common_material(rng)))
        parts.append(Part(ellipse((lean + 0.35, 0.44), (0.08, 0.08)), common_material(rng)))
    return [*parts, Part(smooth(base, 1), foot), Part(shade, glow), Part(hem, fringe)]
