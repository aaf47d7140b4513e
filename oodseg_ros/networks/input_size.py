"""The size that a network runs at for an image. Without torch: who only asks for a size need not wait for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..model_card import InputSpec, Resize


def network_size(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """Network input size (H, W) for an image: aspect kept, at most about `spec.pixels` pixels, never enlarged by more
    than the rounding to `spec.multiple`; or as `spec.resize` says.

    >>> from oodseg_ros.model_card import InputSpec
    >>> network_size(1024, 2048, InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 19, multiple=32))
    (512, 1024)
    """
    if spec.resize is not None:
        height, width = _given(height, width, spec.resize)
        return _rounded(height, spec.multiple), _rounded(width, spec.multiple)
    scale = min(1.0, math.sqrt(spec.pixels / (height * width)))
    return _rounded(height * scale, spec.multiple), _rounded(width * scale, spec.multiple)


def _given(height: int, width: int, rule: Resize) -> tuple[int, int]:
    """As transformers' processors count, rounding included."""
    edge = rule.shortest_edge
    if edge is None:
        assert rule.height is not None  # the card was checked
        assert rule.width is not None
        return rule.height, rule.width
    short, long = min(height, width), max(height, width)
    exact = float(edge)
    if rule.longest_edge is not None and long / short * edge > rule.longest_edge:
        exact = rule.longest_edge * short / long
        edge = round(exact)
    if short == edge:
        return height, width
    other = int(exact * long / short)
    return (edge, other) if height <= width else (other, edge)


def _rounded(length: float, multiple: int) -> int:
    return max(multiple, int(length / multiple + 0.5) * multiple)
