"""Vehicles as solids: a side profile swept over the width, with windows, wheels, lights and plates on its faces."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .figures import cloth


@dataclass(frozen=True)
class Face:
    """A planar polygon: `points` float `[N, 3]` in the vehicle's frame (x forward, y left, z up), RGB `color`."""

    points: np.ndarray
    color: tuple[float, float, float]
    normal: tuple[float, float, float]


# Profiles (x, z) as fractions of length and height, rear to front over the roof; where glass begins and ends.
_CAR = [
    (0.0, 0.2),
    (0.0, 0.55),
    (0.03, 0.64),
    (0.1, 0.95),
    (0.3, 1.0),
    (0.52, 0.98),
    (0.72, 0.63),
    (0.97, 0.52),
    (1.0, 0.4),
    (1.0, 0.17),
]
_SALOON = [
    (0.0, 0.2),
    (0.0, 0.58),
    (0.13, 0.66),
    (0.26, 0.96),
    (0.42, 1.0),
    (0.56, 0.96),
    (0.72, 0.66),
    (0.97, 0.54),
    (1.0, 0.4),
    (1.0, 0.17),
]
_VAN = [
    (0.0, 0.16),
    (0.0, 0.5),
    (0.01, 0.95),
    (0.05, 1.0),
    (0.7, 1.0),
    (0.86, 0.6),
    (0.98, 0.48),
    (1.0, 0.36),
    (1.0, 0.14),
]
_BUS = [(0.0, 0.1), (0.0, 0.45), (0.0, 0.95), (0.02, 1.0), (0.98, 1.0), (1.0, 0.95), (1.0, 0.45), (1.0, 0.1)]
_TRUCK = [
    (0.0, 0.28),
    (0.0, 0.6),
    (0.0, 1.0),
    (0.76, 1.0),
    (0.76, 0.86),
    (0.96, 0.84),
    (1.0, 0.5),
    (1.0, 0.1),
    (0.78, 0.1),
    (0.76, 0.28),
]

_KINDS = {
    "car": (_CAR, (3.7, 4.5), (1.65, 1.85), (1.4, 1.75), 0.57),
    "saloon": (_SALOON, (4.3, 4.9), (1.75, 1.9), (1.38, 1.5), 0.62),
    "van": (_VAN, (4.6, 6.2), (1.85, 2.1), (1.9, 2.7), 0.55),
    "bus": (_BUS, (9.0, 12.0), (2.4, 2.55), (2.9, 3.3), 0.45),
    "truck": (_TRUCK, (6.5, 10.0), (2.3, 2.55), (2.9, 3.8), 0.55),
}


@dataclass(frozen=True)
class Mesh:
    """Faces in arrays: face i has `counts[i]` of `points` from `first[i]` on. Later faces lie over earlier ones."""

    points: np.ndarray
    first: np.ndarray
    counts: np.ndarray
    normals: np.ndarray
    colors: np.ndarray


def mesh(faces: list[Face]) -> Mesh:
    """The same faces, ready to be turned and projected together."""
    counts = np.array([len(face.points) for face in faces])
    return Mesh(
        np.vstack([face.points for face in faces]),
        np.cumsum(counts) - counts,
        counts,
        np.array([face.normal for face in faces]),
        np.array([face.color for face in faces]),
    )


def vehicle(rng: np.random.Generator, kind: str | None = None) -> tuple[Mesh, tuple[float, float, float]]:
    """A random vehicle standing on z = 0 with its middle at the origin.

    Returns:
        its surface and (length, width, height) in metres.
    """
    kind = kind or str(rng.choice(list(_KINDS), p=[0.42, 0.26, 0.18, 0.05, 0.09]))
    profile, *ranges, belt = _KINDS[kind]
    length, width, height = (float(rng.uniform(*r)) for r in ranges)
    paint = _paint(rng)
    glass = np.array([38, 46, 54]) * rng.uniform(0.6, 1.6)
    shape = np.array(profile) * [length, height] - [length / 2, 0]
    box = np.clip(cloth(rng) + 60, 90, 240) if kind == "truck" else paint
    faces = _skin(shape, width, height * belt, paint, glass, box, kind)
    faces += _sides(shape, length, width, height, belt, box, glass, kind)
    faces += _ends(rng, length, width, height)
    faces += _wheels(rng, length, width, height, kind)
    return mesh(faces), (length, width, height)


def _paint(rng: np.random.Generator) -> np.ndarray:
    gray = rng.choice([225, 175, 120, 60, 25])
    strong = np.array([[150, 25, 25], [30, 55, 130], [40, 80, 60], [200, 160, 40], [110, 70, 40], [25, 90, 150]])
    return strong[rng.integers(6)] + rng.normal(0, 12, 3) if rng.random() < 0.4 else gray + rng.normal(0, 8, 3)


def _face(points: list | np.ndarray, color: np.ndarray | tuple, normal: tuple[float, float, float]) -> Face:
    return Face(np.asarray(points, float), tuple(float(c) for c in np.clip(color, 0, 255)), normal)


