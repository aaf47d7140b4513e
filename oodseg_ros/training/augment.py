"""Augmentation: one window of a frame, scaled, mirrored, padded, drawn once and applied to several frames; and changes
of colours and sharpness of a crop, RGB uint8 in and out.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..frame import UNLABELED
from ..outliers.style_alignment import color_jitter
from .data_recipe import AugmentSpec


@dataclass(frozen=True)
class Geometry:
    """What part of a frame is seen, and how large.

    Only that part is scaled: the time goes with the result, not with the frame.

    Attributes:
        window: row, column, height and width in the frame.
        scaled: (H, W) that the window is resized to; at most `crop`.
        crop: (H, W); missing rows and columns are added below and at the right.
        angle: rotation in degrees about the centre of the crop.
        pad: (H, W) around the centred crop, or None.
    """

    window: tuple[int, int, int, int]
    scaled: tuple[int, int]
    crop: tuple[int, int]
    mirror: bool = False
    upside_down: bool = False
    angle: float = 0.0
    pad: tuple[int, int] | None = None

    def __call__(self, image: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 `[H, W, 3]` and target uint8 `[H, W]` → new ones of the asked size; no content = black / 255."""
        return self._one(image, 0), self._one(target, UNLABELED)

    def _one(self, array: np.ndarray, outside: int) -> np.ndarray:
        row, column, height, width = self.window
        array = array[row : row + height, column : column + width]
        if array.shape[:2] != self.scaled:
            area = cv2.INTER_AREA if self.scaled[0] < height else cv2.INTER_LINEAR
            array = cv2.resize(array, self.scaled[::-1], interpolation=area if array.ndim == 3 else cv2.INTER_NEAREST)
        below, right = self.crop[0] - array.shape[0], self.crop[1] - array.shape[1]
        array = _border(array, 0, below, 0, right, outside)
        if self.angle:
            matrix = cv2.getRotationMatrix2D(((self.crop[1] - 1) / 2, (self.crop[0] - 1) / 2), self.angle, 1.0)
            flags = cv2.INTER_LINEAR if array.ndim == 3 else cv2.INTER_NEAREST
            array = cv2.warpAffine(array, matrix, self.crop[::-1], flags=flags, borderValue=(outside,) * 3)
        if self.mirror:
            array = array[:, ::-1]
        if self.upside_down:
            array = array[::-1]
        if self.pad is not None:
            down, across = (max(0, want - have) for want, have in zip(self.pad, self.crop, strict=True))
            array = _border(array, down // 2, down - down // 2, across // 2, across - across // 2, outside)
        # A view of a frame that others see too must not be drawn into.
        return np.require(array, requirements=["C", "O", "W"])


def draw_geometry(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    crop: tuple[int, int],
    augment: AugmentSpec,
    widths: tuple[float, float],
) -> Geometry:
    """A random geometry for a frame of `shape`.

    Args:
        widths: range of the width of the whole scaled frame where `augment.scale` is None; the network meets objects
            at these sizes.
    """
    if augment.scale is not None:
        scale = rng.uniform(*augment.scale)
    else:
        scale = np.exp(rng.uniform(np.log(widths[0]), np.log(widest(shape, augment, widths)))) / shape[1]
    shifted = augment.color == "shift"
    if shifted and rng.random() < 0.5:
        scale *= float(rng.choice([0.7, 0.8, 0.9, 1.0]))
    rows, columns = (_window(rng, have, want, scale) for have, want in zip(shape, crop, strict=False))
    return Geometry(
        window=(rows[0], columns[0], rows[1], columns[1]),
        scaled=(rows[2], columns[2]),
        crop=crop,
        mirror=bool(rng.random() < augment.mirror),
        upside_down=bool(shifted and rng.random() < 0.5),
        angle=float(rng.uniform(-10, 10)) if shifted and rng.random() < 0.5 else 0.0,
        pad=augment.pad,
    )


def widest(shape: tuple[int, ...], augment: AugmentSpec, widths: tuple[float, float]) -> float:
    """Largest width that a whole frame of `shape` is scaled to."""
    if augment.scale is not None:
        return augment.scale[1] * shape[1]
    # Small originals are not blown up beyond what their sharpness bears.
    return max(widths[0], min(widths[1], augment.enlarge * shape[1]))


def whole(shape: tuple[int, ...], scale: float) -> Geometry:
    """The whole frame, scaled."""
    size = (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale)))
    return Geometry((0, 0, shape[0], shape[1]), size, size)


