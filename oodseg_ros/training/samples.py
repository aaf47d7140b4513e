"""Training samples: frame → augmentation with unknowns pasted in → tensors. Sample i is a function of (seed, i)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from ..labels import LabelSet
from .augment import photometric, scale_crop_flip
from .data_recipe import AugmentSpec, OutlierSpec
from .frame_cache import FrameCache
from .frames import TrainingFrame
from .pasting import build_pasting
from .recipe import Recipe


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
        augment: AugmentSpec = AugmentSpec(),  # noqa: B008 (never changed)
    ) -> None:
        self._frames = list(frames)
        weights = np.array([frame.weight for frame in frames])
        self._cumulative = np.cumsum(weights / weights.sum())
        self._crop, self._widths, self._seed, self._start, self._stop = crop, widths, seed, start, stop
        self._augment = augment
        self._cache = FrameCache(augment.cache << 20)
        self._pasting = build_pasting(outliers, labels, self._read, len(self._frames), seed)

    @classmethod
    def of(
        cls, recipe: Recipe, frames: Sequence[TrainingFrame], labels: LabelSet, seed: int, start: int, stop: int
    ) -> Samples:
        """Samples `start` to `stop` of a recipe's frames."""
        return cls(frames, recipe.outliers, labels, recipe.crop, recipe.widths, seed, start, stop, recipe.augment)

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng([self._seed, self._start + index])
        number = min(int(np.searchsorted(self._cumulative, rng.random())), len(self._frames) - 1)
        image, target = self._read(number)
        # Small originals are not blown up beyond what their sharpness bears.
        widest = max(self._widths[0], min(self._widths[1], 1.6 * image.shape[1]))
        image, target = scale_crop_flip(rng, image, target, self._crop, (self._widths[0], widest))
        if self._pasting.on_crop:
            self._pasting.on_crop(rng, image, target)
        image = photometric(rng, image)
        return torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(target)

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        worker = get_worker_info()
        if worker is not None:
            self._cache.shrink((self._augment.cache << 20) // worker.num_workers)
        return self._cache.get(number, self._frames[number].read)
