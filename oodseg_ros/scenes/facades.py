"""Pictures for upright planes along the road: façades, hedges, forest edges, fences, walls. RGBA uint8."""

from __future__ import annotations

import cv2
import numpy as np

from .textures import colored, foliage, noise

DENSITY = 22
"""Pixels per metre of a façade."""


def facade(rng: np.random.Generator, width: float, height: float) -> np.ndarray:
    """The street side of a building of `width` x `height` metres: storeys of windows, doors or shops at the foot."""
    w, h = int(width * DENSITY), int(height * DENSITY)
    base = np.array([[170, 160, 145], [150, 90, 70], [205, 195, 175], [120, 120, 120], [190, 150, 110], [95, 85, 80]])
    color = base[rng.integers(6)] * rng.uniform(0.75, 1.15) + rng.normal(0, 6, 3)
    field = cv2.resize(0.7 * noise(rng, 256, 8, 5), (w, h))
    field += np.linspace(0.5, -0.6, h, dtype=np.float32)[:, None]
    picture = colored(field, color, rng.uniform(5, 11))
    if rng.random() < 0.35:
        picture[:: max(int(DENSITY * 0.12), 2)] = (picture[:: max(int(DENSITY * 0.12), 2)] * 0.85).astype(np.uint8)
    storey = rng.uniform(2.8, 3.8)
    count = max(int(height / storey), 1)
    bay = rng.uniform(1.8, 3.6)
    bays = max(int(width / bay), 1)
    pane_w, pane_h = rng.uniform(0.45, 0.7) * bay, rng.uniform(0.45, 0.68) * storey
    frame = np.clip(color * rng.uniform(0.4, 1.5), 0, 250)
    glass = np.array([55, 65, 75]) * rng.uniform(0.5, 1.6)
    for floor in range(count):
        foot = h - int((floor + 0.22) * storey * DENSITY)
        if floor == 0 and rng.random() < 0.5:
            _shop(rng, picture, w, h, storey)
            continue
        for index in range(bays):
            middle = (index + 0.5) * w / bays
            size = (pane_w * DENSITY / 2, pane_h * DENSITY)
            if floor == 0 and index == bays // 2:
                _rect(picture, middle - 12, h - int(2.2 * DENSITY), middle + 12, h, cloth_like(rng))
                continue
            pane = np.clip(glass * rng.uniform(0.6, 1.5) + (rng.random() < 0.12) * 70, 0, 255)
            _rect(picture, middle - size[0] - 2, foot - size[1] - 2, middle + size[0] + 2, foot + 2, frame)
            _rect(picture, middle - size[0], foot - size[1], middle + size[0], foot, pane)
            _rect(picture, middle - size[0], foot - size[1], middle + size[0], foot - size[1] * 0.6, pane * 1.25)
            _rect(picture, middle - 1, foot - size[1], middle + 1, foot, frame)
            _rect(picture, middle - size[0] - 3, foot + 2, middle + size[0] + 3, foot + 5, color * 0.7)
    _rect(picture, 0, 0, w, int(0.25 * DENSITY), color * 0.6)
    return np.dstack([picture, np.full((h, w), 255, np.uint8)])


def cloth_like(rng: np.random.Generator) -> np.ndarray:
    """A door or awning color."""
    return np.clip(rng.uniform(40, 170) + rng.normal(0, 35, 3), 15, 235)


def _rect(picture: np.ndarray, x0: float, y0: float, x1: float, y1: float, color: np.ndarray) -> None:
    cv2.rectangle(
        picture,
        (round(x0), round(y0)),
        (round(x1) - 1, round(y1) - 1),
        tuple(float(c) for c in np.clip(color, 0, 255)),
        -1,
    )


def _shop(rng: np.random.Generator, picture: np.ndarray, w: int, h: int, storey: float) -> None:
    """A shop front: glass, awning, letters."""
    top = h - int(0.92 * storey * DENSITY)
    _rect(picture, 4, top, w - 4, h, np.array([48, 52, 58]) * rng.uniform(0.6, 1.6))
    for x in np.arange(4, w, rng.uniform(1.2, 2.5) * DENSITY):
        _rect(picture, x, top, x + 4, h, np.array([95, 90, 85]))
    for _ in range(6):
        x, y = rng.uniform(0, w - 20), rng.uniform(top + 14, h - 16)
        _rect(picture, x, y, x + rng.uniform(6, 24), y + rng.uniform(8, 26), cloth_like(rng))
    awning = cloth_like(rng)
    _rect(picture, 2, top - 2, w - 2, top + 12, awning)
    for x in np.arange(w * 0.25, w * 0.7, 9):
        _rect(picture, x, top + 1, x + rng.uniform(3, 7), top + 9, 255 - awning)


