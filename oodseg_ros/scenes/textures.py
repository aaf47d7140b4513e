"""Surfaces from noise: ground tiles that repeat without a seam, foliage, and pictures for upright planes along the road
(façades, hedges, forest edges, fences, walls) as RGBA uint8.
"""

from __future__ import annotations

import cv2
import numpy as np

TILE = 512
TILE_METRES = 5.12


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4, decay: float = 0.55) -> np.ndarray:
    """Seamless fractal noise, float32 `[size, size]`, mean 0, deviation 1; `cells` = coarsest grains per side."""
    count = min(cells, size)
    field = rng.standard_normal((count, count), np.float32)
    weight = decay
    # From coarse to fine, adding grain at each doubling: the cost is that of the last step alone.
    while count < size:
        count = min(2 * count, size)
        field = _enlarged(field, count)
        octaves -= 1
        if octaves > 0:
            field += weight * rng.standard_normal((count, count), np.float32)
            weight *= decay
    return (field - field.mean()) / max(float(field.std()), 1e-6)


def _enlarged(field: np.ndarray, size: int) -> np.ndarray:
    """A seamless field enlarged to `size` x `size`, seamless again."""
    pad = 2
    wrapped = cv2.copyMakeBorder(field, pad, pad, pad, pad, cv2.BORDER_WRAP)
    factor = size / field.shape[0]
    total = round((field.shape[0] + 2 * pad) * factor)
    large = cv2.resize(wrapped, (total, total), interpolation=cv2.INTER_CUBIC if size <= 64 else cv2.INTER_LINEAR)
    start = round(pad * factor)
    return np.ascontiguousarray(large[start : start + size, start : start + size])


def mottle(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Cheap soft noise, float32 `[height, width]`, mean about 0, standard deviation about 1."""
    coarse = cv2.resize(rng.standard_normal((6, 6), np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    fine = rng.standard_normal((max(height // 4, 4), max(width // 4, 4)), np.float32)
    return coarse + 0.6 * cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR)


def colored(
    field: np.ndarray, color: np.ndarray, contrast: float, tint: tuple[float, float, float] = (1, 1, 1)
) -> np.ndarray:
    """RGB uint8 picture: `color` plus `contrast` times the float32 field, times `tint` per channel; saturated."""
    field = np.ascontiguousarray(field, np.float32)
    channels = [
        cv2.addWeighted(field, contrast * t, field, 0, float(c), dtype=cv2.CV_8U)
        for c, t in zip(color, tint, strict=True)
    ]
    return cv2.merge(channels)


def asphalt(rng: np.random.Generator) -> np.ndarray:
    """Road surface tile, RGB uint8 `[512, 512, 3]`: asphalt or concrete, sometimes setts."""
    gray = rng.uniform(75, 150)
    color = gray + rng.normal(0, 2.5, 3)
    fine = rng.standard_normal((TILE, TILE), np.float32)
    field = 0.8 * fine + rng.uniform(0.2, 0.8) * noise(rng, TILE, 4, 5)
    tile = colored(field, color, rng.uniform(4, 12))
    if rng.random() < 0.12:
        tile = _setts(rng, tile, int(rng.choice([32, 64])), rng.uniform(4, 10))
    return tile


def paving(rng: np.random.Generator) -> np.ndarray:
    """Sidewalk tile, RGB uint8 `[512, 512, 3]`: slabs or small stones."""
    color = rng.uniform(95, 185) + rng.normal(0, 4, 3) + np.array([4, 0, -5])
    field = 0.7 * rng.standard_normal((TILE, TILE), np.float32) + 0.6 * noise(rng, TILE, 5, 4)
    tile = colored(field, color, rng.uniform(4, 10))
    if rng.random() < 0.85:
        tile = _setts(rng, tile, int(rng.choice([8, 16, 16, 32])), rng.uniform(3, 9))
    return tile


def grass(rng: np.random.Generator) -> np.ndarray:
    """Lawn, verge or soil tile, RGB uint8 `[512, 512, 3]`."""
    dry = rng.random() ** 2
    color = np.array([70, 105, 45]) * (1 - dry) + np.array([140, 125, 80]) * dry + rng.normal(0, 10, 3)
    field = 0.8 * noise(rng, TILE, 64, 3) + 0.6 * noise(rng, TILE, 4, 3)
    return colored(field, color, rng.uniform(12, 22), (1.0, 1.05, 0.6))


def _setts(rng: np.random.Generator, tile: np.ndarray, count: int, spread: float) -> np.ndarray:
    """Cut a tile into `count` x `count` stones of differing brightness with dark joints."""
    step = TILE // count
    tone = rng.normal(0, spread, (count, count)).astype(np.float32)
    tone = cv2.resize(tone, (TILE, TILE), interpolation=cv2.INTER_NEAREST)
    joint = np.full((TILE, TILE), 255, np.uint8)
    width = max(1, step // 24)
    for row in range(count):
        joint[row * step : row * step + width] = 184
        start = (row % 2) * step // 2
        for shift in range(width):
            joint[row * step : (row + 1) * step, start + shift :: step] = 184
    stones = cv2.add(tile, cv2.merge([tone] * 3), dtype=cv2.CV_8U)
    return cv2.multiply(stones, cv2.merge([joint] * 3), scale=1 / 255)


def foliage(rng: np.random.Generator, height: int, width: int, color: np.ndarray, leaf: int = 5) -> np.ndarray:
    """Leaves about `leaf` pixels large, RGB uint8 `[height, width, 3]`: clumps lit from above, dark gaps."""
    size = 256
    cells = max(size // (leaf * 8), 3)
    field = noise(rng, size, cells, 6, 0.75)
    rows, columns = np.arange(height) % size, np.arange(width) % size
    field = np.ascontiguousarray(field[rows][:, columns])
    shade = np.linspace(0.35, -0.35, height, dtype=np.float32)[:, None]
    return colored(field + shade, color, float(rng.uniform(18, 32)), (0.9, 1.0, 0.6))


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
