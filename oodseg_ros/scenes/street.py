"""The road itself: how wide, which lanes, markings, damage, crossings. Produces areas and marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .ground import Area, Mark
from .values import ROAD, SIDEWALK, VEGETATION

BEYOND = 420.0
"""Metres of road beyond the furnished length, so that it runs to the horizon."""


@dataclass(frozen=True)
class Street:
    """Cross section and crossings.

    Attributes:
        left, right: y of the road's edges, left > right.
        lane: width of a lane; own lane's middle is y = 0.
        walk: width of the sidewalks (left, right), 0 = none.
        crossings: (x0, x1) of the side streets.
        length: how far the world is furnished.
    """

    left: float
    right: float
    lane: float
    walk: tuple[float, float]
    crossings: tuple[tuple[float, float], ...]
    length: float

    def free(self, x: float, margin: float = 3.0) -> bool:
        """Whether x is not in a side street."""
        return all(not a - margin < x < b + margin for a, b in self.crossings)


def street(rng: np.random.Generator, kind: str, length: float) -> Street:
    """A random cross section for a kind of surroundings."""
    lane = rng.uniform(2.8, 3.7)
    own_left = int(rng.choice([0, 1, 1, 2]) if kind != "highway" else rng.choice([1, 2]))
    own_right = int(rng.choice([0, 0, 1]))
    edge = rng.uniform(0.2, 2.4)
    left = (own_left + 0.5) * lane + rng.uniform(0.2, 2.6)
    right = -(own_right + 0.5) * lane - edge
    walk = {
        "city": (1.5, 4.5),
        "residential": (1.2, 2.5),
        "rural": (0.0, 0.0),
        "highway": (0.0, 0.0),
        "works": (0.0, 2.5),
    }[kind]
    walks = tuple(float(rng.uniform(*walk)) if rng.random() < 0.9 else 0.0 for _ in range(2))
    crossings = []
    x = rng.uniform(15, 90)
    while kind in ("city", "residential") and x < length and rng.random() < 0.7:
        crossings.append((x, x + rng.uniform(6, 11)))
        x += rng.uniform(50, 120)
    return Street(left, right, lane, walks, tuple(crossings), length)


def areas(rng: np.random.Generator, road: Street) -> list[Area]:
    """Ground areas, lower ones first."""
    far = road.length + BEYOND
    curb = rng.uniform(1.1, 1.3) if rng.random() < 0.7 else rng.uniform(0.7, 0.9)
    found = []
    for sign, edge, walk in ((1, road.left, road.walk[0]), (-1, road.right, road.walk[1])):
        if walk:
            lo, hi = sorted((edge, edge + sign * walk))
            found.append(Area(-8, far, lo, hi, SIDEWALK))
            lo, hi = sorted((edge, edge + sign * 0.16))
            found.append(Area(-8, far, lo, hi, SIDEWALK, curb))
    found.append(Area(-8, far, road.right, road.left, ROAD))
    for edge in (road.left, road.right):
        inner = edge - np.sign(edge) * rng.uniform(0.2, 0.4)
        found.append(Area(-8, far, min(edge, inner), max(edge, inner), ROAD, rng.uniform(0.75, 0.95)))
    for x0, x1 in road.crossings:
        found.append(Area(x0, x1, -120, 120, ROAD, rng.uniform(0.9, 1.08)))
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 7)):
            x, y = rng.uniform(3, road.length), rng.uniform(road.right, road.left)
            found.append(
                Area(
                    x,
                    x + rng.uniform(0.8, 12),
                    max(y, road.right),
                    min(y + rng.uniform(0.5, 2.5), road.left),
                    ROAD,
                    rng.uniform(0.72, 1.15),
                )
            )
    if rng.random() < 0.15:
        found.append(
            Area(-8, far, road.left + road.walk[0], road.left + road.walk[0] + rng.uniform(1, 3), VEGETATION, 0.9)
        )
    return found


def _bar(x0: float, x1: float, y: float, width: float) -> np.ndarray:
    return np.array([[x0, y - width / 2], [x1, y - width / 2], [x1, y + width / 2], [x0, y + width / 2]])


def marks(rng: np.random.Generator, road: Street, kind: str) -> list[Mark]:
    """Lane lines, zebra crossings, arrows, cracks, manholes, tyre marks."""
    found: list[Mark] = []
    white = (225.0, 225.0, 218.0) if rng.random() < 0.8 else (215.0, 175.0, 60.0)
    strength = rng.uniform(0.45, 0.95)
    ends = [(a - 2.0, b + 2.0) for a, b in road.crossings]

    def line(y: float, dash: float, gap: float, width: float) -> None:
        x = -6.0
        while x < road.length + 130:
            stop = x + dash
            if all(stop < a or x > b for a, b in ends):
                found.append(Mark(_bar(x, stop, y, width), white, strength))
            x = stop + gap

    if rng.random() < 0.85:
        y = -road.lane / 2
        while y > road.right + 1.5:
            line(y, 3.0, rng.choice([3.0, 6.0, 9.0]), 0.13)
            y -= road.lane
        y = road.lane / 2
        solid = rng.random() < 0.25
        while y < road.left - 1.5:
            line(y, 12.0 if solid else 3.0, 0.0 if solid else float(rng.choice([3.0, 6.0])), 0.13)
            solid = False
            y += road.lane
    if rng.random() < (0.9 if kind in ("rural", "highway") else 0.4):
        for edge in (road.left, road.right):
            line(edge - np.sign(edge) * rng.uniform(0.25, 0.6), 12.0, 0.0, rng.uniform(0.1, 0.2))
    for a, b in road.crossings:
        if rng.random() < 0.6:
            x = a - 4.5 if rng.random() < 0.5 else b + 1.0
            for y in np.arange(road.right + 0.3, road.left - 0.4, 1.0):
                found.append(Mark(_bar(x, x + 3.2, y + 0.25, 0.5), white, strength))
        if rng.random() < 0.5:
            found.append(Mark(_bar(a - 1.3, a - 0.9, 0.0, road.lane * 0.9), white, strength))
    if rng.random() < 0.3:
        x = rng.uniform(8, max(road.length * 0.5, 10))
        found.append(
            Mark(
                np.array([[0, -0.08], [2.4, -0.08], [2.4, -0.35], [4, 0], [2.4, 0.35], [2.4, 0.08], [0, 0.08]])
                + np.array([x, 0]),
                white,
                strength,
            )
        )
    found += _damage(rng, road)
    return found


def _damage(rng: np.random.Generator, road: Street) -> list[Mark]:
    dark = (38.0, 37.0, 36.0)
    found = []
    span = road.length + 20
    for _ in range(int(rng.poisson(span / 18) * rng.choice([0, 1, 2]))):
        x, y = rng.uniform(2, span), rng.uniform(road.right, road.left)
        heading = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.4)
        points = [np.array([x, y])]
        for _ in range(rng.integers(4, 14)):
            heading += rng.normal(0, 0.5)
            points.append(points[-1] + rng.uniform(0.15, 0.5) * np.array([np.cos(heading), np.sin(heading)]))
        path = np.clip(np.array(points), [-5, road.right], [span + 20, road.left])
        half = rng.uniform(0.008, 0.03)
        found.append(Mark(np.vstack([path + half, path[::-1] - half]), dark, rng.uniform(0.3, 0.8)))
    for _ in range(rng.poisson(span / 30)):
        x, y = rng.uniform(4, span), rng.uniform(road.right + 0.5, road.left - 0.5)
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        circle = np.column_stack([np.cos(angle), np.sin(angle)])
        found.append(Mark(circle * 0.36 + np.array([x, y]), (60.0, 58.0, 56.0), 0.8))
        found.append(Mark(circle * 0.3 + np.array([x, y]), (105.0, 100.0, 95.0), 0.7))
    for _ in range(rng.poisson(1.0)):
        x, y, r = rng.uniform(5, span), rng.uniform(road.right + 0.5, road.left - 0.5), rng.uniform(0.3, 1.6)
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        blob = (
            np.column_stack(
                [np.cos(angle) * rng.uniform(0.6, 1.4, 16) * 1.6, np.sin(angle) * rng.uniform(0.6, 1.3, 16)]
            )
            * r
        )
        found.append(Mark(blob + np.array([x, y]), (45.0, 45.0, 48.0), rng.uniform(0.2, 0.5)))
    for offset in (-0.75, 0.75) if rng.random() < 0.6 else ():
        found.append(Mark(_bar(-6, span + 150, offset, rng.uniform(0.35, 0.6)), dark, rng.uniform(0.04, 0.14)))
    return found
