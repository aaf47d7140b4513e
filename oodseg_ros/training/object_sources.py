"""The unknown objects of a recipe, whatever they are stored as, read when needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np

from ..frame import OUTLIER
from ..outliers.coco import open_coco, open_proxy
from ..outliers.objects import MIN_PIXELS, load_cutouts, tight
from ..outliers.reviewed import cut_out, unknown_objects
from .data_recipe import CutoutSpec, expand

ReadObject = Callable[[], tuple[np.ndarray, np.ndarray]]
"""Picture RGB uint8 `[h, w, 3]` and mask uint8 `[h, w]`, 254 = object."""


def open_objects(specs: Sequence[CutoutSpec], seed: int = 0) -> list[ReadObject]:
    """What can be pasted.

    Args:
        seed: chooses the subsets of `most`.

    Raises:
        ConfigError, DatasetError: a source is not there, or a class filter names a class that it does not have.
    """
    return [read for spec in specs for read in _KINDS[spec.kind](spec, seed)]


def read_rgba(read: ReadObject, rng: np.random.Generator, unit: str) -> np.ndarray:
    """One object as RGBA uint8 `[h, w, 4]` cropped to its box.

    Args:
        unit: `picture` = all of the mask; `instance` = one connected part of it, if any is large enough.
    """
    picture, mask = read()
    solid = mask == OUTLIER
    if unit == "instance":
        count, parts, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=8)
        large = np.flatnonzero(stats[1:count, cv2.CC_STAT_AREA] >= MIN_PIXELS) + 1
        if large.size:
            solid = parts == int(rng.choice(large))
    rgba = np.dstack([picture, np.where(solid, 255, 0).astype(np.uint8)])
    return tight(rgba) if solid.any() else rgba


def _cutouts(spec: CutoutSpec, seed: int) -> list[ReadObject]:
    return [partial(_split, rgba) for rgba in load_cutouts(expand(spec.root), spec.exclude)]


def _split(rgba: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(rgba[..., :3]), np.where(rgba[..., 3] > 127, OUTLIER, 0).astype(np.uint8)


def _coco(spec: CutoutSpec, seed: int) -> list[ReadObject]:
    root = expand(spec.root)
    pictures = open_coco(
        root / spec.instances,
        root / spec.images,
        drop_images_with=spec.drop_images_with,
        exclude=spec.exclude,
        min_side=spec.min_side,
        unit=spec.unit,
    )
    return [picture.read for picture in _subset(pictures, spec.most, seed)]


def _proxy(spec: CutoutSpec, seed: int) -> list[ReadObject]:
    root = expand(spec.root)
    return [picture.read for picture in _subset(open_proxy(root / spec.masks, root / spec.images), spec.most, seed)]


def _reviewed(spec: CutoutSpec, seed: int) -> list[ReadObject]:
    return [
        partial(cut_out, *entry)
        for entry in _subset(unknown_objects(expand(spec.root), spec.categories), spec.most, seed)
    ]


def _subset(pictures: list, most: int, seed: int) -> list:
    if not most or len(pictures) <= most:
        return pictures
    chosen = np.random.default_rng([seed, 2]).choice(len(pictures), most, replace=False)
    return [pictures[index] for index in sorted(chosen.tolist())]


_KINDS = {"cutouts": _cutouts, "coco": _coco, "coco_proxy": _proxy, "reviewed": _reviewed}
