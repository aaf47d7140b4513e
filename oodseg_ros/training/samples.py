"""Training samples: frame → augmentation with unknowns pasted in → tensors. Sample i is a function of (seed, i)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from ..errors import ConfigError
from ..labels import LabelSet
from .compose import Composer
from .data_recipe import AugmentSpec, OutlierSpec
from .frames import TrainingFrame
from .pasting import build_pasting
from .recipe import Recipe


class FrameCache:
    """The most recently used arrays, up to a number of bytes; one per process.

    What it returns is shared and therefore read-only.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._kept: OrderedDict[Hashable, tuple[np.ndarray, ...]] = OrderedDict()

    def get(self, key: Hashable, read: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        """The arrays of `key`, read now if they are not kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        arrays = read()
        for array in arrays:
            array.flags.writeable = False
        size = sum(array.nbytes for array in arrays)
        if size > self._limit:
            return arrays
        self._kept[key] = arrays
        self._bytes += size
        while self._bytes > self._limit:
            _, old = self._kept.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in old)
        return arrays

    def shrink(self, limit: int) -> None:
        """Lower the limit and forget what is beyond it."""
        self._limit = min(self._limit, limit)
        while self._bytes > self._limit:
            _, old = self._kept.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in old)


OTHERS, OTHERS_BLOCK = 24, 64
"""So many frames give textures and patches to so many consecutive samples: they stay decoded meanwhile."""


class Samples(Dataset):
    """`[i]` → (image uint8 `[3, H, W]`, target uint8 `[H, W]`: class id, 253 some inlier, 254 outlier, 255 ignored).

    Pairs (generated counterparts, `outliers.context`, `outliers.overlap`) have image `[2, 3, H, W]` and target
    `[2, H, W]`; overlapping crops also int64 `[2, 6]`: row0, column0, row1, column1 of the overlap, mirrored, 0.

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
        self.frames = list(frames)
        weights = np.array([frame.weight for frame in frames])
        self._cumulative = np.cumsum(weights / weights.sum())
        self._seed, self._start, self._stop = seed, start, stop
        self._cache_bytes = augment.cache << 20
        self._cache = FrameCache(self._cache_bytes)
        self._settled = False
        paired = sum(frame.read_counterpart is not None for frame in frames)
        if paired not in (0, len(self.frames)):
            raise ConfigError("`generated_pairs` cannot be mixed with datasets without counterparts: all or none")
        pasting = build_pasting(outliers, labels, self._read, len(self.frames), seed)
        self._compose = Composer(outliers, augment, crop, widths, pasting, self._read)

    @classmethod
    def of(
        cls, recipe: Recipe, frames: Sequence[TrainingFrame], labels: LabelSet, seed: int, start: int, stop: int
    ) -> Samples:
        return cls(frames, recipe.outliers, labels, recipe.crop, recipe.widths, seed, start, stop, recipe.augment)

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        index += self._start
        rng = np.random.default_rng([self._seed, index])
        number = min(int(np.searchsorted(self._cumulative, rng.random())), len(self.frames) - 1)
        block = np.random.default_rng([self._seed, index // OTHERS_BLOCK, 3])
        others = block.integers(len(self.frames), size=OTHERS).tolist()
        image, target, *rest = self._compose(rng, self._read(number), self._counterpart(number), others)
        tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image, -1, -3)))
        return tensor, torch.from_numpy(target), *map(torch.from_numpy, rest)

    def _counterpart(self, number: int) -> tuple[np.ndarray, ...] | None:
        read = self.frames[number].read_counterpart
        return None if read is None else self._cached((number, "counterpart"), read)

    def _read(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        return self._cached(number, self.frames[number].read)

    def _cached(self, key: Hashable, read: Callable[[], tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
        worker = get_worker_info()
        if worker is not None and not self._settled:
            # One process, one thread: workers that each start a thread per core only get in each other's way.
            cv2.setNumThreads(0)
            self._cache.shrink(self._cache_bytes // worker.num_workers)
            self._settled = True
        return self._cache.get(key, read)
