"""The least time that a machine could take: FLOPs over its measured matrix-product rate, bytes over its measured
bandwidth.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.bundle import Bundle
from oodseg_ros.inference.graph import DeployGraph
from oodseg_ros.networks.build import build_segmentor

SIDE, COPY = 2048, 1 << 28
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 1}


@lru_cache
def machine(half: bool = True) -> dict[str, Any]:
    """TFLOP/s of torch's matrix products of SIDE x SIDE on all threads, and GB/s of a copy (read and written).

    `half`: in BF16 and INT8 too, which takes minutes on processors that have neither.
    """
    rates: dict[str, float | None] = {}
    for name, dtype in (("fp32", torch.float32), *([("bf16", torch.bfloat16)] if half else [])):
        a, b = (torch.randn(SIDE, SIDE).to(dtype) for _ in range(2))
        rates[name] = 2 * SIDE**3 / _seconds(lambda a=a, b=b: a @ b) / 1e12
    a, b = (torch.randint(-127, 127, (SIDE, SIDE), dtype=torch.int8) for _ in range(2))
    try:
        rates["int8"] = 2 * SIDE**3 / _seconds(lambda: torch._int_mm(a, b)) / 1e12 if half else None
    except (RuntimeError, AttributeError):
        rates["int8"] = None
    source = np.ones(COPY, np.uint8)
    target = np.empty_like(source)
    bandwidth = 2 * COPY / _seconds(lambda: np.copyto(target, source)) / 1e9
    return {"matmul_tflops": rates, "bandwidth_gb_s": bandwidth, "threads": torch.get_num_threads()}


def _seconds(call: Callable[[], Any]) -> float:
    """Best of some calls: a floor is what the machine can do, not what it did while it was disturbed."""
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def floors(bundle: Bundle, size: tuple[int, int], batch: int, half: bool = True) -> dict[str, dict[str, Any]]:
    """For each precision: GFLOP and MB of one batch, and the milliseconds below which this machine cannot answer it."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        segmentor = build_segmentor(bundle.card.network).eval()
        DeployGraph(segmentor, bundle.card.input, *size)(torch.zeros(batch, *size, 3, dtype=torch.uint8))
    weights = sum(parameter.numel() for parameter in segmentor.parameters())
    found = {}
    for precision, width in BYTES.items():
        # Weights, images, labels and scores cross the bus once at least.
        moved = weights * width + batch * size[0] * size[1] * (3 + 1 + 4)
        rate = machine(half=half)["matmul_tflops"].get(precision)
        parts = [moved / machine(half=half)["bandwidth_gb_s"] / 1e6]
        if rate:
            parts.append(counter.get_total_flops() / rate / 1e9)
        floor = max(parts) if rate else None
        found[precision] = {"gflop": counter.get_total_flops() / 1e9, "megabytes": moved / 1e6, "floor_ms": floor}
    return found
