"""Geometric and photometric augmentation of one frame; numpy and OpenCV, seeded by the caller's generator."""

from __future__ import annotations

import cv2
import numpy as np

from ..frame import UNLABELED


def scale_crop_flip(
    rng: np.random.Generator, image: np.ndarray, label: np.ndarray, size: tuple[int, int], sides: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Random scale, crop (padded with black / 255 where the image ends) and horizontal flip.

    Args:
        size: (H, W) of the result.
        sides: range of the width of the scaled image in pixels; the network meets objects at these scales.
    """
    height, width = size
    scale = np.exp(rng.uniform(np.log(sides[0]), np.log(sides[1]))) / image.shape[1]
    new = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    image = cv2.resize(image, new, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    label = cv2.resize(label, new, interpolation=cv2.INTER_NEAREST)
    y0, x0 = (int(rng.integers(0, max(0, have - want) + 1)) for have, want in zip(image.shape[:2], size, strict=True))
    image, label = image[y0 : y0 + height, x0 : x0 + width], label[y0 : y0 + height, x0 : x0 + width]
    below, right = height - image.shape[0], width - image.shape[1]
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        label = cv2.copyMakeBorder(label, 0, below, 0, right, cv2.BORDER_CONSTANT, value=UNLABELED)
    if rng.random() < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    # The frame itself is shared, the result is drawn into.
    return tuple(np.require(array, requirements=["C", "O", "W"]) for array in (image, label))


def photometric(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """What cameras do to a scene: gain, contrast, colour cast, saturation, blur, noise, JPEG. RGB uint8 in and out."""
    x = image.astype(np.float32)
    if rng.random() < 0.7:
        x = x * rng.uniform(0.6, 1.4) + rng.uniform(-25, 25)
    if rng.random() < 0.5:
        x = (x - x.mean()) * rng.uniform(0.6, 1.4) + x.mean()
    if rng.random() < 0.4:
        x = x * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.5:
        gray = x.mean(axis=2, keepdims=True)
        x = gray + (x - gray) * rng.uniform(0.3, 1.5)
    if rng.random() < 0.1:
        fog = rng.uniform(0.2, 0.6)
        x = x * (1 - fog) + 200 * fog
    if rng.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.4, 1.6)))
    if rng.random() < 0.3:
        x = x + rng.normal(0, rng.uniform(2, 10), x.shape).astype(np.float32)
    image = np.clip(x, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image
