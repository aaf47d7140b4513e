"""The outlier methods of a recipe as steps on one image: before, after or at the very end of its augmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..labels import LabelSet
from ..outliers.objects import cut_components, load_cutouts
from ..outliers.road_paste import paste
from ..outliers.shapes import random_shape, random_texture
from ..outliers.targets import OUTLIER
from .data_recipe import OutlierSpec, expand

Step = Callable[[np.random.Generator, np.ndarray, np.ndarray], None]
"""Changes image RGB uint8 `[H, W, 3]` and target uint8 `[H, W]` in place."""
ReadFrame = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""Index of a training frame → image, target (read-only)."""

BANK_FRAMES = 400
"""Known objects are cut out of at most so many frames; Cityscapes has thousands."""


@dataclass(frozen=True)
class Pasting:
    """Where in the making of a sample unknowns come in: on the whole frame, on the crop, after its colours changed."""

    on_frame: Step | None = None
    on_crop: Step | None = None
    at_end: Step | None = None


def build_pasting(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    """The steps of `spec`.

    Args:
        read, frames: access to the training frames, and their number.
        seed: chooses the frames that known objects are cut out of.

    Raises:
        ConfigError, DatasetError: a class or a folder of objects that is not there.
    """
    return _METHODS[spec.method](spec, labels, read, frames, seed)


def _none(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    return Pasting()


def _road_paste(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    ground = np.zeros(256, bool)
    ground[[labels.names.index(name) for name in spec.ground_classes]] = True
    unknowns = [rgba for source in spec.cutouts for rgba in load_cutouts(expand(source.root), source.exclude)]
    knowns = _known_objects(labels, spec.known_classes, read, frames, seed)
    return Pasting(on_crop=RoadPasting(spec, ground, unknowns, knowns, read, frames))


def _known_objects(
    labels: LabelSet, names: Sequence[str], read: ReadFrame, frames: int, seed: int
) -> list[tuple[np.ndarray, int]]:
    if not names:
        return []
    classes = [labels.names.index(name) for name in names]
    chosen = range(frames)
    if frames > BANK_FRAMES:
        chosen = sorted(np.random.default_rng([seed, 1]).choice(frames, BANK_FRAMES, replace=False).tolist())
    return [cut for index in chosen for cut in cut_components(*read(index), classes)]


@dataclass(frozen=True)
class RoadPasting:
    """Several objects per image: known ones as what they are, unknown ones as outliers."""

    spec: OutlierSpec
    ground: np.ndarray
    unknowns: list[np.ndarray]
    knowns: list[tuple[np.ndarray, int]]
    read: ReadFrame
    frames: int

    def __call__(self, rng: np.random.Generator, image: np.ndarray, target: np.ndarray) -> None:
        spec = self.spec
        ground = self.ground[target]
        # Known objects first, so that an unknown is never hidden behind one without its label saying so.
        if self.knowns:
            for _ in range(int(rng.integers(0, 3))):
                rgba, class_id = self.knowns[int(rng.integers(len(self.knowns)))]
                paste(rng, image, target, rgba, class_id, ground if rng.random() < 0.8 else None, spec.sizes)
        if rng.random() < spec.clean:
            return
        for _ in range(int(rng.integers(1, spec.most + 1))):
            on_ground = ground if rng.random() < spec.on_ground else None
            paste(rng, image, target, self._unknown(rng), OUTLIER, on_ground, spec.sizes)

    def _unknown(self, rng: np.random.Generator) -> np.ndarray:
        if self.unknowns and rng.random() >= self.spec.shapes:
            return self.unknowns[int(rng.integers(len(self.unknowns)))]
        if self.unknowns and rng.random() < 0.3:
            texture = np.ascontiguousarray(self.unknowns[int(rng.integers(len(self.unknowns)))][..., :3])
        else:
            texture = random_texture(rng, self.read(int(rng.integers(self.frames)))[0])
        return random_shape(rng, texture)


_METHODS = {"none": _none, "road_paste": _road_paste}
