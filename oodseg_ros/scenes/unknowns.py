"""Procedural unknown objects: what they are, how large, and their pictures."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from . import shapes
from .figures import Sheet
from .textures import noise

Draw = Callable[[Sheet, np.random.Generator], None]

# name: (drawer, width / height of the sheet, smallest and largest height in metres)
KINDS: dict[str, tuple[Draw, float, float, float]] = {
    "carton": (shapes.carton, 1.0, 0.25, 0.7),
    "crate": (shapes.crate, 1.4, 0.2, 0.5),
    "pallet": (shapes.pallet, 1.2, 0.8, 1.2),
    "flat pallet": (shapes.pallet, 5.1, 0.14, 0.24),
    "tyre": (shapes.tyre, 1.0, 0.5, 0.85),
    "lying tyre": (shapes.tyre, 2.2, 0.22, 0.34),
    "barrel": (shapes.barrel, 0.75, 0.6, 1.0),
    "rock": (shapes.rock, 1.4, 0.15, 0.8),
    "bag": (shapes.bag, 1.0, 0.3, 0.8),
    "animal": (shapes.animal, 1.6, 0.3, 1.4),
    "plank": (shapes.plank, 8.0, 0.12, 0.28),
    "ladder": (shapes.ladder, 4.5, 0.3, 0.55),
    "chair": (shapes.chair, 0.65, 0.75, 1.0),
    "sofa": (shapes.sofa, 2.3, 0.7, 0.9),
    "mattress": (shapes.mattress, 2.2, 0.5, 1.0),
    "ball": (shapes.ball, 1.0, 0.2, 0.5),
    "cone": (shapes.cone, 0.75, 0.4, 0.8),
    "trolley": (shapes.trolley, 1.1, 0.8, 1.05),
    "suitcase": (shapes.suitcase, 0.75, 0.5, 0.8),
    "debris": (shapes.debris, 2.2, 0.2, 0.5),
}


def unknown(rng: np.random.Generator) -> tuple[str, np.ndarray, float]:
    """A random unknown: its kind, straight-alpha RGBA uint8 picture cut to its outline, and height in metres."""
    kind = str(rng.choice(list(KINDS)))
    draw, aspect, low, high = KINDS[kind]
    rows = 160 if aspect < 3 else 64
    sheet = Sheet(rows, max(round(rows * aspect), 8))
    draw(sheet, rng)
    picture = sheet.shaded(rng, float(rng.uniform(8, 24)), float(rng.uniform(-1, 1)))
    if rng.random() < 0.35:
        stain = cv2.resize(noise(rng, 128, 5, 3), picture.shape[1::-1])
        picture[..., :3] = np.where(
            (stain > 0.7)[..., None], picture[..., :3] * rng.uniform(0.5, 0.85), picture[..., :3]
        )
    return kind, trimmed(picture), float(rng.uniform(low, high))


def trimmed(picture: np.ndarray) -> np.ndarray:
    """The picture without transparent margins, so that its lowest row is where the thing stands."""
    rows, columns = np.flatnonzero((picture[..., 3] > 127).any(1)), np.flatnonzero((picture[..., 3] > 127).any(0))
    return np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
