"""AnomalyMix (Tian et al. 2022, PEBAL) in the three variants of UEM, RPL and MultiShiftSeg.

All objects of one foreign picture are pasted at once: one box around all of them, at a uniform place, hard edges, no
change of colours. Written from the description of the method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ..errors import DatasetError
from ..frame import OUTLIER

Align = Callable[[np.random.Generator, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(rng, object RGB uint8 `[h, w, 3]`, its pixels bool `[h, w]`, surroundings RGB uint8) → object RGB uint8."""


@dataclass(frozen=True)
class Variant:
    """What a publication does.

    Attributes:
        probability: share of images that something is pasted into.
        scales: one is drawn per paste.
        place: on the whole `frame` before its augmentation, or on the `crop` after all augmentation.
        too_large: what happens with an object that does not fit: `skip` leaves the image, `refuse` raises.
    """

    probability: float
    scales: tuple[float, ...]
    place: Literal["frame", "crop"]
    too_large: Literal["skip", "refuse"]


VARIANTS = {
    "uem": Variant(0.2, (1.0,), "frame", "skip"),
    "rpl": Variant(1.0, (0.25, 0.5, 0.5, 0.75, 0.1, 0.125), "crop", "refuse"),
    "mss": Variant(1.0, tuple(step / 10 for step in range(1, 11)), "crop", "refuse"),
}


def mix_object(
    rng: np.random.Generator,
    image: np.ndarray,
    label: np.ndarray,
    picture: np.ndarray,
    mask: np.ndarray,
    *,
    scales: Sequence[float] = (1.0,),
    outlier: int = OUTLIER,
    too_large: Literal["skip", "refuse"] = "skip",
    copy_mask_values: bool = False,
    align: Align | None = None,
) -> bool:
    """Paste the objects of one picture, in place. Unknowns that `label` has already stay.

    Args:
        image, label: RGB uint8 `[H, W, 3]` and uint8 `[H, W]`, changed.
        picture, mask: RGB uint8 `[h, w, 3]` and uint8 `[h, w]`: `outlier` where an object is.
        scales: factor on both, drawn uniformly; bilinear for the picture, nearest for the mask.
        outlier: value in `mask` and in `label`.
        too_large: `skip` or `refuse` what does not fit.
        copy_mask_values: as the released MultiShiftSeg code: every value but 0 and 255 is pasted and written as it is,
            so a 17 in a mask becomes class 17.
        align: changes the object's colours; the published variants have none.

    Returns:
        Whether anything was pasted: not if no object pixel is left after scaling, nor if it is skipped.

    Raises:
        DatasetError: the object is larger than the image and `too_large` is `refuse`.
    """
    scale = float(scales[int(rng.integers(len(scales)))])
    if scale != 1.0:
        size = (max(1, int(mask.shape[1] * scale)), max(1, int(mask.shape[0] * scale)))  # cut off, as the references do
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST)
    solid = (mask != 0) & (mask != 255) if copy_mask_values else mask == outlier
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    if rows.size == 0:
        return False
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    picture, mask, solid = picture[box], mask[box], solid[box]
    (h, w), (height, width) = solid.shape, label.shape
    if h > height or w > width:
        if too_large == "refuse":
            raise DatasetError(f"an object of {w}x{h} pixels does not fit into {width}x{height}; use smaller `scales`")
        return False
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    place = np.s_[y : y + h, x : x + w]
    if align is not None:
        picture = align(rng, picture, solid, surroundings(image, y, x, h, w))
    image[place][solid] = picture[solid]
    label[place][solid] = mask[solid] if copy_mask_values else outlier
    return True


def surroundings(image: np.ndarray, y: int, x: int, h: int, w: int) -> np.ndarray:
    """The box and half its size around it, as far as the image goes; a view."""
    return image[max(0, y - h // 2) : y + h + h // 2, max(0, x - w // 2) : x + w + w // 2]


def context_image(
    picture: np.ndarray, mask: np.ndarray, size: tuple[int, int], *, inlier: int, outlier: int = OUTLIER
) -> tuple[np.ndarray, np.ndarray]:
    """RPL's second input: the foreign picture itself, centred at its own scale, black and 255 around it.

    Args:
        picture, mask: as in `mix_object`.
        size: (H, W) of the result; what is larger is cut off evenly.
        inlier: label of what is no object.

    Returns:
        RGB uint8 `[H, W, 3]` and labels uint8 `[H, W]`.
    """
    image, label = np.zeros((*size, 3), np.uint8), np.full(size, 255, np.uint8)
    source, goal = [], []
    for have, want in zip(mask.shape, size, strict=True):
        both = min(have, want)
        source.append(slice((have - both) // 2, (have - both) // 2 + both))
        goal.append(slice((want - both) // 2, (want - both) // 2 + both))
    image[tuple(goal)] = picture[tuple(source)]
    label[tuple(goal)] = np.where(mask[tuple(source)] == outlier, outlier, inlier)
    return image, label
