"""OpenVINO on the CPU: the default engine without a GPU.

The FP32 hint is explicit: without it OpenVINO silently computes in BF16 on CPUs that can, and a score that is a
difference of large logits is then off by 15 %.
"""

from __future__ import annotations

import numpy as np
import torch

from ...bundle import Bundle
from ...errors import EngineError
from ...networks.segmentor import Segmentor
from ..graph import DeployGraph
from .graph_cache import cached, graph_file

PRECISIONS = ("fp32",)
TOLERANCE = 1e-3
"""Largest |Δscore| on the golden frame against the torch engine."""


class OpenVinoEngine:
    """Compiles a bundle's graph once per input shape; converted graphs are cached under `OODSEG_CACHE`."""

    name = "openvino"

    def __init__(
        self,
        bundle: Bundle,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int = 0,
        hint: str = "latency",
        score_type: str = "fp32",
    ) -> None:
        import openvino

        if precision not in PRECISIONS:
            raise EngineError(f"engine openvino has no precision {precision!r}; choose from {', '.join(PRECISIONS)}")
        if device != "cpu":
            raise EngineError(f"engine openvino runs on device cpu here, not on {device!r}")
        self._openvino = openvino
        self._core = openvino.Core()
        self._options = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = str(threads)
        self.identity = f"openvino-{openvino.__version__.split('-')[0]}-{precision}-cpu"
        self.tolerance = TOLERANCE
        self._bundle = bundle
        self._segmentor: Segmentor | None = None

    def compile(self, batch: int, height: int, width: int) -> object:
        """Compiled model for one input shape; seconds the first time."""
        file = graph_file(self._bundle, f"openvino-{self._openvino.__version__}", (batch, height, width))
        model = cached(
            file,
            self._core.read_model,
            lambda: self._convert(batch, height, width),
            lambda graph, path: self._openvino.save_model(graph, path, compress_to_fp16=False),
        )
        return self._core.compile_model(model, "CPU", self._options).create_infer_request()

    def _convert(self, batch: int, height: int, width: int) -> object:
        if self._segmentor is None:
            self._segmentor = self._bundle.segmentor()
        graph = DeployGraph(self._segmentor, self._bundle.card.input, height, width).eval()
        example = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
        with torch.no_grad():
            exported = torch.export.export(graph, (example,))
        return self._openvino.convert_model(exported)

    def run(self, compiled: object, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 `[B, H, W, 3]` → (uint8 `[B, H, W]`, float32 `[B, H, W]`); the GIL is free while it computes."""
        compiled.infer([images], share_inputs=True)
        # Copies: the request's own output memory is overwritten by the next frame.
        return compiled.get_output_tensor(0).data.copy(), compiled.get_output_tensor(1).data.copy()
