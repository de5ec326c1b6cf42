"""Outlines of object parts: ellipses, limbs, boxes and smoothed polygons.

An object is built in its own frame: x to the right, y down, its body roughly inside [-1, 1].

Shapes: an outline is (N, 2) float64, points (x, y) in the object's frame, in order.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Outline", "Point", "box", "ellipse", "limb", "mirrored", "smooth"]

Outline = NDArray[np.float64]
Point = tuple[float, float]


def ellipse(centre: Point, radii: Point, angle: float = 0.0, points: int = 40) -> Outline:
    """Outline of an ellipse.

    Args:
        centre: in the object's frame.
        radii: half axes, above 0.
        angle: rotation in radians, clockwise on screen because y points down.
        points: number of corners N.

    Returns:
        The outline, (N, 2).
    """
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    along, across = radii[0] * np.cos(turn), radii[1] * np.sin(turn)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        [centre[0] + cos * along - sin * across, centre[1] + sin * along + cos * across], axis=1
    )


def limb(joints: Sequence[Point], widths: Sequence[float], points: int = 24) -> Outline:
    """Outline of a bent tube with round ends: a leg, a neck, a tail, a mast.

    Args:
        joints: two or three points that the tube's axis starts at, bends towards and ends at.
        widths: half widths at the start and at the end.
        points: samples along the axis.

    Returns:
        The outline, (N, 2).
    """
    start, end = np.asarray(joints[0], float), np.asarray(joints[-1], float)
    bend = np.asarray(joints[1], float) if len(joints) > 2 else (start + end) / 2
    t = np.linspace(0, 1, points)[:, None]
    axis = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end  # quadratic Bezier curve
    along = np.gradient(axis, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    half = (1 - t) * widths[0] + t * widths[1]
    heading = np.arctan2(along[-1, 1], along[-1, 0])
    tip = heading - np.linspace(-np.pi / 2, np.pi / 2, 9)[1:-1]
    cap = end + widths[1] * np.stack([np.cos(tip), np.sin(tip)], axis=1)
    heading = np.arctan2(along[0, 1], along[0, 0])
    tip = heading + np.pi - np.linspace(-np.pi / 2, np.pi / 2, 9)[1:-1]
    root = start + widths[0] * np.stack([np.cos(tip), np.sin(tip)], axis=1)
    return np.concatenate([axis + across * half, cap, (axis - across * half)[::-1], root])


def box(centre: Point, size: Point, taper: float = 1.0) -> Outline:
    """Outline of an upright box whose top edge may be narrower or wider than its bottom edge.

    Args:
        centre: in the object's frame.
        size: width of the bottom edge and height.
        taper: width of the top edge as a fraction of the bottom edge.

    Returns:
        The outline, (4, 2).
    """
    half, up = size[0] / 2, size[1] / 2
    corners = [(-half, up), (half, up), (half * taper, -up), (-half * taper, -up)]
    moved: Outline = np.asarray(corners, np.float64) + np.asarray(centre, np.float64)
    return moved


def smooth(corners: Sequence[Point] | Outline, rounds: int = 2) -> Outline:
    """Cut the corners of a closed polygon, each round at a quarter of both edges (Chaikin).

    Args:
        corners: the polygon, (N, 2).
        rounds: how often; each round doubles the points.

    Returns:
        The outline, (N * 2 ** rounds, 2), inside the polygon's convex hull.
    """
    outline = np.asarray(corners, float)
    for _ in range(rounds):
        after = np.roll(outline, -1, axis=0)
        cut = np.stack([0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], axis=1)
        outline = cut.reshape(-1, 2)
    return outline


def mirrored(outline: Outline) -> Outline:
    """The outline reflected left to right, (N, 2)."""
    reflected: Outline = outline * np.asarray([-1.0, 1.0])
    return reflected
