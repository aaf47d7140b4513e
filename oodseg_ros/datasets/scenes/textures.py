"""Surfaces from noise: ground tiles that repeat without a seam, façades, foliage, fences."""

from __future__ import annotations

import cv2
import numpy as np

TILE = 512
TILE_METRES = 5.12


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4, decay: float = 0.55) -> np.ndarray:
    """Seamless fractal noise, float32 `[size, size]`, mean 0, standard deviation 1; `cells` = grains per side."""
    total = np.zeros((size, size), np.float32)
    weight = 1.0
    for octave in range(octaves):
        count = min(cells << octave, size)
        grain = rng.standard_normal((count, count), np.float32)
        pad = 2
        wrapped = np.pad(grain, pad, mode="wrap")
        step = size / count
        large = cv2.resize(wrapped, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        start = round(pad * step)
        total += weight * large[start : start + size, start : start + size]
        weight *= decay
        if count == size:
            break
    return (total - total.mean()) / max(float(total.std()), 1e-6)


def colored(field: np.ndarray, color: np.ndarray, contrast: float, tint: np.ndarray | None = None) -> np.ndarray:
    """RGB uint8 picture: `color` plus `contrast` times the field (and `tint` times it per channel)."""
    rgb = np.asarray(color, np.float32) + contrast * field[..., None] * (
        1.0 if tint is None else np.asarray(tint, np.float32)
    )
    return np.clip(rgb, 0, 255).astype(np.uint8)


def asphalt(rng: np.random.Generator) -> np.ndarray:
    """Road surface tile, RGB uint8 `[512, 512, 3]`: asphalt or concrete, sometimes setts."""
    gray = rng.uniform(75, 150)
    color = gray + rng.normal(0, 4, 3)
    fine = rng.standard_normal((TILE, TILE), np.float32)
    field = 0.8 * fine + rng.uniform(0.2, 0.8) * noise(rng, TILE, 4, 5)
    tile = colored(field, color, rng.uniform(4, 12))
    if rng.random() < 0.12:
        tile = _setts(rng, tile, int(rng.choice([8, 16, 32])), rng.uniform(4, 10))
    return tile


def paving(rng: np.random.Generator) -> np.ndarray:
    """Sidewalk tile, RGB uint8 `[512, 512, 3]`: slabs or small stones."""
    color = rng.uniform(95, 185) + rng.normal(0, 7, 3) + np.array([4, 0, -4])
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
    return colored(field, color, rng.uniform(12, 22), np.array([1.0, 1.05, 0.6]))


def _setts(rng: np.random.Generator, tile: np.ndarray, count: int, spread: float) -> np.ndarray:
    """Cut a tile into `count` x `count` stones of differing brightness with dark joints."""
    step = TILE // count
    rows = np.repeat(rng.normal(0, spread, (count, count)), step, 0).repeat(step, 1)
    joint = np.ones((TILE, TILE), np.float32)
    width = max(1, step // 24)
    for line in range(0, TILE, step):
        joint[line : line + width] = 0.72
    for row in range(count):
        offset = (row % 2) * step // 2
        for line in range(offset, TILE, step):
            joint[row * step : (row + 1) * step, line : line + width] = 0.72
    return np.clip((tile + rows[..., None]) * joint[..., None], 0, 255).astype(np.uint8)


def foliage(rng: np.random.Generator, height: int, width: int, color: np.ndarray) -> np.ndarray:
    """Leaves, RGB uint8 `[height, width, 3]`: clumps lit from above, dark gaps."""
    size = 1 << max(height, width, 32).bit_length() - 1
    clumps = noise(rng, size, 6, 3)
    leaves = noise(rng, size, max(size // 5, 8), 2)
    field = cv2.resize(0.8 * clumps + 0.9 * leaves, (width, height))
    shade = np.linspace(0.35, -0.35, height, dtype=np.float32)[:, None]
    return colored(field + shade, color, float(rng.uniform(16, 30)), np.array([0.9, 1.0, 0.6]))
