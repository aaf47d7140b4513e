"""What stands along a street: its edge (houses, hedges, fences, woods) and what is on it (vehicles, persons, posts)."""

from __future__ import annotations

import numpy as np

from . import figures, textures
from .canvas import texture
from .street import Street
from .things import Panel, Post, Solid, Thing, Upright
from .values import BUILDING, FENCE, PERSON, SIGN, TWO_WHEELER, VEGETATION, VEHICLE
from .vehicles import vehicle

REACH = 190.0
"""Metres beyond the world's length that are still furnished, so that the street does not end in nothing."""


def boundary(rng: np.random.Generator, road: Street, kind: str) -> list[Thing]:
    """Both edges of the street."""
    found: list[Thing] = []
    for side, edge, walk in ((1, road.left, road.walk[0]), (-1, road.right, road.walk[1])):
        start = edge + side * (walk + (rng.uniform(0, 0.3) if kind == "city" else rng.uniform(0.3, 3)))
        style = _style(rng, kind)
        if style == "houses":
            found += _houses(rng, road, side, start, gap=0.15 if kind == "city" else 0.7)
        elif style == "gardens":
            found += _houses(rng, road, side, start + side * rng.uniform(4, 10), gap=0.85)
            found += _row(rng, road, side, start, FENCE if rng.random() < 0.5 else VEGETATION, rng.uniform(0.8, 1.9))
            found += _trees(rng, road, side, start + side * 2.5, rng.uniform(8, 25), layer=0)
        elif style == "wood":
            found += _row(rng, road, side, start + side * rng.uniform(0.5, 14), VEGETATION, rng.uniform(5, 13), 0.4)
            found += _trees(rng, road, side, start + side * 1.5, rng.uniform(9, 40), layer=1)
        elif style == "fence":
            found += _row(rng, road, side, start, FENCE, rng.uniform(0.75, 2.2))
            found += _row(
                rng, road, side, start + side * rng.uniform(5, 20), VEGETATION, rng.uniform(3, 9), 0.4, layer=0
            )
        else:
            found += _trees(rng, road, side, start + side * 4, rng.uniform(12, 40), layer=1)
            found += _row(
                rng, road, side, start + side * rng.uniform(40, 90), VEGETATION, rng.uniform(6, 14), 0.45, layer=0
            )
    return found


def _style(rng: np.random.Generator, kind: str) -> str:
    shares = {
        "city": {"houses": 0.8, "gardens": 0.08, "fence": 0.07, "wood": 0.05},
        "residential": {"gardens": 0.6, "houses": 0.2, "wood": 0.1, "fence": 0.1},
        "rural": {"open": 0.5, "wood": 0.35, "fence": 0.15},
        "highway": {"fence": 0.6, "wood": 0.25, "open": 0.15},
        "works": {"fence": 0.5, "houses": 0.4, "wood": 0.1},
    }[kind]
    return str(rng.choice(list(shares), p=list(shares.values())))


def _houses(rng: np.random.Generator, road: Street, side: int, y: float, gap: float) -> list[Thing]:
    pool = []
    for _ in range(4):
        width, height = rng.uniform(8, 22), rng.choice([rng.uniform(5, 8), rng.uniform(8, 20)], p=[gap, 1 - gap])
        top = rng.uniform(1.5, 3.5) if rng.random() < 0.35 + 0.4 * gap else 0.0
        pool.append(
            (
                width,
                height,
                texture(textures.facade(rng, width, height)),
                top,
                texture(textures.roof(rng, width, max(top, 1))),
            )
        )
    ends, gable = texture(textures.wall(rng, 9, 8)), texture(textures.gable(rng, 9, 3))
    found: list[Thing] = []
    x = rng.uniform(-12, -2)
    previous = 0.0
    while x < road.length + REACH:
        width, height, front, top, tiles = pool[rng.integers(4)]
        if not all(road.free(x + t, 1.5) for t in np.linspace(0, width, 5)):
            x += 2.0
            previous = 0.0
            continue
        set_back = y + side * (rng.uniform(0, 1.0) if rng.random() < gap else 0.0)
        if height > previous or x > 0:
            found.append(Panel(ends, (x, set_back + side * 9, height), (0, -side * 9.0, 0), (0, 0, -height), BUILDING))
        found.append(Panel(front, (x, set_back, height), (width, 0, 0), (0, 0, -height), BUILDING))
        if top:
            slope = (0, -side * 4.5, -top)
            found.append(
                Panel(gable, (x, set_back + side * 9, height + top), (0, -side * 9.0, 0), (0, 0, -top), BUILDING)
            )
            found.append(Panel(tiles, (x, set_back + side * 4.5, height + top), (width, 0, 0), slope, BUILDING))
        previous = height
        x += width + (rng.uniform(1.5, 12) if rng.random() < gap else 0.0)
    return found


