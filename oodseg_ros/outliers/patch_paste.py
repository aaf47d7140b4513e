"""Pieces of other driving frames as unknowns (DRL, doi 10.1109/TCSVT.2025.3597071): no foreign data is needed.

Every constant is a field with the published value. The published code transforms whole source frames; here only
the square that is used is transformed, which gives the same pixels for a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ..frame import OUTLIER, UNLABELED
from .style_alignment import color_jitter

LOOK = 32
"""Rows and columns of a square that are looked at for its classes."""
Source = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""Draws another training frame: RGB uint8 `[H, W, 3]` and its labels uint8 `[H, W]`."""


@dataclass(frozen=True)
class PatchRules:
    """What a patch is.

    Attributes:
        sides: smallest and largest side of the square in pixels.
        source_scale: factor on the source frame.
        mirror, rotate: probability of a flip, and of a rotation by any angle.
        jitter: brightness, contrast, saturation and hue.
        purest: largest share of one class in the square; `tries` squares are looked at.
        hull, ellipse, circle: share of hulls of ten points; of the others, of ellipses and circles (else rectangles).
        on_road: share of patches whose top left corner is on `road` (class id).
        retries: new places while more than `purest` of the place is of the patch's own main class.
        opacity: range.
    """

    sides: tuple[int, int] = (32, 256)
    source_scale: tuple[float, float] = (1.5, 1.75)
    mirror: float = 0.5
    rotate: float = 0.5
    jitter: tuple[float, float, float, float] = (0.5, 0.5, 0.5, 0.2)
    purest: float = 0.5
    tries: int = 100
    hull: float = 0.7
    ellipse: float = 0.30
    circle: float = 0.36
    on_road: float = 0.7
    road: int = 0
    retries: int = 10
    opacity: tuple[float, float] = (0.9, 1.0)


@dataclass(frozen=True)
class Patch:
    """A square piece of a frame.

    Attributes:
        image: RGB uint8 `[s, s, 3]`.
        mask: bool `[s, s]`, the shape that is pasted.
        main_class: the most frequent label in the square.
    """

    image: np.ndarray
    mask: np.ndarray
    main_class: int


def paste_patches(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    source: Source,
    *,
    patches: int = 10,
    rules: PatchRules = PatchRules(),
    outlier: int = OUTLIER,
) -> None:
    """Paste patches of other frames into `image` uint8 `[H, W, 3]` and `label` uint8 `[H, W]`, in place."""
    for _ in range(patches):
        patch = cut_patch(rng, *source(rng), rules)
        y, x = _place(rng, label, patch, rules)
        window = np.s_[y : y + patch.mask.shape[0], x : x + patch.mask.shape[1]]
        height, width = label[window].shape
        mask = patch.mask[:height, :width]
        opacity = rng.uniform(*rules.opacity)
        blend = cv2.addWeighted(patch.image[:height, :width], opacity, image[window], 1 - opacity, 0)
        image[window][mask] = blend[mask]
        label[window][mask] = outlier