def _skin(
    shape: np.ndarray, width: float, belt: float, paint: np.ndarray, glass: np.ndarray, box: np.ndarray, kind: str
) -> list[Face]:
    """The swept faces: rear, tailgate glass, roof, windscreen, bonnet, front."""
    faces = []
    half = width / 2
    for (x0, z0), (x1, z1) in pairwise(shape):
        normal = np.array([-(z1 - z0), 0.0, x1 - x0])
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        back = x1 <= shape[:, 0].min() + 0.2 * np.ptp(shape[:, 0])
        steep = abs(normal[0]) > 0.35 and min(z0, z1) >= belt * 0.95
        inset = 0.0 if max(z0, z1) <= belt * 1.05 else 0.1
        lower, upper = half - (inset if z0 > belt else 0), half - (inset if z1 > belt else 0)
        quad = [(x0, lower, z0), (x0, -lower, z0), (x1, -upper, z1), (x1, upper, z1)]
        color = box if kind == "truck" and back else paint
        faces.append(_face(quad, color, tuple(normal)))
        if steep and not (kind == "truck" and back):
            middle = np.mean(quad, 0)
            pane = middle + (np.array(quad) - middle) * [0.86, 0.88, 0.86]
            faces.append(_face(pane + normal * 0.01, glass, tuple(normal)))
    return faces


def _sides(
    shape: np.ndarray,
    length: float,
    width: float,
    height: float,
    belt: float,
    paint: np.ndarray,
    glass: np.ndarray,
    kind: str,
) -> list[Face]:
    faces = []
    for sign in (-1.0, 1.0):
        normal = (0.0, sign, 0.0)
        inset = np.where(shape[:, 1] > height * belt * 1.05, 0.1, 0.0)
        side = np.column_stack([shape[:, 0], sign * (width / 2 - inset), shape[:, 1]])
        faces.append(_face(side, paint * 0.96, normal))
        if kind == "truck":
            windows = [(0.84, 0.95, 0.56, 0.8)]
        elif kind == "bus":
            windows = [(a, a + 0.13, 0.48, 0.88) for a in np.arange(0.04, 0.84, 0.155)]
        elif kind == "van":
            windows = [(0.66, 0.8, 0.6, 0.88)]
        else:
            start = 0.13 if kind == "car" else 0.24
            windows = [(start, 0.36, belt + 0.06, 0.92), (0.385, 0.6, belt + 0.06, 0.92)]
        for x0, x1, z0, z1 in windows:
            slant = 0.05 if kind in ("car", "saloon") else 0.0
            tail = slant if x0 < 0.3 else 0.0
            nose = slant * 1.4 if x0 > 0.3 else 0.0
            pane = np.array([(x0, z0), (x1 + nose, z0), (x1, z1), (x0 + tail, z1)]) * [length, height] - [length / 2, 0]
            y = sign * (width / 2 - (0.06 if kind in ("car", "saloon") else 0.0) + 0.01)
            faces.append(_face(np.column_stack([pane[:, 0], np.full(4, y), pane[:, 1]]), glass, normal))
    return faces


def _ends(rng: np.random.Generator, length: float, width: float, height: float) -> list[Face]:
    """Lights, plate and bumper on the rear (x < 0) and front faces."""
    faces = []
    z = 0.42 * min(height, 1.9)
    braking = rng.random() < 0.25
    for end, light in ((-1.0, (255, 40, 30) if braking else (150, 18, 20)), (1.0, (235, 235, 225))):
        x = end * (length / 2 + 0.012)
        normal = (end, 0.0, 0.0)

        def panel(
            y0: float, y1: float, z0: float, z1: float, color: tuple, x: float = x, normal: tuple = normal
        ) -> Face:
            return _face([(x, y0, z0), (x, y1, z0), (x, y1, z1), (x, y0, z1)], color, normal)

        faces.append(panel(-width / 2, width / 2, 0.22, 0.4, (40, 40, 42)))
        plate = (225, 225, 215) if rng.random() < 0.6 else (215, 180, 40)
        faces.append(panel(-0.26, 0.26, z - 0.06, z + 0.06, plate))
        for side in (-1.0, 1.0):
            faces.append(panel(side * (width / 2 - 0.28), side * (width / 2 - 0.02), z + 0.03, z + 0.22, light))
    return faces


def _wheels(rng: np.random.Generator, length: float, width: float, height: float, kind: str) -> list[Face]:
    radius = 0.48 if kind in ("bus", "truck") else 0.32
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    rim = np.full(3, rng.uniform(90, 190))
    faces = []
    for sign in (-1.0, 1.0):
        for x in (-0.3 * length, 0.31 * length):
            for r, color, lift in (
                (radius * 1.14, (18, 18, 18), 0.008),
                (radius, (28, 28, 28), 0.016),
                (radius * 0.62, rim, 0.024),
            ):
                ring = np.column_stack(
                    [x + r * np.cos(angle), np.full(16, sign * (width / 2 + lift)), radius + r * np.sin(angle)]
                )
                ring[:, 2] = ring[:, 2].clip(0, None)
                faces.append(_face(ring, color, (0.0, sign, 0.0)))
    # The dark gap between the wheels: without it a car floats above the road.
    for end in (-1.0, 1.0):
        x = end * length * 0.46
        faces.insert(
            0,
            _face(
                [(x, -width * 0.47, 0.0), (x, width * 0.47, 0.0), (x, width * 0.47, 0.3), (x, -width * 0.47, 0.3)],
                (15, 15, 16),
                (end, 0.0, 0.0),
            ),
        )
    return faces
