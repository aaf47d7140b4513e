"""The outlier methods of a recipe as steps on one image: before, after or at the very end of its augmentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..errors import ConfigError
from ..frame import OUTLIER
from ..labels import GROUND, LabelSet
from ..outliers.anomaly_mix import VARIANTS, Align, mix_object
from ..outliers.objects import cut_components, random_shape, random_texture
from ..outliers.patch_paste import PatchRules, paste_patches
from ..outliers.road_paste import paste
from ..outliers.style_alignment import build_align
from .data_recipe import OutlierSpec
from .object_sources import ReadObject, open_objects, read_rgba


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


Step = Callable[[np.random.Generator, np.ndarray, np.ndarray, Sequence[int]], None]
"""(rng, image RGB uint8 `[H, W, 3]`, target uint8 `[H, W]`, other frames): changes image and target in place."""
ReadFrame = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""Index of a training frame → image, target (read-only)."""

BANK_FRAMES = 400
"""Known objects are cut out of at most so many frames; Cityscapes has thousands."""


@dataclass(frozen=True)
class Pasting:
    """Where in the making of a sample unknowns come in.

    Attributes:
        on_frame: on the whole frame, before it is scaled and cropped.
        on_scaled: on the whole frame after it was scaled.
        on_crop: on the crop, before its colours change.
        at_end: after everything else.
        mixing: the AnomalyMix of the recipe, for samples that also show where an object comes from.
        patches: the rules of patches, for samples with an extra one.
    """

    on_frame: Step | None = None
    on_scaled: Step | None = None
    on_crop: Step | None = None
    at_end: Step | None = None
    mixing: AnomalyMixing | None = None
    patches: PatchRules | None = None


@dataclass(frozen=True)
class AnomalyMixing:
    """AnomalyMix with the objects of a recipe."""

    objects: Sequence[ReadObject]
    probability: float
    scales: Sequence[float]
    copy_mask_values: bool
    align: Align | None

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return self.objects[int(rng.integers(len(self.objects)))]()

    def paste(
        self, rng: np.random.Generator, image: np.ndarray, target: np.ndarray, picture: np.ndarray, mask: np.ndarray
    ) -> None:
        mix_object(
            rng,
            image,
            target,
            picture,
            mask,
            scales=self.scales,
            copy_mask_values=self.copy_mask_values,
            align=self.align,
        )

    def __call__(
        self, rng: np.random.Generator, image: np.ndarray, target: np.ndarray, others: Sequence[int] = ()
    ) -> None:
        if rng.random() < self.probability:
            self.paste(rng, image, target, *self.draw(rng))


@dataclass(frozen=True)
class PatchPasting:
    """`patch_paste` with the frames of a recipe."""

    read: ReadFrame
    patches: int
    rules: PatchRules

    def __call__(self, rng: np.random.Generator, image: np.ndarray, target: np.ndarray, others: Sequence[int]) -> None:
        def source(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
            return self.read(others[int(rng.integers(len(others)))])

        paste_patches(rng, image, target, source, patches=self.patches, rules=self.rules)


def build_pasting(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    """The steps of `spec`.

    Args:
        read, frames: access to the training frames, and their number.
        seed: chooses the frames that known objects are cut out of, and subsets of object sources.

    Raises:
        ConfigError, DatasetError: a class or a folder of objects that is not there.
    """
    return _METHODS[spec.method](spec, labels, read, frames, seed)


def _none(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    return Pasting()


def _road_paste(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    ground = np.zeros(256, bool)
    ground[ground_ids(labels, spec.ground_classes)] = True
    unknowns = [(entry, source) for source in spec.cutouts for entry in open_objects([source], seed)]
    weights = np.cumsum([source.weight for _, source in unknowns])
    sources = tuple((entry, source.unit) for entry, source in unknowns)
    knowns = _known_objects(labels, spec.known_classes, read, frames, seed)
    align = build_align(spec.style, spec.style_strength, spec.style_function)
    return Pasting(on_crop=RoadPasting(spec, ground, sources, weights, knowns, read, align))


def _anomaly_mix(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    variant = VARIANTS[spec.variant]
    mixing = AnomalyMixing(
        open_objects(spec.cutouts, seed),
        variant.probability if spec.probability is None else spec.probability,
        spec.scales or variant.scales,
        spec.copy_mask_values,
        build_align(spec.style, spec.style_strength, spec.style_function),
    )
    on_frame = mixing if variant.place == "frame" else None
    return Pasting(on_frame=on_frame, at_end=None if on_frame else mixing, mixing=mixing)


def _patch_paste(spec: OutlierSpec, labels: LabelSet, read: ReadFrame, frames: int, seed: int) -> Pasting:
    ids = ground_ids(labels, spec.ground_classes)
    road = next((index for index in ids if labels.names[index] == GROUND[0]), ids[0])
    rules = replace(PatchRules(), road=road, sides=spec.patch_sides)

    return Pasting(on_scaled=PatchPasting(read, spec.patches, rules), patches=rules)


def _known_objects(
    labels: LabelSet, names: Sequence[str], read: ReadFrame, frames: int, seed: int
) -> list[tuple[np.ndarray, int]]:
    if not names:
        return []
    classes = class_ids(labels, names)
    chosen = range(frames)
    if frames > BANK_FRAMES:
        chosen = sorted(np.random.default_rng([seed, 1]).choice(frames, BANK_FRAMES, replace=False).tolist())
    return [cut for index in chosen for cut in cut_components(*read(index), classes)]


def class_ids(labels: LabelSet, names: Sequence[str]) -> list[int]:
    """Ids of classes by their names. Raises ConfigError for one that the label set does not have."""
    if unknown := [name for name in names if name not in labels.names]:
        raise ConfigError(
            f"label set {labels.name} has no class {', '.join(unknown)}; say in the recipe which of its classes are "
            f"the ground (`ground_classes: [...]`) and which are objects (`known_classes: [...]`, may be empty). Its "
            f"classes: {', '.join(labels.names)}"
        )
    return [labels.names.index(name) for name in names]


def ground_ids(labels: LabelSet, names: Sequence[str]) -> list[int]:
    """Ids of the classes that objects stand on: those of a recipe, or without any those of the label set.

    Raises:
        ConfigError: the label set does not have one of them, or says of none that it is ground.
    """
    found = class_ids(labels, names) or labels.ground_ids()
    if not found:
        raise ConfigError(
            f"label set {labels.name} does not say which of its classes objects stand on; say it in its file "
            f"(`ground: [...]`) or in the recipe (`ground_classes: [...]` in `outliers`, and in `calibration.objects` "
            f"if it is used). Its classes: {', '.join(labels.names)}"
        )
    return found


_METHODS = {"none": _none, "road_paste": _road_paste, "anomaly_mix": _anomaly_mix, "patch_paste": _patch_paste}