def _window(rng: np.random.Generator, have: int, want: int, scale: float) -> tuple[int, int, int]:
    """(start, length in the frame, length in the crop) along one axis."""
    length = max(1, round(want / scale))
    if length >= have:
        return 0, have, min(want, max(1, round(have * scale)))
    return int(rng.integers(have - length + 1)), length, want


def _border(array: np.ndarray, top: int, bottom: int, left: int, right: int, value: int) -> np.ndarray:
    if not (top or bottom or left or right):
        return array
    return cv2.copyMakeBorder(array, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(value,) * 3)


def change_colors(rng: np.random.Generator, image: np.ndarray, augment: AugmentSpec) -> np.ndarray:
    """What `augment.color` says; the image itself is not changed."""
    if augment.color == "camera":
        return camera(rng, image)
    if augment.color == "shift":
        return shift(rng, image)
    if augment.color == "jitter" and rng.random() < augment.jitter_probability:
        return color_jitter(rng, image, *augment.jitter)
    return image


def camera(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What cameras do to a scene: gain, contrast, colour cast, saturation, fog, blur, noise, JPEG."""
    # Everything up to the fog is linear in (R, G, B, 1): composed as a 3x4 matrix and applied in one pass.
    linear, mean = np.hstack([np.eye(3), np.zeros((3, 1))]), np.array(cv2.mean(image)[:3])
    if rng.random() < 0.7:
        linear *= rng.uniform(0.6, 1.4)
        linear[:, 3] += rng.uniform(-25, 25)
    if rng.random() < 0.5:
        level = (linear[:, :3] @ mean + linear[:, 3]).mean()
        gain = rng.uniform(0.6, 1.4)
        linear *= gain
        linear[:, 3] += level * (1 - gain)
    if rng.random() < 0.4:
        linear *= rng.uniform(0.85, 1.15, 3)[:, None]
    if rng.random() < 0.5:
        keep = rng.uniform(0.3, 1.5)
        linear = (keep * np.eye(3) + (1 - keep) / 3) @ linear
    if rng.random() < 0.1:
        fog = rng.uniform(0.2, 0.6)
        linear *= 1 - fog
        linear[:, 3] += 200 * fog
    image = cv2.transform(image, linear)
    if rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.3:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = cv2.addWeighted(image, 1.0, noise, float(rng.uniform(2, 10)), 0.0, dtype=cv2.CV_8U)
    if rng.random() < 0.3:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def shift(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Strong changes, each with probability 0.5, as MultiShiftSeg uses for Mask2Former (arXiv 2411.03829)."""
    if rng.random() < 0.5:
        image = color_jitter(rng, image, 0.8, 0.8, 0.8, 0.2)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (9, 9), float(rng.uniform(0.1, 5.0)))
    if rng.random() < 0.5:
        factor = float(rng.uniform(0.0, 2.0))
        kernel = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
        image = cv2.addWeighted(image, factor, cv2.filter2D(image, -1, kernel), 1 - factor, 0.0)
    if rng.random() < 0.5:
        image = _autocontrast(image)
    if rng.random() < 0.5:
        image = np.dstack([cv2.equalizeHist(np.ascontiguousarray(image[..., channel])) for channel in range(3)])
    return image


def _autocontrast(image: np.ndarray) -> np.ndarray:
    """Each channel stretched to 0..255."""
    low = image.reshape(-1, 3).min(axis=0).astype(float)
    high = image.reshape(-1, 3).max(axis=0).astype(float)
    gain = np.where(high > low, 255.0 / np.maximum(high - low, 1.0), 1.0)
    return cv2.transform(image, np.column_stack([np.diag(gain), np.where(high > low, -low * gain, 0.0)]))