def _row(
    rng: np.random.Generator,
    road: Street,
    side: int,
    y: float,
    ident: int,
    height: float,
    ragged: float = 0.08,
    layer: int = 1,
) -> list[Thing]:
    """A hedge, wood edge, fence or wall in pieces of 10 m."""
    color = np.array([58, 86, 36]) + rng.normal(0, 12, 3)
    make = (
        (lambda: textures.fence(rng, 10, height))
        if ident == FENCE
        else (lambda: textures.greenery(rng, 10, height, ragged, color))
    )
    pool = [texture(make())] if ident == FENCE else [texture(make()) for _ in range(3)]
    found: list[Thing] = []
    for x in np.arange(-8, road.length + REACH, 10.0):
        if road.free(x, 1) and road.free(x + 10, 1) and road.free(x + 5, 1) and (ident != FENCE or rng.random() < 0.96):
            found.append(
                Panel(pool[rng.integers(len(pool))], (x, y, height), (10.0, 0, 0), (0, 0, -height), ident, layer)
            )
    return found


def _trees(rng: np.random.Generator, road: Street, side: int, y: float, spacing: float, layer: int) -> list[Thing]:
    pool = [texture(figures.tree(rng)) for _ in range(3)] + [texture(figures.bush(rng))]
    found: list[Thing] = []
    x = rng.uniform(2, spacing)
    while x < road.length + REACH * 0.7:
        index = int(rng.choice(4, p=[0.28, 0.28, 0.24, 0.2]))
        height = rng.uniform(0.7, 2.0) if index == 3 else rng.uniform(4, 11)
        if road.free(x):
            found.append(Upright(pool[index], x, y + side * rng.uniform(0, 2), height, VEGETATION, layer=layer))
        x += spacing * rng.uniform(0.5, 1.5)
    return found


def furniture(rng: np.random.Generator, road: Street, kind: str, busy: float) -> list[Thing]:
    """Vehicles, persons, two-wheelers, posts, signs, street trees."""
    found: list[Thing] = []
    reach = road.length + 110
    for side, edge, walk in ((1, road.left, road.walk[0]), (-1, road.right, road.walk[1])):
        # Parked cars need their own room beside the own lane.
        if kind in ("city", "residential", "works") and abs(edge) > 3.4 and rng.random() < 0.7:
            found += _parked(rng, road, edge - side * 1.05, reach, busy, turned=side > 0 and rng.random() < 0.6)
        if walk > 2 and rng.random() < 0.4:
            found += _trees(rng, road, side, edge + side * 0.6, rng.uniform(10, 25), layer=2)
        found += _posts(rng, road, side, edge, walk, reach)
        if walk > 0.8:
            for _ in range(rng.poisson(busy * (reach / 35 if kind == "city" else reach / 90))):
                found.append(_person(rng, rng.uniform(5, reach), edge + side * rng.uniform(0.4, walk - 0.2)))
            if rng.random() < 0.4:
                found.append(_bike(rng, rng.uniform(6, 60), edge + side * 0.4, 0.0))
    lanes = [y for y in np.arange(-3, 4) * road.lane if road.right + 1.2 < y < road.left - 1.2]
    pace = {y: rng.uniform(7, 12.5) for y in lanes}  # one per lane, so that nobody drives through anybody
    for _ in range(rng.poisson(busy * reach / 50)):
        y = float(lanes[rng.integers(len(lanes))])
        x = rng.uniform(12, reach)
        oncoming = y > road.lane / 2 and kind != "highway"
        found.append(
            _solid(
                rng,
                x,
                y + rng.normal(0, 0.15),
                np.pi if oncoming else 0.0,
                -pace[y] if oncoming else pace[y],
            )
        )
    for _ in range(rng.poisson(0.8 * busy)):
        found.append(_bike(rng, rng.uniform(8, 60), road.right + rng.uniform(0.5, 1.5), rng.uniform(2, 5)))
    for a, b in road.crossings:
        if rng.random() < 0.3 * busy:
            found.append(_person(rng, a - 2.8, rng.uniform(road.right, road.left)))
        if rng.random() < 0.4 * busy:
            found.append(
                _solid(
                    rng,
                    (a + b) / 2,
                    float(rng.choice([road.left + 6, road.right - 6])),
                    np.pi / 2 * rng.choice([-1, 1]),
                    0.0,
                )
            )
    return found