def cut_patch(
    rng: np.random.Generator, image: np.ndarray, label: np.ndarray, rules: PatchRules, side: int | None = None
) -> Patch:
    """A patch of one frame; several squares are looked at until none of its classes makes up too much.

    Args:
        image, label: the source frame, not changed.
        side: of the square; None = drawn from `rules.sides`.
    """
    to_source, size = _transform(rng, label.shape, rules)
    side = int(rng.integers(rules.sides[0], rules.sides[1] + 1)) if side is None else side
    step = max(1, side // LOOK)
    for _ in range(rules.tries):
        y, x = (int(rng.integers(max(1, length - side + 1))) for length in size)
        # Output pixel of the square → source pixel; one step instead of scale, flip, rotate and crop.
        matrix = (to_source @ np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]]))[:2]
        coarse = matrix @ np.diag([step, step, 1.0])
        flags = cv2.WARP_INVERSE_MAP | cv2.INTER_NEAREST
        square = cv2.warpAffine(label, coarse, (side // step, side // step), flags=flags, borderValue=UNLABELED)
        counts = np.bincount(square.ravel(), minlength=256)
        if counts.max() <= rules.purest * square.size:
            break
    rgb = cv2.warpAffine(image, matrix, (side, side), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
    rgb = color_jitter(rng, rgb, *rules.jitter)
    return Patch(rgb, patch_shape(rng, side, rules), int(counts.argmax()))


def patch_shape(rng: np.random.Generator, side: int, rules: PatchRules) -> np.ndarray:
    """bool `[side, side]`: a hull of ten random points, an ellipse, a circle or a rectangle."""
    mask = np.zeros((side, side), np.uint8)
    middle = (side // 2, side // 2)
    if rng.random() < rules.hull:
        points = rng.integers(0, side, (10, 2)).astype(np.int32)
        cv2.fillConvexPoly(mask, cv2.convexHull(points), 1)
        return mask.astype(bool)
    kind = rng.random()
    if kind < rules.ellipse:
        axes = tuple(int(v) for v in rng.integers(side // 4, side // 2, 2))
        cv2.ellipse(mask, middle, axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
    elif kind < rules.ellipse + rules.circle:
        cv2.circle(mask, middle, int(rng.integers(side // 4, side // 2)), 1, -1)
    else:
        height, width = (int(v) for v in rng.integers(side // 2, side + 1, 2))
        y, x = int(rng.integers(side - height + 1)), int(rng.integers(side - width + 1))
        mask[y : y + height, x : x + width] = 1
    return mask.astype(bool)


def _transform(
    rng: np.random.Generator, shape: tuple[int, ...], rules: PatchRules
) -> tuple[np.ndarray, tuple[int, int]]:
    """3x3 matrix from the transformed frame to the source frame, and (H, W) of the transformed one."""
    scale = rng.uniform(*rules.source_scale)
    height, width = round(shape[0] * scale), round(shape[1] * scale)
    flip = -1.0 if rng.random() < rules.mirror else 1.0
    angle = rng.uniform(-np.pi, np.pi) if rng.random() < rules.rotate else 0.0
    cos, sin = np.cos(angle), np.sin(angle)
    center = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])
    turn = np.array([[flip * cos, flip * sin, 0], [-sin, cos, 0], [0, 0, 1.0]])
    back = np.array(
        [[1 / scale, 0, (shape[1] - 1) / 2], [0, 1 / scale, (shape[0] - 1) / 2], [0, 0, 1.0]],
    )
    return back @ turn @ center, (height, width)


def _place(rng: np.random.Generator, label: np.ndarray, patch: Patch, rules: PatchRules) -> tuple[int, int]:
    """Top left corner: on the road or anywhere, and not on pixels of the patch's own class where that can be helped."""
    side = patch.mask.shape[0]
    height, width = label.shape
    on_road = rng.random() < rules.on_road
    y = x = 0
    for _ in range(rules.retries + 1):
        corner = _pixel_of(rng, label, rules.road) if on_road else None
        y, x = corner or (int(rng.integers(max(1, length - side + 1))) for length in (height, width))
        region = label[y : y + side, x : x + side]
        if np.count_nonzero(region == patch.main_class) <= rules.purest * region.size:
            break
    return y, x


def _pixel_of(rng: np.random.Generator, label: np.ndarray, class_id: int) -> tuple[int, int] | None:
    """A pixel of a class, uniformly; None without one. Trying is much cheaper than listing millions of pixels."""
    rows, columns = rng.integers(label.shape[0], size=200), rng.integers(label.shape[1], size=200)
    hits = np.flatnonzero(label[rows, columns] == class_id)
    if hits.size:
        return int(rows[hits[0]]), int(columns[hits[0]])
    pixels = np.flatnonzero(label == class_id)
    if pixels.size == 0:
        return None
    y, x = divmod(int(pixels[int(rng.integers(pixels.size))]), label.shape[1])
    return y, x
