"""The animals: cat, bird, fish and giraffe, facing right, with random pose and proportions.

Emblems: the cat's and the giraffe's head, the bird's head with its beak, the fish's face.
"""

import numpy as np

from oaa_pl.data.synthetic.materials import Colour, Material, hue, jitter
from oaa_pl.data.synthetic.parts import DARK, Part, body_material, common_material, weak_cue
from oaa_pl.data.synthetic.shapes import Point, ellipse, limb, mirrored, smooth

__all__ = ["bird", "cat", "fish", "giraffe"]

_WHITE: Colour = (0.97, 0.96, 0.93)


def cat(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A cat: round head with pointed ears and a striped brow; weak: body, ringed tail."""
    body = body_material(rng, 0, "stripes", reliability)
    legs = common_material(rng)
    tail_top = (-1.05 + rng.uniform(-0.1, 0.15), rng.uniform(-0.75, -0.1))
    tail_bend = (-1.15, rng.uniform(0.1, 0.4))
    parts = [Part(limb([(-0.6, 0.2), tail_bend, tail_top], [0.13, 0.09]), _tail(rng, reliability))]
    parts += _legs(rng, legs, hips=(-0.5, 0.38), top=0.3, foot=0.88, width=0.12)
    parts.append(Part(ellipse((-0.12, 0.2), (0.66, rng.uniform(0.3, 0.38))), body))
    return parts + _cat_head(rng, (0.58, rng.uniform(-0.3, -0.1)), rng.uniform(0.40, 0.47))


def _tail(rng: np.random.Generator, reliability: float) -> Material:
    if not weak_cue(rng, reliability):
        return common_material(rng)
    return Material(hue(30, 0.25, 0.9), hue(20, 0.6, 0.3), "stripes", 0.24, rng.uniform(1.0, 2.0))


def _cat_head(rng: np.random.Generator, centre: Point, size: float) -> list[Part]:
    x, y = centre
    fur = Material(
        jitter(rng, (0.60, 0.58, 0.60)), (0.24, 0.22, 0.24), "stripes", 0.21 * size / 0.4
    )
    pink = Material((0.95, 0.62, 0.66), shine=0.2)
    ear = np.asarray([(-0.98, -0.15), (-0.92, -1.25), (-0.22, -0.82)]) * size
    inner = (ear - ear.mean(axis=0)) * 0.5 + ear.mean(axis=0)
    place = np.asarray(centre)
    parts = [Part(e + place, fur) for e in (ear, mirrored(ear))]
    parts += [Part(e + place, pink, rim=False) for e in (inner, mirrored(inner))]
    parts.append(Part(ellipse(centre, (size, size * 0.86)), fur))
    muzzle = Material(_WHITE, shine=0.2)
    parts.append(Part(ellipse((x, y + 0.42 * size), (0.5 * size, 0.32 * size)), muzzle, rim=False))
    green = Material(hue(rng.uniform(70, 110), 0.75, 0.9), shine=0.1)
    for side in (-1, 1):
        eye = (x + side * 0.42 * size, y - 0.08 * size)
        parts.append(Part(ellipse(eye, (0.22 * size, 0.24 * size)), green))
        parts.append(Part(ellipse(eye, (0.08 * size, 0.21 * size)), Material(DARK), rim=False))
    nose = np.asarray([(-0.14, 0.24), (0.14, 0.24), (0.0, 0.42)]) * size + place
    return [*parts, Part(nose, pink)]


def _legs(
    rng: np.random.Generator, skin: Material, hips: Point, top: float, foot: float, width: float
) -> list[Part]:
    """Four legs, the far pair first, swinging about two hips."""
    parts = []
    for near in (False, True):
        for hip in hips:
            start = hip + (0.0 if near else 0.13)
            swing = float(rng.uniform(-0.2, 0.2))
            joints = [(start, top), (start + swing * 0.2, (top + foot) / 2), (start + swing, foot)]
            parts.append(Part(limb(joints, [width, width * 0.72]), skin))
    return parts


def bird(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A bird: white-cheeked head with crest and beak; weak: body, wing; common: legs, tail."""
    tilt = float(rng.uniform(-0.35, 0.15))
    legs = Material((0.85, 0.55, 0.2))
    parts = [
        Part(limb([(hip, 0.3), (hip + bend, 0.9)], [0.05, 0.045]), legs)
        for hip, bend in ((-0.12, rng.uniform(-0.15, 0.1)), (0.12, rng.uniform(-0.1, 0.2)))
    ]
    spread = float(rng.uniform(0.14, 0.24))
    tail = [(-0.4, -0.02), (-1.2, 0.12 - spread), (-1.28, 0.2 + spread), (-0.42, 0.3)]
    parts.append(Part(smooth(tail, 1), common_material(rng)))
    belly = body_material(rng, 1, "plain", reliability)
    parts.append(Part(ellipse((0, 0.1), (0.68, rng.uniform(0.38, 0.46)), tilt), belly))
    wing = [(0.3, -0.12), (-0.25, -0.28), (-0.98, rng.uniform(-0.2, 0.2)), (-0.3, 0.38), (0.2, 0.3)]
    feathers = body_material(rng, 5, "scales", reliability)
    parts.append(Part(smooth(wing, 3), feathers))
    return parts + _bird_head(rng, (0.56, rng.uniform(-0.5, -0.36)), rng.uniform(0.34, 0.4))


def _bird_head(rng: np.random.Generator, centre: Point, size: float) -> list[Part]:
    place = np.asarray(centre)
    crown = Material(jitter(rng, (0.16, 0.17, 0.24)), shine=0.5)
    beak = Material(jitter(rng, hue(38, 0.95, 1.0), 0.03), shine=0.5)
    gape = float(rng.uniform(0.0, 0.22))
    upper = np.asarray([(0.7, -0.32), (1.95, 0.1 - gape), (0.75, 0.16)]) * size + place
    lower = np.asarray([(0.7, 0.02), (1.7, 0.16 + gape), (0.66, 0.42)]) * size + place
    crest = [(-0.2, -0.75), (-1.15, -1.5), (-0.45, -1.0), (-0.35, -1.75), (0.4, -0.8)]
    cheek = (centre[0] + 0.12 * size, centre[1] + 0.22 * size)
    eye = (centre[0] + 0.3 * size, centre[1] - 0.15 * size)
    return [
        Part(lower, beak),
        Part(upper, beak),
        Part(np.asarray(crest) * size + place, crown),
        Part(ellipse(centre, (size, size * 0.95)), crown),
        Part(ellipse(cheek, (0.62 * size, 0.48 * size)), Material(_WHITE, shine=0.2), rim=False),
        Part(ellipse(eye, (0.21 * size, 0.21 * size)), Material(hue(48, 0.9, 1.0), shine=0.0)),
        Part(ellipse(eye, (0.1 * size, 0.1 * size)), Material(DARK), rim=False),
    ]


def fish(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A fish: banded face with a big eye; weak: scaly body, striped tail; common: fins."""
    flick = float(rng.uniform(-0.25, 0.25))
    tail = [(-0.5, 0), (-1.15, flick - 0.5), (-0.95, flick), (-1.15, flick + 0.5)]
    fin = common_material(rng)
    back = [(0.25, -0.3), (-0.1, rng.uniform(-0.85, -0.65)), (-0.55, -0.6), (-0.5, -0.15)]
    keel = [(0.1, 0.3), (-0.15, rng.uniform(0.6, 0.8)), (-0.45, 0.55), (-0.35, 0.2)]
    height = float(rng.uniform(0.42, 0.52))
    hull = ellipse((0.08, 0), (0.88, height), points=48)
    face = hull[hull[:, 0] > 0.42]
    face = np.concatenate([face[face[:, 1] > 0], [(0.3, 0.0)], face[face[:, 1] <= 0]])
    order = np.argsort(np.arctan2(face[:, 1], face[:, 0] - 0.5))
    stripes = Material(
        hue(52, 0.85, 1.0), (0.1, 0.1, 0.14), "stripes", 0.19, rng.uniform(-0.2, 0.2)
    )
    eye = (0.66, -0.1)
    pectoral = [(0.2, 0.12), (-0.25, rng.uniform(0.15, 0.5)), (-0.05, 0.02)]
    return [
        Part(smooth(tail, 1), body_material(rng, 3, "stripes", reliability)),
        Part(smooth(back, 1), fin),
        Part(smooth(keel, 1), fin),
        Part(hull, body_material(rng, 2, "scales", reliability)),
        Part(smooth(pectoral, 1), fin),
        Part(face[order], stripes),
        Part(ellipse(eye, (0.15, 0.15)), Material(_WHITE, shine=0.1)),
        Part(ellipse((eye[0] + 0.02, eye[1]), (0.075, 0.075)), Material(DARK), rim=False),
    ]


def giraffe(rng: np.random.Generator, reliability: float) -> list[Part]:
    """A giraffe: head with horns on a patched neck; weak: body in the same coat; common: legs."""
    coat = Material(jitter(rng, hue(42, 0.45, 0.95), 0.03), hue(22, 0.75, 0.45), "patches", 0.3)
    body = coat if weak_cue(rng, reliability) else common_material(rng)
    legs = common_material(rng)
    lean = float(rng.uniform(0.45, 0.8))
    head = (lean + 0.06, float(rng.uniform(-1.2, -1.05)))
    parts = [Part(limb([(-0.55, 0.0), (-0.8, 0.2), (-0.72, 0.5)], [0.05, 0.04]), legs)]
    parts += _legs(rng, legs, hips=(-0.42, 0.2), top=0.15, foot=1.12, width=0.1)
    parts.append(Part(ellipse((-0.12, 0.05), (0.55, rng.uniform(0.26, 0.32)), -0.15), body))
    # Thicker than a real neck: a slim one has too few pixels to change the pooled score.
    parts.append(Part(limb([(0.2, 0.0), (lean - 0.2, -0.4), (lean, head[1])], [0.34, 0.22]), coat))
    return parts + _giraffe_head(head, coat, float(rng.uniform(0.2, 0.5)))


def _giraffe_head(centre: Point, coat: Material, droop: float) -> list[Part]:
    x, y = centre
    horn = Material((0.3, 0.18, 0.1))
    muzzle = (x + 0.32 * np.cos(droop), y + 0.32 * np.sin(droop))
    parts = []
    for side in (-0.1, 0.04):
        tip = x + side - 0.03
        parts.append(Part(limb([(x + side, y - 0.08), (tip, y - 0.32)], [0.04, 0.04]), horn))
        parts.append(Part(ellipse((tip, y - 0.34), (0.065, 0.065)), horn))
    ear = ellipse((x - 0.2, y - 0.12), (0.15, 0.07), 0.5)
    plain = Material(coat.colour)
    parts += [
        Part(ear, plain),
        Part(ellipse((x + 0.08, y + 0.04), (0.34, 0.22), droop), plain),
        Part(ellipse(muzzle, (0.18, 0.15), droop), Material((0.85, 0.7, 0.6))),
        Part(ellipse((x + 0.06, y - 0.04), (0.055, 0.055)), Material(DARK), rim=False),
    ]
    return parts
