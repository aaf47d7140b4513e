"""Order-preserving integer keys of float32 scores.

`key(a) < key(b)` exactly when `a < b`; -0.0 and 0.0 share a key, ±inf lie at the ends. NaN has no place in the order
and must be taken out before. A histogram over the upper bits of the key is a histogram over floating-point score
intervals of equal relative width, whatever the range of the score.
"""

from __future__ import annotations

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
