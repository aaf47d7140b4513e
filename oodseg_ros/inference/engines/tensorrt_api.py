"""The two Python packages that share one interface: TensorRT (vehicles, data centres) and TensorRT-RTX (RTX cards)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ...bundle import Bundle
from ...errors import EngineError
from ..engine_identity import EngineIdentity
from .accepted import identity

# engine: names under which its Python package is found; torch-tensorrt-rtx brings the first, NVIDIA's own wheels both
PACKAGES = {"tensorrt": ("tensorrt",), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
INSTALL = {
    "tensorrt": "it comes with JetPack, with NVIDIA's apt packages, or with torch-tensorrt",
    "tensorrt_rtx": "pip install -r requirements/tensorrt_rtx.txt (NVIDIA's own licence)",
}
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
PLAN = ".plan"
"""Suffix of an engine's file."""


def load_api(engine: str) -> Any:
    """The Python package of `tensorrt` or `tensorrt_rtx`.

    Raises:
        EngineError: it is not installed, or cannot be loaded here.
    """
    reason: Exception | None = None
    for name in PACKAGES[engine]:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            reason = reason or error
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineError(f"engine {engine}: the Python package {name} cannot be loaded: {error}") from error
    raise EngineError(
        f"engine {engine} needs the Python package {PACKAGES[engine][0]}, which is not installed: {INSTALL[engine]}"
    ) from reason


def architecture(device: str = "cuda") -> str | None:
    """Compute capability of a CUDA device, e.g. `sm_89`; None without one."""
    import torch

    if not device.startswith("cuda") or not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(torch.device(device))
    return f"sm_{major}{minor}"


def tensorrt_identity(
    bundle: Bundle, engine: str, precision: str, batch: int, height: int, width: int, target: str
) -> EngineIdentity:
    """What an engine must have been built for to run on `target` (e.g. `sm_89`) with the installed runtime."""
    runtime = f"{engine}-{load_api(engine).__version__}"
    return identity(bundle, precision, batch, height, width, target, runtime)
