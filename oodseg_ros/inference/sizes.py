"""Which size the network runs at for an image of a given size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model_card import InputSpec


def network_size(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """Network input size (H, W) for an image: aspect kept, at most about `spec.pixels` pixels, never enlarged by more
    than the rounding to `spec.multiple`.

    >>> from oodseg_ros.model_card import InputSpec
    >>> network_size(1024, 2048, InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 19, multiple=32))
    (512, 1024)
    """
    scale = min(1.0, math.sqrt(spec.pixels / (height * width)))
    return _rounded(height * scale, spec.multiple), _rounded(width * scale, spec.multiple)


def _rounded(length: float, multiple: int) -> int:
    return max(multiple, int(length / multiple + 0.5) * multiple)
