"""Outlines of objects: components of ADE20K annotations, or cut-outs with class names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...datasets.encoding import read_values
from ...datasets.layout import images_in
from ...errors import DatasetError
from ...labels import load_labels
from .layout_map import OBJECT_CLASSES

MIN_PIXELS = 1000
"""A smaller component tells no shape."""


@dataclass(frozen=True)
class Outline:
    """What is to appear on the road.

    Attributes:
        mask: bool `[h, w]`, cropped to the object.
        name: for the prompt, e.g. `armchair`.
        ade_class: ADE20K class whose color it is painted in.
    """

    mask: np.ndarray
    name: str
    ade_class: str


class AdeOutlines:
    """Objects of the ADE20K scene parsing annotations (`ADEChallengeData2016/annotations/training/*.png`, id + 1)."""

    def __init__(self, folder: Path) -> None:
        """Raises DatasetError for a folder without annotations."""
        self._files = images_in(folder, "*.png")
        if not self._files:
            raise DatasetError(f"no ADE20K annotation (*.png) in {folder}")
        names = load_labels("ade20k").names
        self._ids = {names.index(name) + 1: name for name in OBJECT_CLASSES}

    def draw(self, rng: np.random.Generator) -> Outline:
        """A random object of a random picture.

        Raises:
            DatasetError: none of many pictures shows an object.
        """
        for _ in range(200):
            values = read_values(self._files[int(rng.integers(len(self._files)))])
            present = [value for value in np.unique(values).tolist() if value in self._ids]
            if not present:
                continue
            value = present[int(rng.integers(len(present)))]
            mask = _component(rng, values == value)
            if mask is not None:
                return Outline(mask, self._ids[value], self._ids[value])
        raise DatasetError(f"no object of at least {MIN_PIXELS} pixels in 200 pictures of {self._files[0].parent}")


class CutoutOutlines:
    """Objects of a folder of RGBA cut-outs whose `cutouts.json` names classes; animals are painted as `animal`."""

    def __init__(self, folder: Path, exclude: tuple[str, ...] = ()) -> None:
        """Raises DatasetError for a folder without named cut-outs."""
        index = folder / "cutouts.json"
        try:
            entries = json.loads(index.read_text())
            self._entries = [
                (folder / entry["file"], entry["cls"], entry.get("kind", ""))
                for entry in entries
                if not {entry["cls"], entry.get("kind")} & set(exclude)
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{index} must list the `file`, `cls` and `kind` of every cut-out: {error!r}") from error
        if not self._entries:
            raise DatasetError(f"{index} names no cut-out that is not excluded")

    def draw(self, rng: np.random.Generator) -> Outline:
        """A random object.

        Raises:
            DatasetError: its file cannot be read or has no alpha.
        """
        file, name, kind = self._entries[int(rng.integers(len(self._entries)))]
        rgba = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if rgba is None or rgba.ndim != 3 or rgba.shape[2] != 4 or not (rgba[..., 3] > 127).any():
            raise DatasetError(f"{file} is no RGBA cut-out")
        return Outline(_tight(rgba[..., 3] > 127), name, _ade_class(name, kind))


def _ade_class(name: str, kind: str) -> str:
    if name in OBJECT_CLASSES:
        return name
    return "animal" if kind == "animal" else "plaything"


def _component(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray | None:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = np.flatnonzero(stats[1:count, cv2.CC_STAT_AREA] >= MIN_PIXELS) + 1
    return _tight(parts == int(rng.choice(large))) if large.size else None


def _tight(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
