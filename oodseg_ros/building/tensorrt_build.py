"""TensorRT engines of a bundle: export, quantize where asked, compile, gate, store.

An engine for another device than this machine's cannot be run here, so it is stored as pending; building it again on
its device only puts it through the gate.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.engine_cache import Draft, EngineIdentity, StoredEngine, default_dir, draft, remove
from ..inference.engines.tensorrt import TensorRtEngine, tensor_names
from ..inference.engines.tensorrt_api import PLAN, PRECISIONS, architecture, load_api, tensorrt_identity
from ..inference.precision import half_parts
from .acceptance import ALLOWED_AP, ALLOWED_FPR95, Acceptance
from .gated import Pairs, gated, resized, versions
from .onnx_export import export_onnx
from .quantize import quantized
from .tensorrt import Progress, build_plan
from .torch_tensorrt import build_by_torch, torch_tensorrt_works

GRAPH_PRECISION = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8": "fp16"}
"""What is not quantized in an INT8 engine computes in float16, the islands in float32 as ever."""
Int8 = tuple[Sequence[np.ndarray], Sequence[str]]
"""Calibration images, and the parts of the network that are quantized."""
NO_DEVICE = "was not run yet on the device that it is for"


def build_tensorrt(
    bundle: Bundle,
    engine: str,
    precision: str,
    height: int,
    width: int,
    pairs: Pairs,
    data: str,
    batch: int = 1,
    device: str = "cuda",
    target: str | None = None,
    calibration: Sequence[np.ndarray] = (),
    quantize: Sequence[str] = (),
    allowed_ap: float = ALLOWED_AP,
    allowed_fpr95: float = ALLOWED_FPR95,
    folder: Path | None = None,
    threads: int = 0,
    progress: Progress | None = None,
    pending: StoredEngine | None = None,
) -> tuple[StoredEngine, Acceptance | None]:
    """Build an engine and, where its device is, compare it with torch in FP32 on labeled frames.

    Args:
        bundle: the model.
        engine: `tensorrt` or `tensorrt_rtx`.
        precision: one of `PRECISIONS`.
        height, width, batch: the only images that it takes.
        pairs, data, calibration, allowed_ap, allowed_fpr95, folder, threads: as for `building.openvino.build_openvino`.
        quantize: int8 only: parts of the network (`backbone`, `decoder`); empty = both.
        device: `cuda` or `cuda:<index>`, where it is run.
        target: architecture, e.g. `sm_89`; None = the device's.
        progress: told how far the compiler is.
        pending: an engine of the same identity that only awaits its gate: it is not compiled again.

    Returns:
        The engine and its figures; None where its device is not here: then it is stored, but not loaded by anybody.

    Raises:
        EngineError: it cannot be built, or did not pass its gate (then nothing is stored, and a pending one is gone).
    """
    here = architecture(device)
    wanted = tensorrt_identity(
        bundle, engine, precision, batch, height, width, _target(engine, precision, here, target)
    )
    with draft(wanted, folder or default_dir()) as place:
        if pending is not None:
            pending.verify()
            shutil.copyfile(pending.path(PLAN), place.path(PLAN))
            built = pending.side.built
        else:
            built = _write_plan(place, bundle, (calibration, quantize), here, progress)
        if here != wanted.architecture:
            return place.keep(False, reason=f"{NO_DEVICE} ({wanted.architecture})", built=built), None
        loaded = TensorRtEngine(bundle, device=device, precision=precision, engine=engine)
        run = loaded.load(place.path(PLAN), (batch, height, width))
        if pending is not None:
            remove(pending)  # accepted or not, it is not pending any more
        return gated(place, bundle, run, pairs, data, built, allowed_ap, allowed_fpr95, threads)


def _target(engine: str, precision: str, here: str | None, target: str | None) -> str:
    if precision not in PRECISIONS:
        raise EngineError(f"engine {engine} has no precision {precision!r}; choose from {', '.join(PRECISIONS)}")
    if engine == "tensorrt_rtx" and precision == "int8":
        raise EngineError("tensorrt_rtx has no INT8 convolutions; choose fp16, or engine tensorrt on the device")
    if engine == "tensorrt" and (here is None or target not in (None, here)):
        place = "no CUDA device is here" if here is None else f"this one is {here}"
        raise EngineError(
            f"engine tensorrt is built on the device that it runs on, and {place}; run the same command there, or "
            "build ahead with --engine tensorrt_rtx --target sm_89 (or another RTX card's)"
        )
    if target is None and here is None:
        raise EngineError("no CUDA device is here: name the one that the engine is for, e.g. --target sm_89")
    return target or here  # type: ignore[return-value]


def _write_plan(
    place: Draft, bundle: Bundle, int8: Int8, here: str | None, progress: Progress | None
) -> dict[str, Any]:
    """Compile into the draft; what the side-car says of it."""
    wanted = place.identity
    segmentor = bundle.segmentor()
    start = time.perf_counter()
    note = {}
    data: bytes | None = None
    if wanted.engine == "tensorrt" and wanted.precision != "int8" and torch_tensorrt_works():
        try:
            data = _whole(build_by_torch(segmentor, bundle.card.input, wanted, wanted.precision), wanted)
            note = {"front_end": "torch_tensorrt"}
        except EngineError as error:
            note = {"torch_tensorrt": str(error)}
    if data is None:
        data, facts = _by_parser(segmentor, bundle, wanted, int8, progress)
        note |= {"front_end": "onnx", **facts}
    place.path(PLAN).write_bytes(data)
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "bytes": len(data),
        "fallen_back": [],  # one engine or none: nothing can fall back
        **({"calibration_frames": len(int8[0]), "quantized": list(int8[1])} if wanted.precision == "int8" else {}),
        "built_on": here or "a machine without a GPU",
        "versions": versions(),
        **note,
    }


def _whole(data: bytes, wanted: EngineIdentity) -> bytes:
    """The same bytes, if the runtime takes them and they take and give what an engine should."""
    api = load_api(wanted.engine)
    engine = api.Runtime(api.Logger(api.Logger.ERROR)).deserialize_cuda_engine(data)
    if engine is None:
        raise EngineError("the runtime does not load what torch_tensorrt built")
    tensor_names(api, engine, (wanted.batch, wanted.height, wanted.width))
    return data


def _by_parser(
    segmentor: Any, bundle: Bundle, wanted: EngineIdentity, int8: Int8, progress: Progress | None
) -> tuple[bytes, dict[str, Any]]:
    if progress is not None:
        progress("export", 0.0)
    precision = GRAPH_PRECISION[wanted.precision]
    model = export_onnx(segmentor, bundle.card.input, wanted.batch, wanted.height, wanted.width, precision)
    parts = tuple(half_parts(segmentor)) if precision != "fp32" else ()
    if wanted.precision == "int8":
        frames = [resized(image, wanted.height, wanted.width) for image in int8[0]]
        model = quantized(model, frames, parts, int8[1])
    if progress is not None:
        progress("export", 1.0)
    target = wanted.architecture if wanted.engine == "tensorrt_rtx" else None
    plan = build_plan(model, wanted.engine, target, parts, progress)
    return plan.data, {"layers": plan.layers, "tensors": plan.tensors, "compile_seconds": round(plan.seconds, 1)}
