"""BF16 and INT8 engines of OpenVINO: converted, quantized, put through the acceptance gate, stored.

INT8 is post-training quantization by nncf with calibration frames (`pip install nncf`, offline only). What stands
between the last matrix product and the outputs stays in FP32, see `engines.openvino_graph.final_parts`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.engine_cache import Draft, StoredEngine, default_dir, draft
from ..inference.engines.openvino import GRAPH, OpenVinoEngine, openvino_identity
from ..inference.engines.openvino_core import kept_signal_stack, openvino_core
from ..inference.engines.openvino_graph import final_parts, keep_full_precision
from .acceptance import ALLOWED_AP, ALLOWED_FPR95, Acceptance
from .gated import Pairs, gated, resized, versions

PRECISIONS = ("bf16", "int8")
UNQUANTIZED = ("Interpolate", "ReduceMax", "ReduceMean", "TopK", "Subtract", "Softmax", "MVN", "Normalize")
"""Types of operations that decide the score and cost little."""
ATTENTION = frozenset({"Softmax", "ScaledDotProductAttention"})


def build_openvino(
    bundle: Bundle,
    precision: str,
    height: int,
    width: int,
    pairs: Pairs,
    data: str,
    batch: int = 1,
    calibration: Sequence[np.ndarray] = (),
    allowed_ap: float = ALLOWED_AP,
    allowed_fpr95: float = ALLOWED_FPR95,
    folder: Path | None = None,
    threads: int = 0,
) -> tuple[StoredEngine, Acceptance]:
    """Build an engine, compare it with torch in FP32 on labeled frames, store it if it passes.

    Args:
        bundle: the model.
        precision: `bf16` or `int8`.
        height, width, batch: the only images that the engine takes.
        pairs: labeled frames for the gate, as `acceptance.accept` wants them, of any size: they are resized.
        data: what they are, for the side-car.
        calibration: INT8 only: RGB uint8 images without labels, of any size, other than those of the gate.
        allowed_ap, allowed_fpr95: how far AP and FPR95 may move, as fractions.
        folder: where to; None = the user's cache.
        threads: CPU threads of the gate; 0 = all.

    Raises:
        EngineError: unknown precision, no calibration frames, nncf is missing, or the engine failed its gate (then
            nothing is stored).
    """
    if precision not in PRECISIONS:
        raise EngineError(f"openvino engines are built in {' or '.join(PRECISIONS)}; fp32 needs no build")
    if precision == "int8" and not len(calibration):
        raise EngineError("int8 is calibrated on frames of your cameras: name a bag or folder with --calibration")
    wanted = openvino_identity(bundle, precision, batch, height, width)
    start = time.perf_counter()
    with draft(wanted, folder or default_dir()) as place:
        _write_graph(place, bundle, [resized(image, height, width) for image in calibration])
        built = {
            "seconds": round(time.perf_counter() - start, 1),
            "calibration_frames": len(calibration),
            "bytes": sum(place.path(suffix).stat().st_size for suffix in (GRAPH, ".bin")),
            "versions": versions(),
        }
        engine = OpenVinoEngine(bundle, precision=precision, threads=threads)
        request = engine.request(place.path(GRAPH))
        run = partial(engine.run, request)
        return gated(place, bundle, run, pairs, data, built, allowed_ap, allowed_fpr95, threads)


def _write_graph(place: Draft, bundle: Bundle, calibration: list[np.ndarray]) -> None:
    import openvino

    wanted = place.identity
    model = OpenVinoEngine(bundle).graph(wanted.batch, wanted.height, wanted.width)
    names = final_parts(model)
    if wanted.precision == "int8":
        model = quantized(model, [np.stack([image] * wanted.batch) for image in calibration], names)
    openvino.save_model(model, place.path(GRAPH), compress_to_fp16=False)
    if wanted.precision == "bf16":
        keep_full_precision(place.path(GRAPH), names)


def quantized(model: Any, frames: list[np.ndarray], names: list[str]) -> Any:
    """INT8 form of a graph, ranges taken from `frames` (uint8 `[B, H, W, 3]` each); `names` stay as they are.

    Raises:
        EngineError: nncf is not installed.
    """
    try:
        import nncf
    except ModuleNotFoundError as error:
        raise EngineError(f"int8 needs the Python package {error.name!r}: pip install nncf==3.4.0") from error
    # Not nncf.set_log_level: that also changes the handlers which others have put on its logger.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    openvino_core()  # before nncf's own ones
    transformer = any(node.get_type_name() in ATTENTION for node in model.get_ops())
    with kept_signal_stack():
        return nncf.quantize(
            model,
            nncf.Dataset(frames),
            # Asymmetric ranges of activations: half of them come out of a ReLU and half do not.
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(frames),
            model_type=nncf.ModelType.TRANSFORMER if transformer else None,
            ignored_scope=nncf.IgnoredScope(names=names, types=list(UNQUANTIZED), validate=False),
        )
