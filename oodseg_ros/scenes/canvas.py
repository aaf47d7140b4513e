"""A pinhole camera over a flat world (x forward along the road, y left, z up, the road at z = 0, metres), and painting
into an image and its id map at once: polygons, upright sprites and textured planes, far to near.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from .values import FENCE

NEAR = 0.4
"""Nothing closer than this (metres along the optical axis) is drawn."""


@dataclass(frozen=True)
class Camera:
    """Where the camera is and how it projects.

    Attributes:
        matrix: float64 `[3, 3]` K; integer pixel coordinates are pixel centers.
        size: (H, W) in pixels.
        mount_height: metres above the road.
        mount_pitch: radians, > 0 looks down.
        x, y, yaw: pose of the vehicle on the road (metres, radians, counter-clockwise); the camera is over its origin.
    """

    matrix: np.ndarray
    size: tuple[int, int]
    mount_height: float
    mount_pitch: float
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    @cached_property
    def rotation(self) -> np.ndarray:
        """float64 `[3, 3]`, world to optical frame (x right, y down, z forward)."""
        sin, cos = np.sin(self.mount_pitch), np.cos(self.mount_pitch)
        tilt = np.array([[0, -1, 0], [-sin, 0, -cos], [cos, 0, -sin]])
        s, c = np.sin(self.yaw), np.cos(self.yaw)
        return tilt @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])

    @cached_property
    def origin(self) -> np.ndarray:
        """Position of the camera in the world, `[3]`."""
        return np.array([self.x, self.y, self.mount_height])

    @cached_property
    def _lens(self) -> tuple[np.ndarray, np.ndarray]:
        return self.matrix[[0, 1], [0, 1]], self.matrix[:2, 2]

    @property
    def horizon(self) -> float:
        """Pixel row of the horizon; may lie outside the image."""
        return float(self.matrix[1, 2] - self.matrix[1, 1] * np.tan(self.mount_pitch))

    def optical(self, points: np.ndarray) -> np.ndarray:
        """World points `[N, 3]` in the optical frame."""
        return (np.asarray(points, float) - self.origin) @ self.rotation.T

    def pixels(self, optical: np.ndarray) -> np.ndarray:
        """Optical points `[N, 3]` with z > 0 as pixel coordinates `[N, 2]`."""
        focal, center = self._lens
        return optical[:, :2] / optical[:, 2:] * focal + center

    def outline(self, points: np.ndarray) -> np.ndarray | None:
        """Planar world polygon `[N, 3]` as pixel polygon `[M, 2]`, cut at the near plane; None if nothing is left."""
        optical = self.optical(points)
        if (optical[:, 2] < NEAR).any():
            optical = _clip(optical)
            if len(optical) < 3:
                return None
        return self.pixels(optical)

    def ground(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Ground points behind the pixels below the horizon, relative to the vehicle.

        Returns:
            forward, left: float32 `[rows, W]` metres; top: the image row that belongs to their first row.
        """
        rows, columns = self.size
        top = int(np.clip(np.ceil(self.horizon + 0.75), 0, rows))
        v = (np.arange(top, rows) - self.matrix[1, 2]) / self.matrix[1, 1]
        u = (np.arange(columns) - self.matrix[0, 2]) / self.matrix[0, 0]
        sin, cos = np.sin(self.mount_pitch), np.cos(self.mount_pitch)
        depth = self.mount_height / (v * cos + sin)
        forward = depth * (cos - v * sin)
        left = -depth[:, None] * u[None]
        return np.repeat(forward[:, None], columns, 1).astype(np.float32), left.astype(np.float32), top


def _clip(polygon: np.ndarray) -> np.ndarray:
    """The part of an optical polygon in front of the near plane (Sutherland-Hodgman for one plane)."""
    kept = []
    for here, there in zip(polygon, np.roll(polygon, -1, 0), strict=True):
        if here[2] >= NEAR:
            kept.append(here)
        if (here[2] >= NEAR) != (there[2] >= NEAR):
            kept.append(here + (there - here) * (NEAR - here[2]) / (there[2] - here[2]))
    return np.array(kept).reshape(-1, 3)


