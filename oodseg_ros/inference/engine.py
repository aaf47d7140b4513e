"""What an engine is, and which ones there are.

A new engine is a class in `engines/`, a builder in `building/` and an entry in `ENGINES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import EngineError

Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""uint8 `[B, H, W, 3]` → (labels uint8, score float32), `[B, H, W]` each, in host memory and the caller's own."""


class Engine(Protocol):
    """Runs one bundle on one device in one precision. Not thread-safe: one thread owns it.

    Attributes:
        identity: engine, version, precision and device, for reports and diagnostics.
    """

    identity: str

    def check_golden(self) -> float:
        """Largest |Δscore| on the bundle's golden frame.

        Raises:
            EngineError: it does not answer there as the bundle says, or as it did when it was accepted.
        """
        ...

    def compile(self, batch: int, height: int, width: int) -> Run:
        """What answers images of one shape; the first time, this can take minutes.

        Raises:
            EngineError: this shape cannot be run, or answers otherwise than when it was accepted.
        """
        ...


@dataclass(frozen=True)
class EngineEntry:
    """One engine that can be named.

    Attributes:
        runs: `module:name` in `inference.engines`; called with the bundle, device, precision, threads, hint and
            score_type, it gives an `Engine`.
        builds: module of `building` with `identity` and `build`, see `building.build.Builder`.
        precisions: kind of device → what it computes in there.
        unbuilt: those of them that run without `oodseg build`.
    """

    runs: str
    builds: str
    precisions: dict[str, tuple[str, ...]]
    unbuilt: tuple[str, ...] = ()


ENGINES = {
    "torch": EngineEntry(
        "torch:TorchEngine", "torch", {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16", "bf16")}, ("fp32",)
    ),
    "openvino": EngineEntry("openvino:OpenVinoEngine", "openvino", {"cpu": ("fp32", "bf16", "int8")}, ("fp32",)),
    "tensorrt": EngineEntry("tensorrt:tensorrt", "tensorrt", {"cuda": ("fp32", "fp16", "bf16", "int8")}),
    # TensorRT-RTX has no INT8 convolutions.
    "tensorrt_rtx": EngineEntry("tensorrt:tensorrt_rtx", "tensorrt", {"cuda": ("fp32", "fp16", "bf16")}),
}
DEFAULT_ENGINE = {"cpu": "openvino", "cuda": "torch"}
HINTS = ("latency", "throughput")
SCORE_TYPES = ("fp32", "fp16")


def chosen(engine: str | None, device: str | None, precision: str) -> tuple[str, str]:
    """Name of the engine and its device; None stands for the default of the other, on the CPU if both are None.

    Raises:
        EngineError: no such engine or device, or the engine has not this device or precision.
    """
    if engine is not None and engine not in ENGINES:
        raise EngineError(f"unknown engine {engine!r}; this version knows {', '.join(sorted(ENGINES))}")
    device = device or (next(iter(ENGINES[engine].precisions)) if engine else "cpu")
    if re.fullmatch(r"cpu|cuda(:\d+)?", device) is None:
        raise EngineError(f"unknown device {device!r}; choose cpu, cuda or cuda:<index>")
    kind = device.split(":")[0]
    name = engine or DEFAULT_ENGINE[kind]
    precisions = ENGINES[name].precisions
    if kind not in precisions:
        raise EngineError(
            f"engine {name} runs on {' or '.join(precisions)}, not on {device!r}; try --device {next(iter(precisions))}"
            f"{_or_engines(kind, precision)}"
        )
    if precision not in precisions[kind]:
        raise EngineError(
            f"engine {name} has no precision {precision!r} on {kind}; choose from {', '.join(precisions[kind])}"
            f"{_or_engines(kind, precision)}"
        )
    return name, device


def _or_engines(kind: str, precision: str) -> str:
    """Which engines have a precision on a kind of device, as the end of a refusal."""
    able = [name for name, entry in ENGINES.items() if precision in entry.precisions.get(kind, ())]
    return f", or --engine {' or '.join(able)}, which has {precision} on {kind}" if able else ""
