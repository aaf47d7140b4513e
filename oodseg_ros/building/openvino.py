"""BF16 and INT8 engines of OpenVINO: converted, quantized, put through the acceptance gate, stored.

INT8 is made in `openvino_int8`; what stays in FP32 in both is named in `openvino_parts`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from ..bundle import Bundle
from ..inference.engine_cache import Draft, EngineIdentity, StoredEngine, default_dir, draft
from ..inference.engines.openvino import GRAPH, OpenVinoEngine, openvino_core, openvino_identity
from ..inference.sizes import graph_size, resized_frame
from .acceptance import Acceptance, gated, versions
from .openvino_int8 import quantized
from .openvino_parts import final_parts, keep_full_precision, strided
from .order import Frames, Order, Progress


def computes_bf16() -> bool:
    """Whether the processor has BF16; OpenVINO takes the hint on any, and computes in FP32 on the others."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def identity(bundle: Bundle, order: Order) -> EngineIdentity:
    """See `build.Builder`."""
    return openvino_identity(bundle, order.precision, order.batch, order.height, order.width)


def build(
    bundle: Bundle, order: Order, frames: Frames, progress: Progress | None = None
) -> tuple[StoredEngine, Acceptance]:
    """See `build.Builder`; `bf16` or `int8`."""
    start = time.perf_counter()
    with draft(identity(bundle, order), order.folder or default_dir()) as place:
        _write_graph(place, bundle, frames.calibration)
        built = {
            "seconds": round(time.perf_counter() - start, 1),
            **frames.calibrated,
            "bytes": sum(place.path(suffix).stat().st_size for suffix in (GRAPH, ".bin")),
            "versions": versions(),
        }
        engine = OpenVinoEngine(bundle, precision=order.precision, threads=order.threads)
        run = engine.run_of(place.path(GRAPH), order.height, order.width)
        return gated(place, bundle, run, frames, built, order)


def _write_graph(place: Draft, bundle: Bundle, calibration: Sequence[np.ndarray]) -> None:
    import openvino

    wanted = place.identity
    value_bytes = 1 if wanted.precision == "int8" else 4
    model = OpenVinoEngine(bundle).graph(wanted.batch, wanted.height, wanted.width, value_bytes)
    names = [*final_parts(model), *strided(model)]
    if wanted.precision == "int8":
        size = graph_size(wanted.height, wanted.width, bundle.card.input)
        batches = [np.stack([resized_frame(image, *size)] * wanted.batch) for image in calibration]
        model = quantized(model, batches, names)
    openvino.save_model(model, place.path(GRAPH), compress_to_fp16=False)
    if wanted.precision == "bf16":
        keep_full_precision(place.path(GRAPH), names)
