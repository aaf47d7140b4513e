"""OpenVINO on the CPU: the default engine without a GPU.

The FP32 hint is explicit: without it OpenVINO silently computes in BF16 on CPUs that can, and a score that is a difference
of large logits is then off by 15 %.
"""

from __future__ import annotations

import numpy as np
import torch

from ...bundle import Bundle
from ...errors import EngineError
from ...paths import cache_dir
from ..graph import DeployGraph

PRECISIONS = ("fp32",)
TOLERANCE = 1e-3
"""Largest |Δscore| on the golden frame against the torch engine."""


class OpenVinoEngine:
    """Compiles a bundle's graph once per input shape; compiled models are cached under `OODSEG_CACHE`."""

    name = "openvino"

    def __init__(self, bundle: Bundle, device: str = "cpu", precision: str = "fp32", threads: int = 0) -> None:
        import openvino

        if precision not in PRECISIONS:
            raise EngineError(f"engine openvino has no precision {precision!r}; choose from {', '.join(PRECISIONS)}")
        if device != "cpu":
            raise EngineError(f"engine openvino runs on device cpu here, not on {device!r}")
        self._openvino = openvino
        self._core = openvino.Core()
        cache = cache_dir() / "openvino"
        cache.mkdir(parents=True, exist_ok=True)
        self._options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "CACHE_DIR": str(cache),
        }
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = str(threads)
        self.identity = f"openvino-{openvino.__version__.split('-')[0]}-{precision}-cpu"
        self.tolerance = TOLERANCE
        self._spec = bundle.card.input
        self._segmentor = bundle.segmentor()

    def compile(self, batch: int, height: int, width: int) -> object:
        """Compiled model for one input shape; seconds the first time."""
        graph = DeployGraph(self._segmentor, self._spec, height, width).eval()
        example = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
        with torch.no_grad():
            exported = torch.export.export(graph, (example,))
        model = self._openvino.convert_model(exported)
        return self._core.compile_model(model, "CPU", self._options).create_infer_request()

    def run(self, compiled: object, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 `[B, H, W, 3]` → (uint8 `[B, H, W]`, float32 `[B, H, W]`); the GIL is free while it computes."""
        compiled.infer([images], share_inputs=True)
        # Copies: the request's own output memory is overwritten by the next frame.
        return compiled.get_output_tensor(0).data.copy(), compiled.get_output_tensor(1).data.copy()
