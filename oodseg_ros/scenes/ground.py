"""The flat part of a world: strips of road, sidewalk and grass, what is painted on them, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import cv2
import numpy as np

from .canvas import Camera, Canvas, fixed_point
from .textures import TILE, TILE_METRES
from .values import ROAD, SIDEWALK, VEGETATION


@dataclass(frozen=True)
class Area:
    """A rectangle of ground of one class: x0..x1 along the road, y0..y1 across; `tone` scales its brightness."""

    x0: float
    x1: float
    y0: float
    y1: float
    ident: int
    tone: float = 1.0


@dataclass(frozen=True)
class Mark:
    """A polygon `[N, 2]` on the ground: `strength` 0..1 of `color`; it changes no label."""

    points: np.ndarray
    color: tuple[float, float, float]
    strength: float

    @cached_property
    def reach(self) -> tuple[float, float]:
        """Smallest and largest x."""
        return float(self.points[:, 0].min()), float(self.points[:, 0].max())


@dataclass(frozen=True)
class Ground:
    """Everything flat; later areas and marks lie over earlier ones.

    `tiles` holds a color pyramid per class id; `broad` a pyramid of two channels: brightness (128 = as is) and how much
    paint is left (255 = all).
    """

    areas: tuple[Area, ...]
    marks: tuple[Mark, ...]
    tiles: dict[int, tuple[np.ndarray, ...]]
    broad: tuple[np.ndarray, ...]


def pyramid(tile: np.ndarray) -> tuple[np.ndarray, ...]:
    """A seamless tile and its halved copies down to 8 pixels, for calm distances."""
    levels = [tile]
    while levels[-1].shape[0] > 8:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    # One more row and column, so that sampling between the last and the first pixel needs no border rule.
    return tuple(cv2.copyMakeBorder(level, 0, 1, 0, 1, cv2.BORDER_WRAP) for level in levels)


class GroundView:
    """The ground grid of one camera, kept over the frames of a drive."""

    def __init__(self, camera: Camera):
        self.forward, self.left, self.top = camera.ground()
        depth = self.forward[:, 0]
        # Metres per pixel along the road: d² / (f h); the tile copy with about that many metres per pixel is sampled.
        step = np.abs(np.gradient(depth)) if len(depth) > 1 else np.full(len(depth), 0.1)
        across = depth / camera.matrix[0, 0]
        grain = TILE_METRES / TILE
        levels = np.log2(np.maximum(np.sqrt(np.maximum(step, 1e-6) * np.maximum(across, 1e-6)), 1e-6) / grain)
        self.levels = np.clip(np.ceil(levels), 0, 6).astype(int)

    def maps(self, camera: Camera, metres: float) -> tuple[np.ndarray, np.ndarray]:
        """Where each ground pixel looks into a tile that repeats every `metres`: float32 `[rows, W]` in 0..TILE."""
        s, c = np.float32(np.sin(camera.yaw)), np.float32(np.cos(camera.yaw))
        scale = np.float32(1 / metres)
        found = []
        for field in (
            (self.forward * c - self.left * s) * scale + np.float32(camera.x / metres % 1.0),
            (self.forward * s + self.left * c) * scale + np.float32(camera.y / metres % 1.0),
        ):
            # Wrapped here, because remap's own wrapping border is several times slower.
            field -= np.floor(field)
            found.append(field * np.float32(TILE))
        return found[0], found[1]

    def sample(self, tiles: tuple[np.ndarray, ...], maps: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """The tile (a `pyramid`) as seen, uint8 `[rows, W, C]`."""
        out = np.empty((*maps[0].shape, *tiles[0].shape[2:]), np.uint8)
        edges = [0, *(np.flatnonzero(np.diff(self.levels)) + 1), len(self.levels)]
        for a, b in pairwise(edges):
            level = min(self.levels[a], len(tiles) - 1) if b > a else 0
            k = np.float32(0.5**level)
            if b > a:
                cv2.remap(tiles[level], maps[0][a:b] * k, maps[1][a:b] * k, cv2.INTER_LINEAR, dst=out[a:b])
        return out


def paint_ground(canvas: Canvas, ground: Ground, view: GroundView) -> None:
    """Paint areas and marks into image and ids; the rows above the horizon are left alone."""
    camera = canvas.camera
    rows = slice(view.top, None)
    if view.top >= canvas.ids.shape[0]:
        return
    canvas.ids[rows] = VEGETATION
    tone = np.full(canvas.ids.shape, 128, np.uint8)
    for area in ground.areas:
        if area.x1 < camera.x - 5 or area.x0 > camera.x + 300:
            continue
        corners = np.array([[area.x0, area.y0, 0], [area.x1, area.y0, 0], [area.x1, area.y1, 0], [area.x0, area.y1, 0]])
        outline = camera.outline(corners)
        if outline is None:
            continue
        cv2.fillPoly(canvas.ids, [fixed_point(outline)], area.ident, cv2.LINE_8, 4)
        cv2.fillPoly(tone, [fixed_point(outline)], min(128 * area.tone, 255), cv2.LINE_8, 4)
    ids = canvas.ids[rows]
    maps = view.maps(camera, TILE_METRES)
    picture = view.sample(ground.tiles[VEGETATION], maps)
    for ident in (SIDEWALK, ROAD):
        where = ids == ident
        if where.any():
            np.copyto(picture, view.sample(ground.tiles[ident], maps), where=where[..., None])
    broad = view.sample(ground.broad, view.maps(camera, 4 * TILE_METRES))
    gain = cv2.multiply(tone[rows], np.ascontiguousarray(broad[..., 0]), scale=1 / 128)
    canvas.image[rows] = cv2.multiply(picture, cv2.merge([gain] * 3), scale=1 / 128)
    _paint_marks(canvas, ground, rows, np.ascontiguousarray(broad[..., 1]))


def _paint_marks(canvas: Canvas, ground: Ground, rows: slice, wear: np.ndarray) -> None:
    """Marks by color, each color one mask, worn by `wear` (uint8, 255 = unworn)."""
    colors: dict[tuple[float, float, float], np.ndarray] = {}
    for mark in ground.marks:
        if mark.reach[1] < canvas.camera.x - 5 or mark.reach[0] > canvas.camera.x + 120:
            continue
        outline = canvas.camera.outline(np.column_stack([mark.points, np.zeros(len(mark.points))]))
        if outline is None:
            continue
        mask = colors.setdefault(mark.color, np.zeros(canvas.ids.shape, np.uint8))
        cv2.fillPoly(mask, [fixed_point(outline)], 255 * mark.strength, cv2.LINE_AA, 4)
    if not colors:
        return
    for color, mask in colors.items():
        share = cv2.multiply(mask[rows], wear, scale=1 / 255)
        rest = cv2.bitwise_not(share)
        coat = cv2.merge([cv2.convertScaleAbs(share, alpha=c / 255) for c in color])
        canvas.image[rows] = cv2.add(cv2.multiply(canvas.image[rows], cv2.merge([rest] * 3), scale=1 / 255), coat)
