"""OpenVINO on the CPU: the default engine without a GPU.

FP32 needs no preparation. BF16 and INT8 engines are built ahead for one image size (`oodseg build`) and are only used
after their acceptance gate; the FP32 hint is explicit, because without it OpenVINO silently computes in BF16 on CPUs
that can, and a score that is a difference of large logits is then off by several percent.

OpenVINO's CPU plugin (2026.4 here) gives the thread that makes it an alternative signal stack and, when it is
destroyed, puts back the one it found. With two of them, the first one dropped first, the second puts back a stack that
is gone, and the next signal with a Python handler (Ctrl-C, SIGTERM, the end of a child) kills the process silently.
So there is one core, for ever.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...bundle import Bundle
from ...errors import EngineError
from ...process import drop_mapped
from ..engine import Run
from ..engine_cache import EngineIdentity, StoredEngine, accepted_at_any_size, find
from ..golden_check import check_exact, verified
from ..graph_cache import cached, graph_file, identity
from ..sizes import at_image_size, graph_size

INFERENCE_HINT = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What is not quantized in an INT8 graph runs in FP32."""
TOLERANCE = 1e-3
"""Largest |Δscore| of FP32 on the golden frame against the torch engine."""
GRAPH = ".xml"
"""Suffix of the graph of a built engine; its weights are in `.bin`."""


class OpenVinoEngine:
    """Compiles a bundle's graph once per input shape; converted graphs are cached under `OODSEG_CACHE`."""

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

        if score_type != "fp32":
            raise EngineError("engine openvino computes in host memory, where score_type fp16 saves nothing; use fp32")
        self._openvino = openvino
        self._core = openvino_core()
        self._options = {"INFERENCE_PRECISION_HINT": INFERENCE_HINT[precision], "PERFORMANCE_HINT": hint.upper()}
        if threads:
            self._options["INFERENCE_NUM_THREADS"] = str(threads)
        self.identity = f"openvino-{version()}-{precision}-cpu"
        self._bundle = bundle
        self._precision = precision
        self._segmentor: Any = None
        self._ready: dict[tuple[int, int, int], Run] = {}

    def check_golden(self) -> float:
        """FP32: on the bundle's golden frame. Otherwise that of the first accepted engine, stretched."""
        if self._precision == "fp32":
            run = self.compile(1, *self._bundle.golden()["labels"].shape)
            return check_exact(self._bundle, run, self.identity, TOLERANCE)
        engine = accepted_at_any_size(self._bundle, openvino_identity(self._bundle, self._precision, 1, 0, 0))
        run, error = self._loaded(engine)
        found = engine.side.identity
        self._ready[found.batch, found.height, found.width] = run
        return error

    def compile(self, batch: int, height: int, width: int) -> Run:
        """What answers images of one shape; seconds the first time. The GIL is free while it computes.

        Raises:
            EngineError: BF16 or INT8 at a size for which no engine was accepted, or one that answers otherwise now.
        """
        if self._precision == "fp32":
            return self.run_of(self.graph(batch, height, width), height, width)
        wanted = openvino_identity(self._bundle, self._precision, batch, height, width)
        ready = self._ready.pop((batch, height, width), None)
        return ready or self._loaded(find(self._bundle, wanted)[0])[0]

    def graph(self, batch: int, height: int, width: int, value_bytes: int = 4) -> Any:
        """The network in FP32 for images of this size as an `openvino.Model`, not compiled; from the cache where it was
        made before. It takes images of the network's size, see `run_of`; what is to be quantized stores `value_bytes`
        for each number of a map.
        """
        height, width = graph_size(height, width, self._bundle.card.input)
        runtime = f"openvino-{self._openvino.__version__}-{value_bytes}"
        file = graph_file(self._bundle, runtime, (batch, height, width))
        return cached(
            file,
            self._core.read_model,
            lambda: self._convert(batch, height, width, value_bytes),
            lambda graph, path: self._openvino.save_model(graph, path, compress_to_fp16=False),
        )

    def run_of(self, model: Any, height: int, width: int) -> Run:
        """A model (or the path of one) compiled with this engine's options, for images of this size."""
        request = self._core.compile_model(model, "CPU", self._options).create_infer_request()
        drop_mapped(".bin")  # the compiled graph has its own copy of the weights
        return at_image_size(partial(_infer, request), height, width, self._bundle.card.input)

    def _convert(self, batch: int, height: int, width: int, value_bytes: int) -> Any:
        from ..graph import converted  # torch and the network's code, which a cached graph does not need
        from ..precision import check_headroom

        if self._segmentor is None:
            self._segmentor = self._bundle.segmentor()
            # This runtime makes 0 of a NaN: what comes near to overflowing is not run on it.
            golden = self._bundle.golden()["image"]
            check_headroom(self._segmentor, self._bundle.card.input, golden, "fp32", self._bundle.id)
        return converted(self._segmentor, self._bundle.card.input, batch, height, width, False, value_bytes)

    def _loaded(self, engine: StoredEngine) -> tuple[Run, float]:
        """A built engine, after its files and its golden answer were compared with the build's."""
        engine.verify()
        run = self.run_of(engine.path(GRAPH), engine.side.identity.height, engine.side.identity.width)
        return run, verified(self._bundle, engine, run)


def _infer(request: Any, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    request.infer([images], share_inputs=True)
    # Copies: the request's own output memory is overwritten by the next frame.
    return request.get_output_tensor(0).data.copy(), request.get_output_tensor(1).data.copy()


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


@functools.cache
def openvino_core() -> Any:
    """The only `openvino.Core` of this process; it is never destroyed. Use no other one."""
    import openvino

    core = openvino.Core()
    core.get_property("CPU", "FULL_DEVICE_NAME")  # makes the plugin now, before any other one
    return core


class _Stack(ctypes.Structure):
    """`stack_t` of signal.h."""

    _fields_ = (("ss_sp", ctypes.c_void_p), ("ss_flags", ctypes.c_int), ("ss_size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """This thread has the same alternative signal stack after the block as before it.

    For libraries that make cores of their own inside of it (nncf).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    before = _Stack()
    libc.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        gc.collect()  # cores in cycles go now, and not after the stack was put back
        libc.sigaltstack(ctypes.byref(before), None)
