"""The two Python packages that share one interface: TensorRT (vehicles, data centres) and TensorRT-RTX (RTX cards).

TensorRT-RTX compiles its kernels when an engine is first run; they are kept, so that only the first start waits.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ...bundle import Bundle
from ...errors import EngineError
from ...paths import cache_dir
from ..engine import EngineIdentity
from ..graph_cache import identity

# engine: names under which its Python package is found; torch-tensorrt-rtx brings the first, NVIDIA's own wheels both
PACKAGES = {"tensorrt": ("tensorrt",), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
INSTALL = {
    "tensorrt": "it comes with JetPack or with NVIDIA's apt or pip packages (docs/install.md)",
    "tensorrt_rtx": "pip install -r requirements/tensorrt_rtx.txt (NVIDIA's own licence)",
}
INVALID = {
    1: "it was built with another version",
    2: "it was built for devices of another compute capability",
    4: "the driver is too old for it",
    8: "the CUDA runtime is too old for it",
    16: "the device has too little memory for it",
    32: "the file is damaged",
    64: "CUDA failed",
}
"""The bits of `EngineInvalidityDiagnostics`."""
PLAN = ".plan"
"""Suffix of an engine's file."""
_LOG = logging.getLogger(__name__)


def load_api(engine: str) -> Any:
    """The Python package of `tensorrt` or `tensorrt_rtx`.

    Raises:
        EngineError: it is not installed, or cannot be loaded here.
    """
    for name in PACKAGES[engine]:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue  # kept in a name, it would keep its frames, and a caller's builder, until a garbage collection
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineError(f"engine {engine}: the Python package {name} cannot be loaded: {error}") from error
    raise EngineError(
        f"engine {engine} needs the Python package {PACKAGES[engine][0]}, which is not installed: {INSTALL[engine]}"
    )


class Collector:
    """What TensorRT says while this object lives, and the logger to give it.

    Attributes:
        logger: the one of this package in this process. TensorRT keeps the first logger that it is given and tells
            another one so while it holds a lock: if Python collects garbage just then and an older builder is in it,
            that builder waits for the lock, and the process stands still.
        errors: first line of each error, oldest first.
    """

    def __init__(self, api: Any) -> None:
        self.errors: list[str] = []
        if api.__name__ not in _LOGGERS:
            _LOGGERS[api.__name__] = _logger(api)
        self.logger, listeners = _LOGGERS[api.__name__]
        listeners.add(self)

    @property
    def last(self) -> str:
        """The last error."""
        return self.errors[-1] if self.errors else "no reason given"


_LOGGERS: dict[str, tuple[Any, WeakSet[Collector]]] = {}
"""Package → its logger in this process, and who listens to it."""


def _logger(api: Any) -> tuple[Any, WeakSet[Collector]]:
    listeners: WeakSet[Collector] = WeakSet()

    class Logger(api.ILogger):
        """Errors of a build to who builds; without one, warnings and errors of the runtime to Python's logging."""

        def __init__(self) -> None:
            api.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            # Without a GPU, every call complains of CUDA; that is no reason of anything here.
            if severity > api.ILogger.Severity.WARNING or "catchCudaError" in text:
                return
            building = list(listeners)
            if not building:
                _LOG.warning("%s: %s", api.__name__, text.strip())
            elif severity <= api.ILogger.Severity.ERROR:
                for listener in building:
                    listener.errors.append(text.strip().splitlines()[0])

    return Logger(), listeners


def capability(device: str = "cuda") -> str | None:
    """Compute capability of a CUDA device, e.g. `sm_89`; None without one."""
    import torch

    if not device.startswith("cuda") or not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(torch.device(device))
    return f"sm_{major}{minor}"


def architecture(engine: str, device: str = "cuda") -> str | None:
    """For which devices an engine that is built on this one is good; None without a device.

    TensorRT-RTX compiles for a capability. TensorRT itself chooses kernels for this very device and compares more when
    it loads them: an AGX Orin and an Orin Nano are both sm_87. What torch knows of that stands in the name: processors,
    L2 cache, width of the memory bus, memory, e.g. `sm_87-16sm-4096kb-256bit-61gib`.
    """
    import torch

    found = capability(device)
    if found is None or engine == "tensorrt_rtx":
        return found
    known = torch.cuda.get_device_properties(torch.device(device))
    bus = getattr(known, "memory_bus_width", None) or 0  # older versions of torch do not tell
    return (
        f"{found}-{known.multi_processor_count}sm-{known.L2_cache_size >> 10}kb-{bus}bit"
        f"-{round(known.total_memory / 2**30)}gib"
    )


def check_valid(api: Any, runtime: Any, plan: bytes, identity: str) -> None:
    """Ask the runtime whether it would load an engine, where it can tell (TensorRT-RTX): that names the reason.

    Raises:
        EngineError: it would not, and why.
    """
    if not hasattr(runtime, "get_engine_validity"):
        return
    validity, reasons = runtime.get_engine_validity(plan)
    if validity == api.EngineValidity.INVALID:
        said = " and ".join(text for bit, text in INVALID.items() if int(reasons) & bit) or "its log says why"
        raise EngineError(f"{identity} cannot use this engine: {said}; build it again here, with --again")


def tensorrt_identity(
    bundle: Bundle, engine: str, precision: str, batch: int, height: int, width: int, target: str
) -> EngineIdentity:
    """What an engine must have been built for to run on `target` (e.g. `sm_89`) with the installed runtime."""
    runtime = f"{engine}-{load_api(engine).__version__}"
    return identity(bundle, precision, batch, height, width, target, runtime)


def context_of(api: Any, engine: Any, plan: Path) -> tuple[Any, Any, bool]:
    """An execution context (None where memory is out), its cache of kernels (None for TensorRT, which has none), and
    whether the runtime itself launches it as one CUDA graph.

    What TensorRT-RTX allocates while it runs cannot be captured from outside; it has a strategy of its own for that.
    """
    if not hasattr(api, "IRuntimeCache"):
        return engine.create_execution_context(), None, False
    config = engine.create_runtime_config()
    kernels = config.create_runtime_cache()
    file = kernels_file(plan)
    if file.is_file():
        # A cache of another driver or version is refused by the runtime, which then compiles again.
        kernels.deserialize(file.read_bytes())
    config.set_runtime_cache(kernels)
    whole = api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
    config.cuda_graph_strategy = whole
    return engine.create_execution_context(config), kernels, config.cuda_graph_strategy == whole


def store_kernels(kernels: Any, plan: Path) -> None:
    """Store what was compiled; a disk that cannot be written costs time at the next start, nothing else."""
    if kernels is None:
        return
    file = kernels_file(plan)
    part = file.with_name(f".{os.getpid()}-{file.name}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(bytes(kernels.serialize()))
        os.replace(part, file)


def kernels_file(plan: Path) -> Path:
    """Where the kernels of an engine are kept; in the user's cache, since an engine may lie in a read-only folder."""
    return cache_dir() / "kernels" / f"{plan.stem}.cache"
