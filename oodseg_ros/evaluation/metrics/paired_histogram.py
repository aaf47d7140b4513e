"""Counts of positive and negative scores in bounded memory, as fine as the memory allows.

Two forms, and which one holds depends only on the multiset of scores seen so far, never on their order. So merged
shards, a resumed run and a single run give bit-equal figures.

- *sparse*: up to `SPARSE_LIMIT` scores the scores themselves are kept, in their own type: exact.
- *dense*: scores become order-preserving keys of float32: `key(a) < key(b)` exactly when `a < b`; -0.0 and 0.0 share a
  key, ±inf lie at the ends, NaN must be taken out before. The key's upper 16 bits choose a page, pages exist for
  occupied score intervals only, a page holds `2^(16 - shift)` bins. `shift` is the least for which all occupied pages
  fit into `BINS`. `shift` 0 is exact: one bin per float32 value. At most 65536 pages can be occupied, so `shift` never
  exceeds 7: a bin is at most 2^-16 of its score wide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

SIGN = np.uint32(0x80000000)
LOWEST, HIGHEST = 0x007FFFFF, 0xFF800000
"""Keys of -inf and +inf."""


def to_keys(score: np.ndarray) -> np.ndarray:
    """Float scores without NaN, any shape → uint32 keys, flat. Other dtypes are rounded to float32 first."""
    values = np.asarray(score, np.float32).ravel() + np.float32(0)  # the sum turns -0.0 into 0.0
    bits = values.view(np.uint32)
    negative = (values.view(np.int32) >> 31).view(np.uint32)  # all ones where the sign bit is set
    return bits ^ (negative | SIGN)


def to_scores(keys: np.ndarray) -> np.ndarray:
    """Uint32 keys → float32 scores; keys beyond those of ±inf are taken as ±inf."""
    keys = np.clip(np.asarray(keys, np.int64), LOWEST, HIGHEST).astype(np.uint32)
    bits = np.where(keys & SIGN, keys ^ SIGN, ~keys)
    return bits.view(np.float32)


SPARSE_LIMIT = 1 << 22
BINS = 1 << 25
PAGES = 1 << 16
CHUNK = 1 << 20
UINT32_MAX = (1 << 32) - 1


class PairedHistogram:
    """`add` scores, `descending` to read bins from the highest score down.

    Attributes:
        shift: how many low key bits share a bin; 0 = one bin per float32 value.
        rounded: float64 scores that are no float32 values were rounded to them.
        totals: number of (negative, positive) scores.
    """

    def __init__(self, bins: int = BINS, sparse_limit: int = SPARSE_LIMIT) -> None:
        self.shift = 0
        self.rounded = False
        self.totals = [0, 0]
        self._bins = bins
        self._sparse_limit = sparse_limit
        self._sparse: tuple[list[np.ndarray], list[np.ndarray]] | None = ([], [])
        self._slots = np.full(PAGES, -1, np.int32)  # page → its place in `_counts`, in order of first appearance
        self._pages = np.zeros(0, np.int64)
        self._counts: np.ndarray | None = None  # [2, bins]; zeroed lazily by the system, so unused bins cost nothing

    def add(self, negative: np.ndarray, positive: np.ndarray) -> None:
        """Count scores of negatives and positives: flat arrays of floats without NaN."""
        planes = (negative, positive)
        self._grow([array.size for array in planes])
        if self._sparse is not None and sum(self.totals) <= self._sparse_limit:
            for kept, array in zip(self._sparse, planes, strict=True):
                if array.size:
                    kept.append(array)
            return
        self._go_dense(0)
        keys = [self._keys(array) for array in planes]
        self._reserve(*keys)
        for plane, array in enumerate(keys):
            self._count(plane, array, None)

    def merge(self, other: PairedHistogram) -> None:
        """Add everything that `other` counted; `other` stays as it is."""
        if other._sparse is not None:
            self.add(*map(_concatenate, other._sparse))
            return
        self._grow(other.totals)
        self._go_dense(other.shift)
        self._coarsen(other.shift)
        self.rounded |= other.rounded
        for keys, negatives, positives in other._bins_descending():
            self._reserve(keys)
            self._count(0, keys, negatives)
            self._count(1, keys, positives)

    def descending(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Chunks of (lowest score float64, negatives int64, positives int64) of bins, highest first, no empty bin."""
        if self._sparse is not None:
            yield from _runs(*(_concatenate(plane) for plane in self._sparse))
            return
        for keys, negatives, positives in self._bins_descending():
            yield to_scores(keys).astype(np.float64), negatives, positives

    def _bins_descending(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        width = PAGES >> self.shift
        order = np.argsort(-self._pages)
        step = max(1, CHUNK // width)
        counts = self._counts.reshape(2, -1, width)
        for start in range(0, order.size, step):
            slots = order[start : start + step]
            block = counts[:, slots, ::-1].reshape(2, -1)
            keys = (self._pages[slots, None] << 16) + ((width - 1 - np.arange(width)) << self.shift)
            some = np.flatnonzero(block.any(axis=0))
            if some.size:
                chosen = block[:, some].astype(np.int64)
                yield keys.ravel()[some].astype(np.uint32), chosen[0], chosen[1]

    def state(self) -> dict[str, np.ndarray]:
        limits = np.asarray([self._bins, self._sparse_limit])
        if self._sparse is not None:
            negative, positive = map(_concatenate, self._sparse)
            return {"limits": limits, "negative": negative, "positive": positive}
        used = self._pages.size * (PAGES >> self.shift)
        dense = {"pages": self._pages, "counts": self._counts[:, :used], "shift": np.asarray(self.shift)}
        return {"limits": limits, "totals": np.asarray(self.totals), "rounded": np.asarray(self.rounded), **dense}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> PairedHistogram:
        histogram = cls(*map(int, state["limits"]))
        if "counts" not in state:
            histogram.add(state["negative"], state["positive"])
            return histogram
        counts, pages = state["counts"], state["pages"]
        histogram._grow([int(n) for n in state["totals"]])
        histogram._go_dense(int(state["shift"]))
        histogram.rounded = bool(state["rounded"])
        histogram._pages = pages.copy()
        histogram._slots[pages] = np.arange(pages.size)
        histogram._counts[:, : counts.shape[1]] = counts
        return histogram

    def _grow(self, sizes: Sequence[int]) -> None:
        self.totals = [total + size for total, size in zip(self.totals, sizes, strict=True)]
        # A constant score puts every pixel into one bin; 2^32 of them is 2000 frames of 2 megapixels.
        if self._counts is not None and self._counts.dtype == np.uint32 and sum(self.totals) > UINT32_MAX:
            self._counts = self._counts.astype(np.uint64)

    def _go_dense(self, shift: int) -> None:
        if self._sparse is None:
            return
        kept, self._sparse, self.shift = self._sparse, None, shift
        self._counts = np.zeros((2, self._bins), np.uint32 if sum(self.totals) <= UINT32_MAX else np.uint64)
        arrays = [self._keys(_concatenate(plane)) for plane in kept]
        self._reserve(*arrays)
        for plane, array in enumerate(arrays):
            self._count(plane, array, None)

    def _keys(self, scores: np.ndarray) -> np.ndarray:
        if scores.dtype == np.float64:
            with np.errstate(over="ignore"):
                single = scores.astype(np.float32)
            self.rounded |= bool((single != scores).any())
            scores = single
        return to_keys(scores)

    def _reserve(self, *keys: np.ndarray) -> None:
        fresh = np.zeros(PAGES, bool)
        for array in keys:
            fresh |= np.bincount(array >> np.uint32(16), minlength=PAGES) > 0
        fresh = np.flatnonzero(fresh & (self._slots < 0))
        if not fresh.size:
            return
        shift, needed = self.shift, self._pages.size + fresh.size
        while needed * (PAGES >> shift) > self._bins:
            shift += 1
        self._coarsen(shift)
        self._slots[fresh] = np.arange(self._pages.size, needed)
        self._pages = np.concatenate([self._pages, fresh])

    def _coarsen(self, shift: int) -> None:
        while self.shift < shift:
            used = self._pages.size * (PAGES >> self.shift)
            for plane in self._counts:
                for start in range(0, used, 2 * CHUNK):
                    stop = min(start + 2 * CHUNK, used)
                    plane[start // 2 : stop // 2] = plane[start:stop].reshape(-1, 2).sum(axis=1, dtype=plane.dtype)
                plane[used // 2 : used] = 0
            self.shift += 1

    def _count(self, plane: int, keys: np.ndarray, weights: np.ndarray | None) -> None:
        if not keys.size:
            return
        counts = self._counts[plane]
        bits = np.uint32(16 - self.shift)
        index = (self._slots[keys >> np.uint32(16)].astype(np.uint32) << bits) | (
            (keys & np.uint32(PAGES - 1)) >> np.uint32(self.shift)
        )
        # numpy's fast path for add.at needs the value in the array's own type
        np.add.at(counts, index, counts.dtype.type(1) if weights is None else weights.astype(counts.dtype))


def _runs(negative: np.ndarray, positive: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    keys, counts = [], []
    for array in (negative, positive):
        array = np.sort(array)
        ends = np.flatnonzero(np.append(array[1:] != array[:-1], True)) if array.size else np.zeros(0, np.int64)
        keys.append(array[ends])
        counts.append(np.diff(ends, prepend=-1))
    distinct = np.unique(np.concatenate(keys))
    if not distinct.size:
        return
    planes = np.zeros((2, distinct.size), np.int64)
    for plane in (0, 1):
        planes[plane, np.searchsorted(distinct, keys[plane])] = counts[plane]
    yield distinct[::-1].astype(np.float64), planes[0, ::-1], planes[1, ::-1]


def _concatenate(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)
