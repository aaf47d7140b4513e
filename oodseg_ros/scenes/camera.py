"""Pinhole camera over a flat world: x forward along the road, y left, z up, the road at z = 0, metres."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

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
