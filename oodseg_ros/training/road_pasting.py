"""`road_paste` with the objects of a recipe: several per image, known ones as what they are, unknown ones as 254."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..frame import OUTLIER
from ..outliers.anomaly_mix import Align
from ..outliers.objects import random_shape, random_texture
from ..outliers.road_paste import paste
from .data_recipe import OutlierSpec
from .object_sources import ReadObject, read_rgba


@dataclass(frozen=True)
class RoadPasting:
    """A step on a crop.

    Attributes:
        spec: shares, numbers and sizes.
        ground: bool `[256]`: class ids that objects stand on.
        unknowns: objects, and whether all of a picture or one instance of it is taken.
        weights: float `[number of unknowns]`, rising: how often they are drawn, summed up.
        knowns: RGBA cut-outs of known objects with their class ids.
        read: reads a training frame, for textures.
        align: draws objects towards the scene instead of the usual harmonization; or None.
    """

    spec: OutlierSpec
    ground: np.ndarray
    unknowns: Sequence[tuple[ReadObject, str]]
    weights: np.ndarray
    knowns: Sequence[tuple[np.ndarray, int]]
    read: Callable[[int], tuple[np.ndarray, np.ndarray]]
    align: Align | None = None

    def __call__(self, rng: np.random.Generator, image: np.ndarray, target: np.ndarray, others: Sequence[int]) -> None:
        spec = self.spec
        ground = self.ground[target]
        # Known objects first, so that an unknown is never hidden behind one without its label saying so.
        if self.knowns:
            for _ in range(int(rng.integers(0, 3))):
                rgba, class_id = self.knowns[int(rng.integers(len(self.knowns)))]
                on_ground = ground if rng.random() < 0.8 else None
                paste(rng, image, target, rgba, class_id, on_ground, spec.sizes, self.align)
        if rng.random() < spec.clean:
            return
        for _ in range(int(rng.integers(1, spec.most + 1))):
            on_ground = ground if rng.random() < spec.on_ground else None
            paste(rng, image, target, self._unknown(rng, others), OUTLIER, on_ground, spec.sizes, self.align)

    def _unknown(self, rng: np.random.Generator, others: Sequence[int]) -> np.ndarray:
        if self.unknowns and rng.random() >= self.spec.shapes:
            return self._photograph(rng)
        if self.unknowns and rng.random() < 0.3:
            texture = np.ascontiguousarray(self._photograph(rng)[..., :3])
        else:
            texture = random_texture(rng, self.read(others[int(rng.integers(len(others)))])[0])
        return random_shape(rng, texture)

    def _photograph(self, rng: np.random.Generator) -> np.ndarray:
        drawn = int(np.searchsorted(self.weights, rng.random() * self.weights[-1], side="right"))
        read, unit = self.unknowns[min(drawn, len(self.unknowns) - 1)]
        return read_rgba(read, rng, unit)
