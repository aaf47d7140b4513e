"""Training samples: frame → unknowns pasted in → augmented crop. Sample i is a pure function of (seed, i)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from ..labels import LabelSet
from ..outliers.objects import cut_components, load_cutouts
from ..outliers.road_paste import paste
from ..outliers.shapes import random_shape, random_texture
from ..outliers.targets import OUTLIER
from .augment import photometric, scale_crop_flip
from .frames import TrainingFrame
from .recipe import OutlierSpec, expand


class Samples(Dataset):
    """`[i]` → (image uint8 `[3, H, W]`, target uint8 `[H, W]`: class id, 253 some inlier, 254 outlier, 255 ignored).

    The same index gives the same sample in any process, with any number of workers, and after a resume.
    """

    def __init__(
        self,
        frames: Sequence[TrainingFrame],
        outliers: OutlierSpec,
        labels: LabelSet,
        crop: tuple[int, int],
        widths: tuple[float, float],
        seed: int,
        start: int,
        stop: int,
    ) -> None:
        self._frames = list(frames)
        weights = np.array([frame.weight for frame in frames])
        self._cumulative = np.cumsum(weights / weights.sum())
        self._spec = outliers
        self._crop, self._widths, self._seed, self._start, self._stop = crop, widths, seed, start, stop
        self._ground = np.zeros(256, bool)
        self._ground[[labels.names.index(name) for name in outliers.ground_classes]] = True
        self._unknowns = [rgba for spec in outliers.cutouts for rgba in load_cutouts(expand(spec.root), spec.exclude)]
        known = [labels.names.index(name) for name in outliers.known_classes]
        self._knowns = [cut for frame in frames for cut in cut_components(frame.image, frame.target, known)]

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([self._seed, self._start + index])
        frame = self._frames[min(int(np.searchsorted(self._cumulative, rng.random())), len(self._frames) - 1)]
        # Small originals are not blown up beyond what their sharpness bears.
        widest = max(self._widths[0], min(self._widths[1], 1.6 * frame.image.shape[1]))
        image, target = scale_crop_flip(rng, frame.image, frame.target, self._crop, (self._widths[0], widest))
        self._paste_objects(rng, image, target)
        image = photometric(rng, image)
        return torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(target)

    def _paste_objects(self, rng: np.random.Generator, image: np.ndarray, target: np.ndarray) -> None:
        ground = self._ground[target]
        # Known objects first, so that an unknown is never hidden behind one without its label saying so.
        if self._knowns:
            for _ in range(int(rng.integers(0, 3))):
                rgba, class_id = self._knowns[int(rng.integers(len(self._knowns)))]
                paste(rng, image, target, rgba, class_id, ground if rng.random() < 0.8 else None, self._spec.sizes)
        if rng.random() < self._spec.clean:
            return
        for _ in range(int(rng.integers(1, self._spec.most + 1))):
            on_ground = ground if rng.random() < self._spec.on_ground else None
            paste(rng, image, target, self._unknown(rng), OUTLIER, on_ground, self._spec.sizes)

    def _unknown(self, rng: np.random.Generator) -> np.ndarray:
        if self._unknowns and rng.random() >= self._spec.shapes:
            return self._unknowns[int(rng.integers(len(self._unknowns)))]
        if self._unknowns and rng.random() < 0.3:
            texture = np.ascontiguousarray(self._unknowns[int(rng.integers(len(self._unknowns)))][..., :3])
        else:
            texture = random_texture(rng, self._frames[int(rng.integers(len(self._frames)))].image)
        return random_shape(rng, texture)
