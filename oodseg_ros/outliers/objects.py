"""Object sources: RGBA cut-outs that are pasted into training images, and random shapes filled with foreign texture.

An object is RGBA uint8 `[h, w, 4]`; alpha above 127 is the object. A shape's texture comes from another frame's patch
(as in DRL, doi 10.1109/TCSVT.2025.3597071), from a cut-out, or from noise; the shape is a convex hull of random points,
an ellipse, a rotated rectangle or a star-shaped blob.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import DatasetError

MIN_PIXELS = 150
SUFFIXES = (".png", ".webp")
"""Of cut-outs: formats that hold an alpha channel."""


def load_cutouts(folder: str | Path, exclude: Iterable[str] = ()) -> list[np.ndarray]:
    """Read every RGBA PNG and WebP of a folder.

    Args:
        folder: PNG and WebP files, in folders below too; an optional `cutouts.json` beside them lists
            `{file, cls, kind}` per file.
        exclude: class or kind names (of `cutouts.json`) to leave out, e.g. against overlap with a test set.

    Raises:
        DatasetError: there is no such folder, it holds no usable cut-out, or its index names no such class.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"cut-outs {folder}: there is no such folder; give one of RGBA PNG or WebP files")
    names, excluded = _index(folder), set(exclude)
    # A filter that silently matches nothing would let in what a test set asks for.
    if unknown := sorted(excluded - set().union(*names.values())):
        known = ", ".join(sorted(filter(None, set().union(*names.values())))) or "none (cutouts.json is missing)"
        raise DatasetError(f"cut-outs {folder}: no class or kind {', '.join(unknown)}; its index names {known}")
    objects = []
    for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES):
        if names.get(file.name, set()) & excluded:
            continue
        rgba = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if rgba is None or rgba.ndim != 3 or rgba.shape[2] != 4:
            continue
        rgba = cv2.cvtColor(rgba, cv2.COLOR_BGRA2RGBA)
        if np.count_nonzero(rgba[..., 3] > 127) >= MIN_PIXELS:
            objects.append(tight(rgba))
    if not objects:
        raise DatasetError(
            f"no RGBA cut-out with at least {MIN_PIXELS} object pixels in {folder} "
            "(PNG or WebP files with alpha are needed)"
        )
    return objects


def _index(folder: Path) -> dict[str, set[str | None]]:
    file = folder / "cutouts.json"
    if not file.is_file():
        return {}
    try:
        return {
            entry["file"]: {entry.get("cls"), entry.get("kind")}
            for entry in json.loads(file.read_text(encoding="utf-8-sig"))
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} is no list of entries with `file`, `cls` and `kind`: {error!r}") from error


def tight(rgba: np.ndarray) -> np.ndarray:
    """The object cropped to the bounding box of its alpha."""
    rows = np.flatnonzero((rgba[..., 3] > 127).any(axis=1))
    columns = np.flatnonzero((rgba[..., 3] > 127).any(axis=0))
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def cut_components(image: np.ndarray, label: np.ndarray, classes: Sequence[int]) -> list[tuple[np.ndarray, int]]:
    """Known objects out of a labelled frame: each connected component of `classes` as (RGBA, class id).

    Pasted with the same code as the unknowns, they keep a network from learning "pasted" instead of "unknown".
    """
    found = []
    for class_id in classes:
        count, components, stats, _ = cv2.connectedComponentsWithStats(
            (label == class_id).astype(np.uint8), connectivity=8
        )
        for index in range(1, count):
            x, y, width, height, area = stats[index]
            border = x == 0 or y == 0 or x + width == label.shape[1] or y + height == label.shape[0]
            if border or area < MIN_PIXELS or area > label.size // 8 or area < 0.3 * width * height:
                continue
            window = np.s_[y : y + height, x : x + width]
            alpha = np.where(components[window] == index, 255, 0).astype(np.uint8)
            found.append((np.dstack([image[window], alpha]), int(class_id)))
    return found


SIDE = 128


def random_shape(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    """RGBA uint8 `[h, w, 4]`, at most 128 pixels a side, filled with `texture` (RGB uint8, any size, resized)."""
    alpha = np.zeros((SIDE, SIDE), np.uint8)
    kind = rng.integers(4)
    if kind == 0:
        points = rng.integers(4, SIDE - 4, (10, 2)).astype(np.int32)
        cv2.fillConvexPoly(alpha, cv2.convexHull(points), 255)
    elif kind == 1:
        axes = tuple(int(v) for v in rng.integers(SIDE // 6, SIDE // 2 - 2, 2))
        cv2.ellipse(alpha, (SIDE // 2, SIDE // 2), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    elif kind == 2:
        size = tuple(float(v) for v in rng.uniform(SIDE / 5, SIDE / 1.5, 2))
        box = cv2.boxPoints(((SIDE / 2, SIDE / 2), size, float(rng.uniform(-25, 25))))
        cv2.fillConvexPoly(alpha, box.astype(np.int32), 255)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, 14))
        radii = rng.uniform(0.35, 1.0, 14) * (SIDE / 2 - 2)
        points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1) + SIDE / 2
        cv2.fillPoly(alpha, [points.astype(np.int32)], 255)
        alpha = np.where(cv2.GaussianBlur(alpha, (0, 0), 3) > 127, 255, 0).astype(np.uint8)
    if np.count_nonzero(alpha) < 400:
        cv2.circle(alpha, (SIDE // 2, SIDE // 2), SIDE // 4, 255, -1)
    return tight(np.dstack([cv2.resize(texture, (SIDE, SIDE), interpolation=cv2.INTER_AREA), alpha]))


def random_texture(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """RGB uint8 texture: a patch of `image` with shifted colours, noise between two colours, or a plain colour."""
    kind = rng.random()
    if kind < 0.5:
        side = int(rng.integers(32, max(33, min(256, *image.shape[:2]))))
        y, x = rng.integers(image.shape[0] - side + 1), rng.integers(image.shape[1] - side + 1)
        patch = image[y : y + side, x : x + side]
        return shift_color(rng, patch, 0.5) if rng.random() < 0.7 else patch
    first, second = rng.integers(0, 256, (2, 3))
    if kind < 0.8:
        cells = int(rng.integers(2, 24))
        noise = cv2.resize(rng.random((cells, cells), dtype=np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        weight = np.clip(noise, 0, 1)[..., None]
        return (first * weight + second * (1 - weight)).astype(np.uint8)
    shade = np.linspace(rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0), SIDE)[:, None, None]
    return np.broadcast_to(first * shade, (SIDE, SIDE, 3)).astype(np.uint8)


def shift_color(rng: np.random.Generator, image: np.ndarray, strength: float) -> np.ndarray:
    """Random hue, saturation and brightness change; strength 1 = any hue, RGB uint8 in and out."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.float32)
    hsv[..., 0] = (hsv[..., 0] + rng.uniform(-90, 90) * strength) % 180
    hsv[..., 1:] *= rng.uniform(1 - 0.6 * strength, 1 + 0.6 * strength, 2)
    return cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB)
