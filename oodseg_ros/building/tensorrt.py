"""TensorRT engines of a bundle: export, quantize where asked, compile, gate, store.

An engine for another device than this machine's cannot be run here, so it is stored as pending; building it again on
its device only puts it through the gate.
"""

from __future__ import annotations

import shutil
import time
from typing import Any

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.engine_cache import Draft, EngineIdentity, StoredEngine, default_dir, draft, remove, stored
from ..inference.engines.tensorrt import TensorRtEngine
from ..inference.engines.tensorrt_api import PLAN, architecture, capability, load_api, tensorrt_identity
from ..inference.precision import check_headroom, half_parts
from ..inference.sizes import graph_size, resized_frame
from .acceptance import Acceptance, gated, versions
from .onnx_export import export_onnx
from .onnx_precision import quantized
from .order import Frames, Order, Progress
from .tensorrt_plan import build_plan, compute_capability

GRAPH_PRECISION = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8": "fp16"}
"""What is not quantized in an INT8 engine computes in float16, the islands in float32 as ever."""
NO_DEVICE = "was not run yet on the device that it is for"


def identity(bundle: Bundle, order: Order) -> EngineIdentity:
    """See `build.Builder`."""
    target = _target(order, architecture(order.engine, order.where))
    return tensorrt_identity(bundle, order.engine, order.precision, order.batch, order.height, order.width, target)


def build(
    bundle: Bundle, order: Order, frames: Frames, progress: Progress | None = None
) -> tuple[StoredEngine, Acceptance | None]:
    """See `build.Builder`. A pending engine of the same identity is not compiled again: it only goes through its gate
    where its device is, and is gone if it fails.
    """
    wanted, here = identity(bundle, order), architecture(order.engine, order.where)
    waiting = [] if order.again else [one for one in stored(bundle, pending=True) if one.side.identity == wanted]
    pending = waiting[0] if waiting and here == wanted.architecture else None
    with draft(wanted, order.folder or default_dir()) as place:
        if pending is not None:
            pending.verify()
            shutil.copyfile(pending.path(PLAN), place.path(PLAN))
            built = pending.side.built
        else:
            built = _write_plan(place, bundle, order, frames, progress)
        if here != wanted.architecture:
            return place.store(False, reason=f"{NO_DEVICE} ({wanted.architecture})", built=built), None
        loaded = TensorRtEngine(bundle, device=order.where, precision=order.precision, engine=order.engine)
        run = loaded.load(place.path(PLAN), order.batch, order.height, order.width)
        if pending is not None:
            remove(pending)  # accepted or not, it is not pending any more
        return gated(place, bundle, run, frames, built, order)


def _target(order: Order, here: str | None) -> str:
    if order.engine == "tensorrt" and (here is None or order.target not in (None, here, capability(order.where))):
        place = "no CUDA device is here" if here is None else f"this one is {here}"
        raise EngineError(
            f"engine tensorrt is built on the device that it runs on, and {place}; run the same command there, or "
            "build ahead with --engine tensorrt_rtx --target sm_89 (or another RTX card's)"
        )
    if order.target is None and here is None:
        raise EngineError("no CUDA device is here: name the one that the engine is for, e.g. --target sm_89")
    if order.engine != "tensorrt_rtx":
        return here  # type: ignore[return-value]
    target: str = order.target or here  # type: ignore[assignment]
    compute_capability(load_api("tensorrt_rtx"), target)  # said now, not after the export
    return target


def _write_plan(
    place: Draft, bundle: Bundle, order: Order, frames: Frames, progress: Progress | None
) -> dict[str, Any]:
    """Compile into the draft; what the side-car says of it."""
    start = time.perf_counter()
    say = progress or (lambda phase, done: None)
    say("export", 0.0)
    segmentor = bundle.segmentor()
    precision, int8 = GRAPH_PRECISION[order.precision], {}
    check_headroom(segmentor, bundle.card.input, bundle.golden()["image"], precision, bundle.id)
    size = graph_size(order.height, order.width, bundle.card.input)
    model = export_onnx(segmentor, bundle.card.input, order.batch, *size, precision, whole=False)
    parts = tuple(half_parts(segmentor)) if precision != "fp32" else ()
    if order.precision == "int8":
        images = [resized_frame(image, *size) for image in frames.calibration]
        model = quantized(model, images, parts, order.quantize)
        int8 = {**frames.calibrated, "quantized": list(order.quantize)}
    say("export", 1.0)
    here = capability(order.where)
    plan = build_plan(
        model, order.engine, place.identity.architecture, parts, progress, None if here is None else order.where
    )
    place.path(PLAN).write_bytes(plan.data)
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "compile_seconds": round(plan.seconds, 1),
        "bytes": len(plan.data),
        "layers": plan.layers,
        "tensors": plan.tensors,
        **int8,
        "built_on": here or "a machine without a GPU",
        "versions": versions(),
    }
