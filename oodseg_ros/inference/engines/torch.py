"""The reference engine: PyTorch eager, FP32. Slow, and the one that all others are compared with."""

from __future__ import annotations

import numpy as np
import torch

from ...bundle import Bundle
from ...errors import EngineError
from ..graph import DeployGraph

PRECISIONS = ("fp32",)
TOLERANCE = 1e-4
"""Largest |Δscore| on the golden frame; other CPUs sum in another order."""


class TorchEngine:
    """Runs a bundle's graph in eager mode on `device` (`cpu`, `cuda`, `cuda:0`, …)."""

    name = "torch"

    def __init__(
        self,
        bundle: Bundle,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int = 0,
        hint: str = "latency",
        score_type: str = "fp32",
    ) -> None:
        if precision not in PRECISIONS:
            raise EngineError(f"engine torch has no precision {precision!r}; choose from {', '.join(PRECISIONS)}")
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EngineError(f"device {device!r} was asked for, but torch sees no CUDA device; use device: cpu")
        self.device = torch.device(device)
        if threads and self.device.type == "cpu":
            torch.set_num_threads(threads)
        self.identity = f"torch-{torch.__version__}-{precision}-{self.device}"
        self.tolerance = TOLERANCE
        self._spec = bundle.card.input
        self._segmentor = bundle.segmentor().to(self.device)

    def compile(self, batch: int, height: int, width: int) -> DeployGraph:
        """Graph for one input shape; eager, so nothing is built."""
        return DeployGraph(self._segmentor, self._spec, height, width).to(self.device).eval()

    def run(self, compiled: DeployGraph, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 `[B, H, W, 3]` → (uint8 `[B, H, W]`, float32 `[B, H, W]`), in host memory."""
        with torch.inference_mode():
            labels, score = compiled(torch.from_numpy(images).to(self.device))
            return labels.cpu().numpy(), score.cpu().numpy()
