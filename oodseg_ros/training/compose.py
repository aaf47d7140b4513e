"""From a frame to the arrays of one sample: augmentation, unknowns, and what pairs need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..frame import KNOWN
from ..outliers.anomaly_mix import context_image
from ..outliers.crop_overlap import CropRules, crop_pair
from ..outliers.patch_paste import Patch, cut_patch
from .augment import Geometry, change_colors, draw_geometry, whole
from .data_recipe import AugmentSpec, OutlierSpec
from .pasting import Pasting

Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Composer:
    """Makes one sample of one frame.

    Attributes:
        widths: as in `augment.draw_geometry`.
        pasting: the outlier method's steps.
        read: reads another training frame.
    """

    outliers: OutlierSpec
    augment: AugmentSpec
    crop: tuple[int, int]
    widths: tuple[float, float]
    pasting: Pasting
    read: Callable[[int], tuple[np.ndarray, np.ndarray]]

    def __call__(
        self, rng: np.random.Generator, frame: Arrays, counterpart: Arrays | None, others: Sequence[int]
    ) -> Arrays:
        """Image and target of a sample, as `Samples` describes them but RGB last.

        Args:
            frame, counterpart: image and target of a frame, and of the picture generated from it; not changed.
            others: frames that textures and patches are taken from.
        """
        if self.outliers.overlap:
            return self._crops(rng, frame, others)
        if counterpart is not None:
            return self._generated(rng, frame, counterpart, others)
        if self.outliers.context:
            return self._context(rng, frame)
        return self._plain(rng, frame, others)

    def _plain(self, rng: np.random.Generator, frame: Arrays, others: Sequence[int]) -> Arrays:
        image, target = self._geometry(rng, frame, others)
        if self.pasting.on_crop:
            self.pasting.on_crop(rng, image, target, others)
        image = change_colors(rng, image, self.augment)
        if self.pasting.at_end:
            self.pasting.at_end(rng, image, target, others)
        return image, target

    def _geometry(self, rng: np.random.Generator, frame: Arrays, others: Sequence[int]) -> Arrays:
        """The crop, with what comes in before it."""
        image, target = frame
        if self.pasting.on_frame:
            image, target = image.copy(), target.copy()
            self.pasting.on_frame(rng, image, target, others)
        augment = self.augment
        if self.pasting.on_scaled:
            image, target = whole(image.shape, self._scale(rng, image))(image, target)
            self.pasting.on_scaled(rng, image, target, others)
            augment = augment.model_copy(update={"scale": (1.0, 1.0)})
        return draw_geometry(rng, image.shape[:2], self.crop, augment, self.widths)(image, target)

    def _scale(self, rng: np.random.Generator, image: np.ndarray) -> float:
        if self.augment.scale is not None:
            return float(rng.uniform(*self.augment.scale))
        return float(np.exp(rng.uniform(*np.log(self.widths)))) / image.shape[1]

    def _context(self, rng: np.random.Generator, frame: Arrays) -> Arrays:
        """RPL's pair: the driving image with an object, and the picture that the object is from."""
        mixing = self.pasting.mixing
        picture, mask = mixing.draw(rng)
        use = rng.random() < mixing.probability
        image, target = frame
        if use and self.pasting.on_frame:
            image, target = image.copy(), target.copy()
            mixing.paste(rng, image, target, picture, mask)
        image, target = draw_geometry(rng, image.shape[:2], self.crop, self.augment, self.widths)(image, target)
        image = change_colors(rng, image, self.augment)
        if use and not self.pasting.on_frame:
            mixing.paste(rng, image, target, picture, mask)
        size = image.shape[0], image.shape[1]
        return _stacked((image, target), context_image(picture, mask, size, inlier=KNOWN))

    def _generated(self, rng: np.random.Generator, frame: Arrays, counterpart: Arrays, others: Sequence[int]) -> Arrays:
        """MultiShiftSeg's pair: the original, and the generated picture with a part of the original mixed in."""
        image, target = frame
        if self.pasting.on_frame:
            image, target = image.copy(), target.copy()
            self.pasting.on_frame(rng, image, target, others)
        geometry = draw_geometry(rng, image.shape[:2], self.crop, self.augment, self.widths)
        clean = geometry(*frame)[0]
        image, target = geometry(image, target)
        other, other_target = self._at_size(geometry, frame[1].shape, counterpart)
        share = min(rng.random(), self.outliers.mixup)
        other = np.rint(share * clean.astype(np.float32) + (1 - share) * other).astype(np.uint8)
        if self.pasting.on_crop:
            self.pasting.on_crop(rng, image, target, others)
        # The same change of colours for both, so that it tells nothing.
        key = int(rng.integers(2**63))
        image, other = (change_colors(np.random.default_rng(key), each, self.augment) for each in (image, other))
        if self.pasting.at_end:
            self.pasting.at_end(rng, image, target, others)
        return _stacked((image, target), (other, other_target))

    @staticmethod
    def _at_size(geometry: Geometry, shape: tuple[int, ...], counterpart: Arrays) -> Arrays:
        """The same view of a counterpart that may have been generated at another size."""
        if counterpart[1].shape != shape:
            full = Geometry((0, 0, *counterpart[1].shape), (shape[0], shape[1]), (shape[0], shape[1]))
            counterpart = full(*counterpart)
        return geometry(*counterpart)

    def _crops(self, rng: np.random.Generator, frame: Arrays, others: Sequence[int]) -> Arrays:
        """DRL's pair: two overlapping crops with an extra unknown in the overlap, and where they overlap."""
        image, target = whole(frame[0].shape, self._scale(rng, frame[0]))(*frame)
        if self.pasting.on_scaled:
            self.pasting.on_scaled(rng, image, target, others)
        rules = replace(CropRules(), size=self.crop, mirror=self.augment.mirror)
        pair = crop_pair(rng, image, target, patches=self._two_textures(rng, others), rules=rules)
        overlap = np.zeros((2, 6), np.int64)
        overlap[:, :4], overlap[:, 4] = pair.boxes, pair.flipped
        return pair.images, pair.labels, overlap

    def _two_textures(self, rng: np.random.Generator, others: Sequence[int]) -> tuple[Patch, Patch]:
        rules = self.pasting.patches
        first = cut_patch(rng, *self.read(others[int(rng.integers(len(others)))]), rules)
        side = first.mask.shape[0]
        return first, cut_patch(rng, *self.read(others[int(rng.integers(len(others)))]), rules, side)


def _stacked(*samples: Arrays) -> Arrays:
    return tuple(np.stack(arrays) for arrays in zip(*samples, strict=True))
