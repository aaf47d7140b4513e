"""A world: one light, one street, and everything that stands along it. Built once, seen from many poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .canvas import Texture, texture
from .ground import Ground, pyramid
from .roadside import boundary, furniture
from .street import Street, areas, marks, street
from .textures import asphalt, grass, noise, paving
from .things import Thing, Upright
from .unknowns import trimmed, unknown
from .values import FIRST_UNKNOWN, MAX_UNKNOWNS, ROAD, SIDEWALK, VEGETATION
from .weather import Weather, weather

KINDS = {"city": 0.34, "residential": 0.28, "rural": 0.16, "highway": 0.12, "works": 0.1}


@dataclass(frozen=True)
class World:
    """What a camera can look at.

    Attributes:
        kind: city, residential, rural, highway or works.
        light: weather and sensor quality.
        road: the street's cross section.
        ground: everything flat.
        things: everything that stands and is known.
        unknowns: the unknown objects, ids `FIRST_UNKNOWN` and up in this order.
    """

    kind: str
    light: Weather
    road: Street
    ground: Ground
    things: tuple[Thing, ...]
    unknowns: tuple[Upright, ...]


def world(
    rng: np.random.Generator,
    length: float,
    spots: Sequence[tuple[float, float]],
    pictures: Sequence[np.ndarray] | None,
    busy: float = 1.0,
) -> World:
    """A random world of `length` metres with one unknown at each of `spots` (x, share of the road's half width).

    Args:
        rng: the only source of chance.
        length: furnished length along the road, metres.
        spots: where unknowns stand; |share| > 1 means the sidewalk.
        pictures: straight-alpha RGBA uint8 cut-outs to use as unknowns; None = procedural ones.
        busy: factor on the number of road users.
    """
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    light = weather(rng)
    road = street(rng, kind, length)
    wear = np.clip(205 + 70 * noise(rng, 512, 48, 4), 20, 255).astype(np.uint8)
    tone = np.clip(128 + rng.uniform(3, 10) * noise(rng, 512, 4, 4), 60, 200).astype(np.uint8)
    tiles = {ROAD: pyramid(asphalt(rng)), SIDEWALK: pyramid(paving(rng)), VEGETATION: pyramid(grass(rng))}
    ground = Ground(tuple(areas(rng, road)), tuple(marks(rng, road, kind)), tiles, pyramid(np.dstack([tone, wear])))
    things = boundary(rng, road, kind) + furniture(rng, road, kind, busy)
    unknowns = tuple(_unknown(rng, road, spot, index, pictures) for index, spot in enumerate(spots[:MAX_UNKNOWNS]))
    return World(kind, light, road, ground, tuple(_clear(things, unknowns)), unknowns)


def _unknown(
    rng: np.random.Generator, road: Street, spot: tuple[float, float], index: int, pictures: Sequence[np.ndarray] | None
) -> Upright:
    if pictures:
        kind, picture = "cutout", trimmed(pictures[int(rng.integers(len(pictures)))])
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        # Of unknown kind, so of unknown size: the larger side is what a thing on a road may plausibly measure.
        side = float(np.exp(rng.uniform(np.log(0.3), np.log(1.5))))
        height = side * min(1.0, picture.shape[0] / picture.shape[1])
    else:
        kind, picture, height = unknown(rng)
    middle, half = (road.left + road.right) / 2, (road.left - road.right) / 2
    share = spot[1]
    y = middle + share * half * 0.92
    if abs(share) > 1:
        walk = road.walk[0 if share > 0 else 1]
        y = (road.left + 0.5 * max(walk, 1.0)) if share > 0 else (road.right - 0.5 * max(walk, 1.0))
    return Upright(_cached(picture), spot[0], float(y), height, FIRST_UNKNOWN + index, kind=kind)


def _cached(picture: np.ndarray) -> Texture:
    return texture(picture)


def _clear(things: list[Thing], unknowns: tuple[Upright, ...]) -> list[Thing]:
    """The things without those that stand where an unknown stands, or hide it from straight behind."""
    kept = []
    for thing in things:
        size = getattr(thing, "size", (0.5, 0.6, 0.0))
        blocked = thing.layer == 2 and any(
            -size[0] / 2 - 9 < thing.x - u.x < size[0] / 2 + 0.8 and abs(thing.y - u.y) < (size[1] + u.width) / 2 + 0.2
            for u in unknowns
        )
        if not blocked:
            kept.append(thing)
    return kept
