"""PyTorch: eager in FP32 is the reference that all other engines are compared with; in half precision it is the second
best on a GPU without TensorRT.

| device | precision | how it runs |
|---|---|---|
| cpu, cuda | fp32 | eager; TF32 is off |
| cpu | bf16 | eager, backbone and decoder in BF16 |
| cuda | fp16, bf16 | backbone and decoder in half precision, channels last, torch.compile, one CUDA graph per shape |

Half precision needs an accepted engine, see `oodseg build`: there is no file to build, but what was measured is kept.
"""

from __future__ import annotations

import platform
from functools import partial
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn

from ...bundle import Bundle
from ...errors import EngineError
from ...networks.segmentor import Segmentor
from ..engine import Run
from ..engine_cache import EngineIdentity, StoredEngine, accepted_at_any_size, find
from ..golden_check import check_exact, verified
from ..graph import DeployGraph
from ..graph_cache import identity
from ..sizes import at_image_size, graph_size
from .captured import CapturedGraph

TOLERANCE = {"cpu": 1e-4, "cuda": 1e-3}
"""Largest |Δscore| of FP32 on the golden frame; other processors sum in another order."""


class TorchEngine:
    """Runs a bundle's graph on `device` (`cpu`, `cuda`, `cuda:0`, …)."""

    def __init__(
        self,
        bundle: Bundle,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int = 0,
        hint: str = "latency",
        score_type: str = "fp32",
    ) -> None:
        kind = device.split(":")[0]
        if kind == "cuda" and not torch.cuda.is_available():
            raise EngineError(f"device {device!r} was asked for, but torch sees no CUDA device; use device: cpu")
        self.device = torch.device(device)
        if threads and kind == "cpu":
            torch.set_num_threads(threads)
        if kind == "cuda" and precision == "fp32":
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        self._captured = kind == "cuda" and precision != "fp32"
        # torch.compile writes its GPU kernels in Triton; without it only the graph is left.
        self._compiled = self._captured and find_spec("triton") is not None
        steps = [""] + ["compiled"] * self._compiled + ["cudagraph"] * self._captured
        self.identity = f"torch-{torch.__version__}-{precision}{'-'.join(steps)}-{self.device}"
        self._tolerance = TOLERANCE[kind]
        self._score_type = torch.float16 if score_type == "fp16" and kind == "cuda" else torch.float32
        if self._score_type == torch.float16:
            largest = float(np.nanmax(np.abs(bundle.golden()["score"])))
            self._tolerance += largest * torch.finfo(torch.float16).eps
        self._bundle = bundle
        self._precision = precision
        self._full = bundle.segmentor().to(self.device) if precision == "fp32" else None
        self._ready: dict[tuple[int, int, int], Run] = {}

    def check_golden(self) -> float:
        """FP32: on the bundle's golden frame. Otherwise that of the first accepted shape, stretched."""
        if self._full is not None:
            run = self.compile(1, *self._bundle.golden()["labels"].shape)
            return check_exact(self._bundle, run, self.identity, self._tolerance)
        engine = accepted_at_any_size(self._bundle, torch_identity(self._bundle, self._precision, 1, 0, 0, self.device))
        run, error = self._loaded(engine)
        found = engine.side.identity
        self._ready[found.batch, found.height, found.width] = run
        return error

    def compile(self, batch: int, height: int, width: int) -> Run:
        """What answers images of one shape; in half precision on a GPU that takes a minute the first time.

        Raises:
            EngineError: half precision at a size for which nothing was accepted, or that answers otherwise now.
        """
        if self._full is not None:
            return self.prepared(batch, height, width)
        ready = self._ready.pop((batch, height, width), None)
        wanted = torch_identity(self._bundle, self._precision, batch, height, width, self.device)
        return ready or self._loaded(find(self._bundle, wanted)[0])[0]

    def prepared(self, batch: int, height: int, width: int) -> Run:
        """As `compile`, for what was not accepted yet: a build asks for it."""
        spec = self._bundle.card.input
        size = graph_size(height, width, spec)
        graph = DeployGraph(self._segmentor(*size), spec, *size, whole=False)
        graph = _Typed(graph, self._score_type).to(self.device).eval()
        if not self._captured:
            return at_image_size(partial(_plain, graph, self.device), height, width, spec)
        if self._compiled:
            graph = torch.compile(graph, dynamic=False)
        captured = CapturedGraph(graph, (batch, *size), self.device, self.identity)
        return at_image_size(captured, height, width, spec)

    def _segmentor(self, height: int, width: int) -> Segmentor:
        if self._full is not None:
            return self._full
        from ..precision import lower

        segmentor = self._bundle.segmentor()
        # Position tables are made in FP32, for the size that the network really gets, before anything is lowered.
        DeployGraph(segmentor, self._bundle.card.input, height, width)
        return lower(segmentor, self._precision).to(self.device, memory_format=torch.channels_last)

    def _loaded(self, engine: StoredEngine) -> tuple[Run, float]:
        engine.verify()
        found = engine.side.identity
        compiled = self.prepared(found.batch, found.height, found.width)
        score_type = "fp16" if self._score_type == torch.float16 else "fp32"
        return compiled, verified(self._bundle, engine, compiled, score_type)


def torch_identity(
    bundle: Bundle, precision: str, batch: int, height: int, width: int, device: torch.device
) -> EngineIdentity:
    """What must have been accepted to run here."""
    runtime = f"torch-{torch.__version__}"
    return identity(bundle, precision, batch, height, width, architecture(device), runtime)


def architecture(device: torch.device) -> str:
    """`sm_89` and the like, or the processor family."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"sm_{major}{minor}"
    return platform.machine()


class _Typed(nn.Module):
    """A graph whose score leaves the device in another type."""

    def __init__(self, graph: DeployGraph, score_type: torch.dtype) -> None:
        super().__init__()
        self.graph = graph
        self.score_type = score_type

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        labels, score = self.graph(images)
        return labels, score.to(self.score_type)


def _plain(graph: nn.Module, device: torch.device, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with torch.inference_mode():
        labels, score = graph(torch.from_numpy(images).to(device))
        return labels.cpu().numpy(), score.float().cpu().numpy()