def roof(rng: np.random.Generator, width: float, height: float) -> np.ndarray:
    """A tiled roof slope as a trapezoid."""
    w, h = int(width * DENSITY), max(int(height * DENSITY), 4)
    color = np.array([[135, 70, 50], [90, 85, 85], [110, 80, 65]])[rng.integers(3)] * rng.uniform(0.7, 1.2)
    picture = colored(cv2.resize(noise(rng, 128, 16, 3), (w, h)), color, 9)
    picture[::6] = (picture[::6] * 0.8).astype(np.uint8)
    alpha = np.zeros((h, w), np.uint8)
    inset = rng.uniform(0, 0.18) * w
    cv2.fillPoly(alpha, [np.array([[inset, 0], [w - inset, 0], [w, h], [0, h]]).astype(np.int32)], 255)
    return np.dstack([picture, alpha])


def greenery(rng: np.random.Generator, width: float, height: float, ragged: float, color: np.ndarray) -> np.ndarray:
    """A piece of hedge (`ragged` 0.1) or of a wood's edge (0.5) whose ends fit any other piece of that color."""
    density = 24 if height < 4 else 20
    w, h = int(width * density), int(height * density)
    color = np.clip(color + rng.normal(0, 3, 3), 10, 200)
    picture = foliage(rng, h, w, color, 4 if height < 4 else 7)
    bumps = cv2.resize(noise(rng, 256, 4 if height > 4 else 8, 6, 0.6), (w, w))[: max(int(h * 2 * ragged), 1)]
    ends = np.sqrt(np.sin(np.linspace(0, np.pi, w, dtype=np.float32)).clip(0))
    line = ragged * (0.45 + 0.35 * bumps * ends)
    y = (np.arange(h, dtype=np.float32) / h)[: len(bumps), None]
    alpha = np.full((h, w), 255, np.uint8)
    alpha[: len(bumps)] = np.where(y > line[: len(y)], 255, 0)
    if ragged > 0.3:
        for _ in range(int(width / 2)):
            x = int(rng.uniform(0, w))
            tone = tuple(float(c) for c in color * rng.uniform(0.4, 1.1))
            cv2.line(picture, (x, h), (x + int(rng.normal(0, 8)), int(h * rng.uniform(0.4, 0.8))), tone, 3)
    return np.dstack([picture, alpha])


def fence(rng: np.random.Generator, width: float, height: float) -> np.ndarray:
    """Bars, mesh, planks or a guard rail."""
    w, h = int(width * 40), int(height * 40)
    picture = np.zeros((h, w, 4), np.uint8)
    kind = rng.choice(["bars", "mesh", "planks", "rail"])
    color = tuple(float(c) for c in np.clip((rng.uniform(40, 200) + rng.normal(0, 12, 3)), 10, 240))
    solid = (*color, 255.0)
    if kind == "bars":
        for x in range(0, w, 7):
            cv2.line(picture, (x, 3), (x, h), solid, 2)
    elif kind == "mesh":
        for x in range(-h, w + h, 8):
            cv2.line(picture, (x, 0), (x + h, h), solid, 1)
            cv2.line(picture, (x, h), (x + h, 0), solid, 1)
    elif kind == "planks":
        for x in range(0, w, 6):
            shade = rng.uniform(0.8, 1.1)
            cv2.rectangle(
                picture, (x, int(rng.uniform(0, 3))), (x + 4, h), (*(min(c * shade, 255.0) for c in color), 255.0), -1
            )
    else:
        cv2.rectangle(picture, (0, int(h * 0.15)), (w, int(h * 0.5)), (165.0, 168.0, 170.0, 255.0), -1)
        cv2.rectangle(picture, (0, int(h * 0.29)), (w, int(h * 0.36)), (105.0, 108.0, 112.0, 255.0), -1)
    for y in (0.12, 0.85) if kind != "rail" else ():
        cv2.rectangle(picture, (0, int(h * y)), (w, int(h * y) + 3), solid, -1)
    for x in range(0, w, 80):
        cv2.rectangle(picture, (x, 0), (x + 4, h), (*(c * 0.8 for c in color), 255.0), -1)
    return picture


def gable(rng: np.random.Generator, width: float, height: float) -> np.ndarray:
    """The triangle of wall under the end of a roof."""
    picture = wall(rng, width, height)
    h, w = picture.shape[:2]
    picture[..., 3] = 0
    alpha = np.zeros((h, w), np.uint8)
    cv2.fillPoly(alpha, [np.array([[w / 2, 0], [w, h], [0, h]]).astype(np.int32)], 255)
    picture[..., 3] = alpha
    return picture


def wall(rng: np.random.Generator, width: float, height: float) -> np.ndarray:
    """A blank wall: plaster, concrete or bricks."""
    w, h = int(width * DENSITY), max(int(height * DENSITY), 4)
    color = np.array([[165, 155, 140], [140, 85, 65], [130, 130, 128]])[rng.integers(3)] * rng.uniform(0.7, 1.2)
    picture = colored(cv2.resize(noise(rng, 256, 8, 5), (w, h)), color, 8)
    picture[::5] = (picture[::5] * 0.88).astype(np.uint8)
    return np.dstack([picture, np.full((h, w), 255, np.uint8)])
