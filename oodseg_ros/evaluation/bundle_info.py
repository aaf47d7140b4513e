"""What is inside a bundle: parts with their parameters and arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..bundle import Bundle
from ..inference.sizes import network_size
from ..inference.windows import plan_by_stride

PARTS = ("backbone", "decoder", "classifier", "head")


@dataclass(frozen=True)
class PartInfo:
    """One part of the network.

    Attributes:
        part: `backbone`, `decoder`, `classifier` or `head`.
        name: its registered name, `-` where there is none.
        parameters: number of parameters; buffers are not counted.
        flops: floating-point operations for one image in convolutions and matrix products; a multiply-add is two.
    """

    part: str
    name: str
    parameters: int
    flops: int


@dataclass(frozen=True)
class BundleInfo:
    """The network size (H, W) and the FLOPs are those for `image_size` (H, W); `file_bytes` counts the whole folder."""

    image_size: tuple[int, int]
    network_size: tuple[int, int]
    parts: tuple[PartInfo, ...]
    file_bytes: int


def bundle_info(bundle: Bundle, image_size: tuple[int, int] = (1080, 1920)) -> BundleInfo:
    """Count parameters, and FLOPs at the network size that follows from `image_size` (H, W).

    Shapes alone are computed (meta tensors), so this takes neither memory nor time of a real run.
    """
    segmentor = bundle.segmentor()
    size = network_size(*image_size, bundle.card.input)
    batch, (height, width) = _passes(bundle, size)
    segmentor.prepare(height, width)
    segmentor = segmentor.to("meta")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        segmentor(torch.empty(batch, bundle.card.input.channels, height, width, device="meta"))
    counts = counter.get_flop_counts()
    root = type(segmentor).__name__
    parts = []
    for part in PARTS:
        module = getattr(segmentor, part)
        spec = bundle.card.network.get(part) or {}
        parameters = sum(p.numel() for p in module.parameters()) if module is not None else 0
        flops = _flops(counts, f"{root}.{part}")
        parts.append(PartInfo(part, spec.get("name", "-"), parameters, flops))
    listed = sum(part.flops for part in parts)
    # What the segmentor computes outside of its parts.
    rest = int(sum(counts.get("Global", {}).values())) - listed
    if rest > 0:
        parts.append(PartInfo("other", "-", 0, rest))
    files = (file.stat().st_size for file in bundle.path.iterdir() if file.is_file())
    return BundleInfo(image_size, size, tuple(parts), sum(files))


def _passes(bundle: Bundle, size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
    """(inputs per image, their size): the whole at network size, or the windows that cover it."""
    windows = bundle.card.input.windows
    if windows is None:
        return 1, size
    window = (windows.height, windows.width)
    return len(plan_by_stride(size, window, (windows.stride_y, windows.stride_x))), window


def _flops(counts: dict, prefix: str) -> int:
    """FLOPs booked on a module, or on its topmost children where only its methods were called."""
    inside = [name for name in counts if name == prefix or name.startswith(f"{prefix}.")]
    top = [name for name in inside if not any(name.startswith(f"{other}.") for other in inside)]
    return int(sum(sum(counts[name].values()) for name in top))