_SHIFT = 4  # fillPoly takes fixed-point coordinates; four fractional bits give smooth motion
_LIMIT = 16000.0


@dataclass(frozen=True)
class Texture:
    """A picture with premultiplied alpha and its halved copies: a list of uint8 `[h, w, 4]`, largest first."""

    levels: tuple[np.ndarray, ...]

    @property
    def aspect(self) -> float:
        return self.levels[0].shape[1] / self.levels[0].shape[0]


def texture(rgba: np.ndarray) -> Texture:
    """`Texture` of a straight-alpha uint8 `[h, w, 4]` (or opaque `[h, w, 3]`) picture."""
    if rgba.shape[2] == 3:
        rgba = np.dstack([rgba, np.full(rgba.shape[:2], 255, np.uint8)])
    alpha = rgba[..., 3]
    # Premultiplied, so that neither scaling nor blending drags in the color of transparent pixels.
    premultiplied = cv2.multiply(rgba, cv2.merge([alpha, alpha, alpha, np.full_like(alpha, 255)]), scale=1 / 255)
    levels = [premultiplied]
    while min(levels[-1].shape[:2]) >= 8:
        h, w = levels[-1].shape[:2]
        levels.append(cv2.resize(levels[-1], ((w + 1) // 2, (h + 1) // 2), interpolation=cv2.INTER_AREA))
    return Texture(tuple(levels))


@dataclass(frozen=True)
class Haze:
    """Aerial perspective: light of `color` (RGB) replaces 1 - exp(-density · distance) of what is seen."""

    color: tuple[float, float, float]
    density: float

    def share(self, distance: float | np.ndarray) -> float | np.ndarray:
        """Share of haze at `distance` metres, 0..1."""
        return 1.0 - np.exp(-self.density * distance)


@dataclass(frozen=True)
class Canvas:
    """The picture being painted: `image` RGB uint8 `[H, W, 3]` and `ids` uint8 `[H, W]`, both changed in place."""

    image: np.ndarray
    ids: np.ndarray
    camera: Camera
    haze: Haze

    def polygon(self, points: np.ndarray, color: tuple[float, ...], ident: int | None, distance: float = 0.0) -> None:
        """Fill a planar world polygon `[N, 3]` with one RGB color; `ident` None leaves the ids alone."""
        outline = self.camera.outline(points)
        if outline is None:
            return
        share = self.haze.share(distance)
        mixed = [c * (1 - share) + h * share for c, h in zip(color, self.haze.color, strict=True)]
        fixed = fixed_point(outline)
        self.fill(fixed, mixed, ident)

    def fill(self, fixed: np.ndarray, color: list[float], ident: int | None) -> None:
        """Fill a polygon given by `fixed_point` pixels with an RGB color; `ident` None leaves the ids alone."""
        cv2.fillPoly(self.image, [fixed], color, cv2.LINE_AA, _SHIFT)
        if ident is not None:
            cv2.fillPoly(self.ids, [fixed], ident, cv2.LINE_8, _SHIFT)

    def sprite(
        self, picture: Texture, base: np.ndarray, width: float, height: float, ident: int, alpha: float = 1.0
    ) -> None:
        """Paint an upright picture that faces the camera; `base` `[3]` = middle of its lower edge; sizes in metres."""
        optical = self.camera.optical(base[None])[0]
        if optical[2] < NEAR:
            return
        u, v = self.camera.pixels(optical[None])[0]
        scale = self.camera.matrix[0, 0] / optical[2]
        w, h = width * scale, height * scale
        rows, columns = self.ids.shape
        x0, x1 = max(int(np.floor(u - w / 2)), 0), min(int(np.ceil(u + w / 2)) + 1, columns)
        y0, y1 = max(int(np.floor(v - h)), 0), min(int(np.ceil(v)) + 1, rows)
        if x0 >= x1 or y0 >= y1:
            return
        source = _level(picture, w * h)
        sx, sy = w / source.shape[1], h / source.shape[0]
        affine = np.array([[sx, 0, u - w / 2 + 0.5 * sx - x0], [0, sy, v - h + 0.5 * sy - y0]])
        patch = cv2.warpAffine(source, affine, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        self._blend(patch, (slice(y0, y1), slice(x0, x1)), ident, optical[2], alpha)

    def plane(self, picture: Texture, corner: np.ndarray, along: np.ndarray, down: np.ndarray, ident: int) -> None:
        """Paint a picture on a parallelogram: upper left `corner`, edge vectors `along` (its x) and `down` (its y)."""
        quad = np.array([corner, corner + along, corner + along + down, corner + down])
        optical = self.camera.optical(quad)
        outline = self.camera.outline(quad)
        if outline is None:
            return
        rows, columns = self.ids.shape
        low = np.floor(np.clip(outline.min(0), -1, [columns, rows])).astype(int).clip(0)
        high = np.ceil(np.clip(outline.max(0), -1, [columns, rows])).astype(int) + 1
        x0, y0, x1, y1 = *low, min(high[0], columns), min(high[1], rows)
        if x0 >= x1 or y0 >= y1:
            return
        source = _level(picture, abs(cv2.contourArea(outline.astype(np.float32))))
        h, w = source.shape[:2]
        basis = np.column_stack([self.camera.rotation @ along / w, self.camera.rotation @ down / h, optical[0]])
        matrix = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]]) @ self.camera.matrix @ basis
        matrix = matrix @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        patch = cv2.warpPerspective(source, matrix, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
        if (optical[:, 2] < NEAR).any():
            inside = np.zeros(patch.shape[:2], np.uint8)
            cv2.fillPoly(inside, [fixed_point(outline - [x0, y0])], 255, cv2.LINE_8, _SHIFT)
            patch = cv2.bitwise_and(patch, patch, mask=inside)
        self._blend(patch, (slice(y0, y1), slice(x0, x1)), ident, max(float(optical[:, 2].mean()), 0.0))
        if ident == FENCE:
            # Annotators outline a fence; they do not cut out what is seen through it.
            cv2.fillPoly(self.ids, [fixed_point(outline)], ident, cv2.LINE_8, _SHIFT)

    def _blend(
        self, patch: np.ndarray, where: tuple[slice, slice], ident: int, distance: float, alpha: float = 1.0
    ) -> None:
        """Lay a premultiplied RGBA patch over the image; its solid pixels take the id."""
        if alpha < 1.0:
            patch = cv2.convertScaleAbs(patch, alpha=alpha)
        opacity = cv2.extractChannel(patch, 3)
        rgb = cv2.cvtColor(patch, cv2.COLOR_BGRA2BGR)  # drops the alpha; the channel order stays
        share = float(self.haze.share(distance))
        if share > 0.01:
            veil = cv2.merge([cv2.convertScaleAbs(opacity, alpha=share * c / 255) for c in self.haze.color])
            rgb = cv2.addWeighted(rgb, 1 - share, veil, 1.0, 0.0)
        rest = cv2.bitwise_not(opacity)
        dimmed = cv2.multiply(self.image[where], cv2.merge([rest, rest, rest]), scale=1 / 255)
        self.image[where] = cv2.add(dimmed, rgb)
        self.ids[where][opacity > 127 * min(alpha, 1.0)] = ident


def fixed_point(outline: np.ndarray) -> np.ndarray:
    """Pixel polygon `[N, 2]` as the int32 fixed-point polygon that cv2 fills with `shift`."""
    return np.round(np.clip(outline, -_LIMIT, _LIMIT) * (1 << _SHIFT)).astype(np.int32)


def _level(picture: Texture, area: float) -> np.ndarray:
    """The copy of a picture whose pixels are about as large as the image's, for a projection of `area` pixels."""
    h, w = picture.levels[0].shape[:2]
    level = int(max(0.0, 0.5 * np.log2(h * w / max(area, 1.0)) + 0.3))
    return picture.levels[min(level, len(picture.levels) - 1)]
