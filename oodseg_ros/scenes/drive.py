"""The two ways to get scenes: independent ones for training, a coherent drive for demonstrations and tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from .canvas import Camera
from .render import render, stage
from .things import Solid
from .values import Scene
from .world import World, world

EPOCH_NS = 1_700_000_000_000_000_000
"""Stamp of a drive's first frame."""


def camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    """A forward camera as cars carry it, for images of `size` (H, W): view 45..80 degrees wide, 1.1..2.1 m high."""
    rows, columns = size
    focal = columns / 2 / np.tan(np.radians(rng.uniform(45, 80)) / 2)
    matrix = np.array([[focal, 0, (columns - 1) / 2], [0, focal, (rows - 1) / 2], [0, 0, 1]])
    # The horizon lies in the middle third of the image, whatever the focal length.
    pitch = np.arctan(rng.uniform(-0.06, 0.16) * rows / focal)
    return Camera(matrix, tuple(size), float(rng.uniform(1.1, 2.1)), float(pitch))


def scene(seed: int, size: tuple[int, int] = (540, 960), cutouts: Sequence[np.ndarray] | None = None) -> Scene:
    """One random scene; the same seed gives the same bytes.

    Args:
        seed: any integer >= 0.
        size: (H, W) of the image in pixels.
        cutouts: straight-alpha RGBA uint8 pictures to use as unknowns; None = procedural ones.
    """
    rng = np.random.default_rng([seed, 1])
    view = camera(rng, size)
    count = int(rng.choice([0, 1, 2, 3, 4, 5], p=[0.12, 0.3, 0.25, 0.17, 0.1, 0.06]))
    spots = []
    for _ in range(count):
        # Uniform in 1/distance: as many near (large) as far (small) unknowns in the picture.
        distance = 1 / rng.uniform(1 / 60, 1 / 6)
        share = float(rng.uniform(-1, 1)) if rng.random() < 0.85 else float(rng.choice([-1.5, 1.5]))
        spots.append((distance, share))
    surroundings = world(rng, 70.0, spots, cutouts, busy=float(rng.choice([0.3, 1.0, 1.8])))
    hood = float(rng.uniform(0.04, 0.14)) if rng.random() < 0.15 else 0.0
    set_up = stage(rng, surroundings, view, hood)
    pose = (0.0, float(rng.uniform(-0.4, 0.4)), float(np.clip(rng.normal(0, 0.05), -0.15, 0.15)))
    return render(set_up, pose, 0.0, rng)


def _passable(place: World, speed: float, seconds: float) -> World:
    """The world without known things that the own car, or an unknown, would be in the way of."""
    kept = []
    for thing in place.things:
        half = thing.size[1] / 2 if isinstance(thing, Solid) else 0.4
        mine = thing.layer == 2 and abs(thing.y) < 1.3 + half
        caught = thing.x + (thing.speed - speed) * seconds < 12
        moves_into = thing.speed != 0 and any(abs(thing.y - u.y) < half + u.width / 2 + 0.2 for u in place.unknowns)
        if not (mine and caught) and not moves_into:
            kept.append(thing)
    return replace(place, things=tuple(kept))


def drive(
    seed: int,
    frames: int,
    size: tuple[int, int] = (540, 960),
    rate: float = 10.0,
    cutouts: Sequence[np.ndarray] | None = None,
) -> Iterator[Scene]:
    """A forward drive along one street at 12 m/s; the same arguments give the same bytes.

    Unknowns come in groups: the drive begins with nothing ahead, a group comes into sight, is passed, and the road is
    free again. The more frames, the more groups; about 120 frames at 10 Hz show one whole pass.

    Args:
        seed: any integer >= 0.
        size: (H, W) of the images in pixels.
        rate: frames per second of world time; stamps are `EPOCH_NS` plus i / rate.
        cutouts: straight-alpha RGBA uint8 pictures to use as unknowns; None = procedural ones.
    """
    rng = np.random.default_rng([seed, 2])
    speed = 12.0
    length = frames * speed / rate
    reach = float(np.clip(0.45 * length, 15, 65))
    spots = []
    x = 0.22 * min(length, 150) + reach
    while x < length * 0.9 + reach * 0.2 or not spots:
        for _ in range(rng.integers(1, 4)):
            spots.append((x + rng.uniform(0, 0.08 * reach), float(rng.choice([-1, 1]) * rng.uniform(0.35, 1.0))))
        x += reach + rng.uniform(25, 60)
    view = camera(rng, size)
    set_up = stage(
        rng,
        _passable(
            world(rng, max(length, 70.0), spots, cutouts, busy=0.7, smallest=0.12, aside=1.1), speed, frames / rate
        ),
        view,
    )
    for index in range(frames):
        time = index / rate
        pose = (speed * time, 0.15 * np.sin(0.5 * time), 0.0)
        frame_rng = np.random.default_rng([seed, 3, index])
        yield render(set_up, pose, time, frame_rng, reach, EPOCH_NS + round(index * 1e9 / rate))
