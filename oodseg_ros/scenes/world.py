"""A world: one light, one street, and everything that stands along it. Built once, seen from many poses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DatasetError
from .canvas import texture
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
        unknowns: the unknown objects, in order of x; ids go round from `FIRST_UNKNOWN`.
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
    smallest: float = 0.0,
    aside: float = 0.0,
) -> World:
    """A random world of `length` metres with one unknown at each of `spots` (x, share of the road's half width).

    Args:
        rng: the only source of chance.
        length: furnished length along the road, metres.
        spots: where unknowns stand; |share| > 1 means the sidewalk.
        pictures: straight-alpha RGBA uint8 cut-outs to use as unknowns; None = procedural ones.
        busy: factor on the number of road users.
        smallest: no unknown's picture is smaller than this many square metres.
        aside: no unknown stands closer than this to y = 0, metres.

    Raises:
        DatasetError: a cut-out has no opaque pixel, or is no RGBA picture.
    """
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    light = weather(rng)
    road = street(rng, kind, length)
    wear = np.clip(205 + 70 * noise(rng, 512, 48, 4), 20, 255).astype(np.uint8)
    tone = np.clip(128 + rng.uniform(3, 10) * noise(rng, 512, 4, 4), 60, 200).astype(np.uint8)
    tiles = {ROAD: pyramid(asphalt(rng)), SIDEWALK: pyramid(paving(rng)), VEGETATION: pyramid(grass(rng))}
    ground = Ground(tuple(areas(rng, road)), tuple(marks(rng, road, kind)), tiles, pyramid(np.dstack([tone, wear])))
    things = boundary(rng, road, kind) + furniture(rng, road, kind, busy)
    for index, picture in enumerate(pictures or ()):
        if picture.ndim != 3 or picture.shape[2] != 4 or not (picture[..., 3] > 127).any():
            raise DatasetError(f"cut-out {index} of shape {picture.shape}: RGBA pictures with opaque pixels are needed")
    unknowns = tuple(_unknown(rng, road, spot, k, pictures, smallest, aside) for k, spot in enumerate(spots))
    return World(kind, light, road, ground, tuple(_clear(things, unknowns)), unknowns)


def _unknown(
    rng: np.random.Generator,
    road: Street,
    spot: tuple[float, float],
    index: int,
    pictures: Sequence[np.ndarray] | None,
    smallest: float,
    aside: float,
) -> Upright:
    for _ in range(50):
        kind, picture, height = _picture(rng, pictures)
        width = height * picture.shape[1] / picture.shape[0]
        if width * height >= smallest:
            break
    middle, half = (road.left + road.right) / 2, (road.left - road.right) / 2
    share = spot[1]
    y = middle + share * half * 0.92
    if abs(share) > 1:
        walk = max(road.walk[0 if share > 0 else 1], 1.0)
        y = road.left + 0.5 * walk if share > 0 else road.right - 0.5 * walk
    if abs(y) < aside + width / 2:
        y = (aside + width / 2) * (1 if share > 0 else -1)
    return Upright(texture(picture), spot[0], float(y), height, FIRST_UNKNOWN + index % MAX_UNKNOWNS, kind=kind)


def _picture(rng: np.random.Generator, pictures: Sequence[np.ndarray] | None) -> tuple[str, np.ndarray, float]:
    """Kind, RGBA picture and height in metres of a random unknown."""
    if pictures:
        picture = trimmed(pictures[int(rng.integers(len(pictures)))])
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        # Of unknown kind, so of unknown size: the larger side is what a thing on a road may plausibly measure.
        side = float(np.exp(rng.uniform(np.log(0.3), np.log(1.5))))
        return "cutout", picture, side * min(1.0, picture.shape[0] / picture.shape[1])
    return unknown(rng)


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
