"""Surfaces from noise: ground tiles that repeat without a seam, façades, foliage, fences."""

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
