"""OpenVINO on the CPU: the default engine without a GPU.

FP32 needs no preparation. BF16 and INT8 engines are built ahead for one image size (`oodseg build`) and are only used
after their acceptance gate; the FP32 hint is explicit, because without it OpenVINO silently computes in BF16 on CPUs
that can, and a score that is a difference of large logits is then off by several percent.
"""

from __future__ import annotations

import platform
from functools import partial
from typing import Any

import numpy as np

from ...bundle import Bundle
from ...errors import EngineError
from ...networks.segmentor import Segmentor
from ..engine_cache import EngineIdentity, StoredEngine, find
from .accepted import accepted_at_any_size, identity, verified
from .graph_cache import cached, graph_file
from .openvino_core import openvino_core
from .openvino_graph import converted

PRECISIONS = ("fp32", "bf16", "int8")
INFERENCE_HINT = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What is not quantized in an INT8 graph runs in FP32."""
TOLERANCE = 1e-3
"""Largest |Δscore| of FP32 on the golden frame against the torch engine."""
GRAPH = ".xml"
"""Suffix of the graph of a built engine; its weights are in `.bin`."""


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
        if score_type != "fp32":
            raise EngineError("engine openvino computes in host memory, where score_type fp16 saves nothing; use fp32")
        self._openvino = openvino
        self._core = openvino_core()
        self._options = {"INFERENCE_PRECISION_HINT": INFERENCE_HINT[precision], "PERFORMANCE_HINT": hint.upper()}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = str(threads)
        self.identity = f"openvino-{version()}-{precision}-cpu"
        self.tolerance = TOLERANCE
        self._bundle = bundle
        self._precision = precision
        self._segmentor: Segmentor | None = None
        self._ready: dict[tuple[int, int, int], Any] = {}
        if precision != "fp32":
            self.check_golden = self._check_built

    def compile(self, batch: int, height: int, width: int) -> Any:
        """Compiled model for one input shape; seconds the first time.

        Raises:
            EngineError: BF16 or INT8 at a size for which no engine was accepted, or one that answers otherwise now.
        """
        if self._precision != "fp32":
            wanted = openvino_identity(self._bundle, self._precision, batch, height, width)
            ready = self._ready.pop((batch, height, width), None)
            return ready or self._loaded(find(self._bundle, wanted)[0])[0]
        return self.request(self.graph(batch, height, width))

    def run(self, compiled: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 `[B, H, W, 3]` → (uint8 `[B, H, W]`, float32 `[B, H, W]`); the GIL is free while it computes."""
        compiled.infer([images], share_inputs=True)
        # Copies: the request's own output memory is overwritten by the next frame.
        return compiled.get_output_tensor(0).data.copy(), compiled.get_output_tensor(1).data.copy()

    def graph(self, batch: int, height: int, width: int) -> Any:
        """The network in FP32 as an `openvino.Model`, not compiled; from the cache where it was made before."""
        file = graph_file(self._bundle, f"openvino-{self._openvino.__version__}", (batch, height, width))
        return cached(
            file,
            self._core.read_model,
            lambda: self._convert(batch, height, width),
            lambda graph, path: self._openvino.save_model(graph, path, compress_to_fp16=False),
        )

    def request(self, model: Any) -> Any:
        """A model (or the path of one) compiled with this engine's options, ready to run."""
        return self._core.compile_model(model, "CPU", self._options).create_infer_request()

    def _convert(self, batch: int, height: int, width: int) -> Any:
        if self._segmentor is None:
            self._segmentor = self._bundle.segmentor()
        return converted(self._segmentor, self._bundle.card.input, batch, height, width)

    def _check_built(self) -> float:
        """Largest |Δscore| of the first accepted engine of this precision, on the stretched golden frame."""
        wanted = openvino_identity(self._bundle, self._precision, 1, 0, 0)
        engine = accepted_at_any_size(self._bundle, wanted)
        request, error = self._loaded(engine)
        found = engine.side.identity
        self._ready[found.batch, found.height, found.width] = request
        return error

    def _loaded(self, engine: StoredEngine) -> tuple[Any, float]:
        """The request of a built engine, after its files and its golden answer were compared with the build's."""
        engine.verify()
        request = self.request(engine.path(GRAPH))
        return request, verified(self._bundle, engine, partial(self.run, request))


def openvino_identity(bundle: Bundle, precision: str, batch: int, height: int, width: int) -> EngineIdentity:
    """What a built engine must have been built for to run here."""
    return identity(bundle, precision, batch, height, width, architecture(), f"openvino-{version()}")


def version() -> str:
    """Version of OpenVINO, without its build number."""
    import openvino

    return openvino.__version__.split("-")[0]


def architecture() -> str:
    """Processor family, and whether it computes in BF16 by itself: that decides the answers of a BF16 engine."""
    native = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return f"{platform.machine()}-bf16" if native else platform.machine()