def _solid(rng: np.random.Generator, x: float, y: float, yaw: float, speed: float) -> Solid:
    body, size = vehicle(rng)
    return Solid(body, x, y, yaw, size, VEHICLE, speed)


def _person(rng: np.random.Generator, x: float, y: float) -> Upright:
    return Upright(
        texture(figures.person(rng)), x, y, rng.uniform(1.1, 1.95), PERSON, speed=float(rng.choice([-1.2, 0.0, 1.2]))
    )


def _bike(rng: np.random.Generator, x: float, y: float, speed: float) -> Upright:
    return Upright(texture(figures.two_wheeler(rng)), x, y, rng.uniform(1.55, 1.85), TWO_WHEELER, speed=speed)


def _parked(rng: np.random.Generator, road: Street, y: float, reach: float, busy: float, turned: bool) -> list[Thing]:
    found: list[Thing] = []
    x = rng.uniform(4, 25)
    while x < reach:
        body, size = vehicle(rng, str(rng.choice(["car", "saloon", "van"], p=[0.5, 0.35, 0.15])))
        if rng.random() < 0.65 and road.free(x, 6):
            found.append(Solid(body, x, y, (np.pi if turned else 0.0) + rng.normal(0, 0.02), size, VEHICLE))
        x += size[0] + rng.uniform(0.6, 2.5) + (rng.uniform(5, 30) if rng.random() < 0.2 else 0)
    return found


def _posts(rng: np.random.Generator, road: Street, side: int, edge: float, walk: float, reach: float) -> list[Thing]:
    found: list[Thing] = []
    y = edge + side * rng.uniform(0.35, 0.8)
    color = tuple(np.clip(rng.uniform(70, 190) + rng.normal(0, 6, 3), 20, 230))
    if rng.random() < 0.7:
        height, arm, spacing = rng.uniform(5, 9), -side * rng.choice([0.0, rng.uniform(0.8, 2.2)]), rng.uniform(18, 38)
        found += [
            Post(x, y, height, 0.08, color, arm)
            for x in np.arange(rng.uniform(3, spacing), reach, spacing)
            if road.free(x)
        ]
    for _ in range(rng.poisson(reach / 40)):
        x, height = rng.uniform(4, reach), rng.uniform(1.9, 2.6)
        if not road.free(x):
            continue
        found.append(Post(x, y + side * 0.1, height + 0.3, 0.035, (150.0, 150.0, 150.0)))
        found.append(
            Upright(texture(figures.sign(rng)), x - 0.05, y + side * 0.1, rng.uniform(0.55, 0.9), SIGN, z=height - 0.3)
        )
    for a, _ in road.crossings:
        if rng.random() < 0.5:
            found.append(Post(a - 2.5, y, 3.4, 0.06, (60.0, 62.0, 60.0)))
            found.append(Upright(texture(figures.traffic_light(rng)), a - 2.55, y, 0.9, SIGN, z=2.5))
    return found
