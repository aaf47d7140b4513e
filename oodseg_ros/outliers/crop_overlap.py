"""Two overlapping crops of one image, changed independently (DRL, doi 10.1109/TCSVT.2025.3597071).

What both crops show must get the same answer. An extra unknown lies in the overlap with the same outline but another
texture in each crop. Every constant is a field with the published value.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..frame import OUTLIER, UNLABELED
from .patch_paste import Patch
from .style_alignment import color_jitter

HIDDEN = 128
"""Gray level of hidden blocks."""


@dataclass(frozen=True)
class CropRules:
    """What a pair of crops is.

    Attributes:
        size: (H, W) of both crops.
        stride: their offset is a multiple of it in both directions, as feature maps of that stride need.
        overlap: open range of intersection over union.
        mirror: probability of a flip, for each crop on its own.
        first, second: ColorJitter amounts of the first and the second crop; `jitter` is the probability of both.
        blur, gray: probability of blur and of losing all colour, first crop only.
        hidden, block: share of blocks outside the overlap that are hidden, and their side.
    """

    size: tuple[int, int] = (768, 768)
    stride: int = 4
    overlap: tuple[float, float] = (0.05, 0.3)
    mirror: float = 0.5
    first: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.2)
    second: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.05)
    jitter: float = 0.8
    blur: float = 0.5
    gray: float = 0.2
    hidden: float = 0.4
    block: int = 64


@dataclass(frozen=True)
class CropPair:
    """Two views.

    Attributes:
        images: uint8 RGB `[2, H, W, 3]`.
        labels: uint8 `[2, H, W]`.
        boxes: int64 `[2, 4]`: row0, column0, row1, column1 of the overlap inside each view, end excluded.
        flipped: whether each view is mirrored.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    flipped: tuple[bool, bool]


def crop_pair(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    *,
    patches: tuple[Patch, Patch] | None = None,
    rules: CropRules = CropRules(),
    outlier: int = OUTLIER,
) -> CropPair:
    """Two crops of `image` uint8 `[H, W, 3]` and `label` uint8 `[H, W]`; neither is changed.

    An image in which no two crops overlap as asked is padded below and at the right (black, not counted); the
    published code then takes the smallest overlap that it finds instead.

    Args:
        patches: of equal size; the mask of the first and the textures of both make the unknown in the overlap.
    """
    corners, (height, width) = overlapping_corners(rng, label.shape, rules)
    below, right = max(0, height - label.shape[0]), max(0, width - label.shape[1])
    if below or right:
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=(0, 0, 0))
        label = cv2.copyMakeBorder(label, 0, below, 0, right, cv2.BORDER_CONSTANT, value=UNLABELED)
    size = np.array(rules.size)
    top_left, bottom_right = corners.max(axis=0), corners.min(axis=0) + size
    place = None
    if patches is not None:
        side = np.minimum(patches[0].mask.shape, bottom_right - top_left)
        start = top_left + [int(rng.integers(room + 1)) for room in bottom_right - top_left - side]
        place = start, side
    images, labels, boxes, flips = [], [], [], []
    for view, corner in enumerate(corners):
        window = np.s_[corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]]
        rgb, target = image[window].copy(), label[window].copy()
        if patches is not None and place is not None:
            (y, x), (h, w) = place[0] - corner, place[1]
            mask = patches[0].mask[:h, :w]
            rgb[y : y + h, x : x + w][mask] = patches[view].image[:h, :w][mask]
            target[y : y + h, x : x + w][mask] = outlier
        box = np.concatenate([top_left - corner, bottom_right - corner])
        flip = bool(rng.random() < rules.mirror)
        if flip:
            rgb, target = np.ascontiguousarray(rgb[:, ::-1]), np.ascontiguousarray(target[:, ::-1])
            box = np.array([box[0], size[1] - box[3], box[2], size[1] - box[1]])
        if view == 0:
            rgb = _first_view(rng, rgb, rules)
        elif rng.random() < rules.jitter:
            rgb = color_jitter(rng, rgb, *rules.second)
        _hide(rng, rgb, target, box, rules)
        images.append(rgb)
        labels.append(target)
        boxes.append(box)
        flips.append(flip)
    return CropPair(np.stack(images), np.stack(labels), np.stack(boxes).astype(np.int64), (flips[0], flips[1]))


def overlapping_corners(
    rng: np.random.Generator, shape: tuple[int, ...], rules: CropRules
) -> tuple[np.ndarray, tuple[int, int]]:
    """Top left corners int `[2, 2]` of two crops, uniform over all allowed pairs, and (H, W) the image must have.

    Raises:
        ValueError: no offset gives such an overlap, however large the image is.
    """
    stride = rules.stride
    down, across = np.meshgrid(*(np.arange(0, side, stride) for side in rules.size), indexing="ij")
    inter = (rules.size[0] - down) * (rules.size[1] - across)
    iou = inter / (2 * rules.size[0] * rules.size[1] - inter)
    allowed = (iou > rules.overlap[0]) & (iou < rules.overlap[1])
    if not allowed.any():
        raise ValueError(f"crops of {rules.size} at stride {stride} cannot overlap by {rules.overlap}")
    height, width = max(shape[0], rules.size[0]), max(shape[1], rules.size[1])
    fits = allowed & (down <= height - rules.size[0]) & (across <= width - rules.size[1])
    if not fits.any():
        # The least padding that makes one offset possible.
        extra = np.maximum(down + rules.size[0] - height, 0) * width + np.maximum(across + rules.size[1] - width, 0)
        extra = np.where(allowed, extra, np.iinfo(np.int64).max)
        at = np.unravel_index(int(extra.argmin()), extra.shape)
        height, width = max(height, int(down[at]) + rules.size[0]), max(width, int(across[at]) + rules.size[1])
        fits = allowed & (down <= height - rules.size[0]) & (across <= width - rules.size[1])
    # An offset can lie at several places and, unless it is zero, in two directions.
    weight = (height - rules.size[0] - down + 1) * (width - rules.size[1] - across + 1)
    weight = weight * np.where(down > 0, 2, 1) * np.where(across > 0, 2, 1) * fits
    pick = int(np.searchsorted(np.cumsum(weight), rng.integers(weight.sum()), side="right"))
    offset = np.array([down.ravel()[pick], across.ravel()[pick]])
    free = np.array([height, width]) - rules.size - offset
    start = np.array([int(rng.integers(room + 1)) for room in free])
    corners = np.stack([start, start + offset])
    for axis in (0, 1):
        if rng.random() < 0.5:
            corners[:, axis] = corners[::-1, axis]
    return corners, (height, width)


def _first_view(rng: np.random.Generator, image: np.ndarray, rules: CropRules) -> np.ndarray:
    if rng.random() < rules.blur:
        side = int(rng.choice([3, 5, 7]))
        image = cv2.GaussianBlur(image, (side, side), 0)
    if rng.random() < rules.jitter:
        image = color_jitter(rng, image, *rules.first)
    if rng.random() < rules.gray:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return image


def _hide(rng: np.random.Generator, image: np.ndarray, label: np.ndarray, box: np.ndarray, rules: CropRules) -> None:
    """Hide blocks of the crop's own grid, but no pixel of the overlap, in place."""
    rows, columns = (-(-side // rules.block) for side in label.shape)
    hidden = np.kron(rng.random((rows, columns)) < rules.hidden, np.ones((rules.block, rules.block), bool))
    hidden = hidden[: label.shape[0], : label.shape[1]]
    hidden[box[0] : box[2], box[1] : box[3]] = False
    image[hidden] = HIDDEN
    label[hidden] = UNLABELED
