"""A bundle as an ONNX file that was compared with torch before it got its name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.engines.torch import TorchEngine
from ..inference.golden_check import stretched
from .acceptance import largest_difference
from .gated import resized
from .onnx_export import OPSET, OnnxRuntimeEngine, export_onnx, save_onnx

PRECISIONS = ("fp32", "fp16")  # convolutions in bf16 are not in opset 20
EXACT = 1e-3
"""Largest |Δscore| of an FP32 export against torch; mixed precision is shown, not judged: gates need labeled frames."""
LABELS = 0.98


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        bytes: of the file.
        opset: of ONNX.
        max_abs_delta, label_agreement: of ONNX Runtime against torch in FP32, on one image.
    """

    bytes: int
    opset: int
    max_abs_delta: float
    label_agreement: float


def export_bundle(
    bundle: Bundle,
    height: int,
    width: int,
    batch: int,
    out: Path,
    precision: str = "fp32",
    image: np.ndarray | None = None,
) -> Export:
    """Export, run once on the CPU, compare, write.

    Args:
        bundle: the model.
        height, width, batch: of the images that the file will take.
        out: the file.
        precision: one of `PRECISIONS`.
        image: RGB uint8 of any size to compare on; None = the golden frame.

    Raises:
        EngineError: unknown precision, an operation that ONNX has not, or another answer than torch's (then nothing is
            written).
    """
    if precision not in PRECISIONS:
        raise EngineError(f"ONNX files are exported in {', '.join(PRECISIONS)}, not in {precision!r}")
    image = stretched(bundle, height, width) if image is None else resized(image, height, width)
    segmentor = bundle.segmentor()
    model = export_onnx(segmentor, bundle.card.input, batch, height, width, precision)
    labels, score = OnnxRuntimeEngine(model)(image)
    reference = TorchEngine(bundle)
    (wanted_labels,), (wanted_score,) = reference.run(reference.compile(1, height, width), image[None])
    delta, agreement = largest_difference(wanted_score, score), float((labels == wanted_labels).mean())
    if not (delta <= EXACT or precision != "fp32") or np.isnan(delta) or agreement < LABELS:
        raise EngineError(
            f"the exported graph does not answer as torch does: max |Δscore| {delta:.3g}, labels agree on "
            f"{agreement:.2%}; nothing was written; report this with the bundle"
        )
    save_onnx(model, out)
    return Export(out.stat().st_size, OPSET, delta, agreement)
