"""What an engine is and which ones there are; what a built one was built for (`EngineIdentity`), and the side-car that
says so.

A new engine is a class in `engines/`, an entry in `ENGINES`, and a builder in `building/` where it has to be built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import EngineError, why
from ..paths import write_json

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
        precisions: kind of device → what it computes in there.
        unbuilt: those of them that run without `oodseg build`.
        builds: modules of `building` that decide what a built engine computes: when one of them changes, engines are
            built again. The first has `identity` and `build`, see `building.build.Builder`; empty where all precisions
            are `unbuilt`.
    """

    runs: str
    precisions: dict[str, tuple[str, ...]]
    unbuilt: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()


_OPENVINO = ("openvino", "openvino_parts", "openvino_int8", "openvino_convolutions")
_TENSORRT = ("tensorrt", "tensorrt_plan", "onnx_export", "onnx_precision")
ENGINES = {
    "torch": EngineEntry(
        "torch:TorchEngine", {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "fp16", "bf16")}, ("fp32",), ("torch",)
    ),
    "openvino": EngineEntry("openvino:OpenVinoEngine", {"cpu": ("fp32", "bf16", "int8")}, ("fp32",), _OPENVINO),
    "tensorrt": EngineEntry("tensorrt:tensorrt", {"cuda": ("fp32", "fp16", "bf16", "int8")}, builds=_TENSORRT),
    # TensorRT-RTX has no INT8 convolutions.
    "tensorrt_rtx": EngineEntry("tensorrt:tensorrt_rtx", {"cuda": ("fp32", "fp16", "bf16")}, builds=_TENSORRT),
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


SCHEMA = 1


@dataclass(frozen=True)
class EngineIdentity:
    """What an engine was built for; equal identities can be exchanged, others never.

    Attributes:
        bundle: the model's name; not compared, the weights decide.
        weights: sha256 of its weights, 64 hex digits.
        height, width: of the images, in pixels.
        batch: images per run.
        precision: fp32, fp16, bf16 or int8.
        architecture: the device's, e.g. `sm_89` or `cpu`.
        runtime: engine name, a dash, and the version of what runs it, e.g. `tensorrt-10.15.1`.
        code: `graph_cache.code_digest(engine)`, 64 hex digits.
    """

    bundle: str
    weights: str
    height: int
    width: int
    batch: int
    precision: str
    architecture: str
    runtime: str
    code: str

    @property
    def stem(self) -> str:
        """File name without suffix."""
        return (
            f"{self.bundle}-{self.weights[:12]}-{self.width}x{self.height}-b{self.batch}-{self.precision}"
            f"-{self.architecture}-{self.runtime}-{self.code[:8]}"
        )

    @property
    def engine(self) -> str:
        """The engine's name, as `Runner.load` and `oodseg build` know it."""
        return self.runtime.partition("-")[0]

    @property
    def command(self) -> str:
        """The command that builds this engine on this machine, for a bundle that its name finds."""
        return self.command_for(self.bundle)

    def command_for(self, bundle: str) -> str:
        """The same for a bundle given by its path."""
        return (
            f"oodseg build {bundle} --engine {self.engine} --precision {self.precision} "
            f"--size {self.width}x{self.height} --batch {self.batch}"
        )

    def differences(self, other: EngineIdentity, ignore: tuple[str, ...] = ()) -> tuple[str, ...]:
        """One phrase per field in which `other` differs, e.g. `batch 4 instead of 1`."""
        phrases = []
        for name in (entry.name for entry in fields(self)):
            mine, theirs = getattr(self, name), getattr(other, name)
            if name != "bundle" and name not in ignore and mine != theirs:
                mine, theirs = (str(value)[:12] if name in ("weights", "code") else value for value in (mine, theirs))
                phrases.append(f"{name} {theirs} instead of {mine}")
        return tuple(phrases)


@dataclass(frozen=True)
class SideCar:
    """What lies beside an engine as JSON.

    Attributes:
        identity: what it was built for.
        files: file name → sha256, every file of the engine.
        accepted: whether it passed its gate on the device that it was built for.
        reason: why not, if not.
        acceptance: the gate's figures (`building.acceptance.Acceptance` as a dict), or None.
        golden: `max_abs_delta` and `label_agreement` on the golden frame when it was accepted, or None.
        built: for the reader: seconds, bytes, versions, time.
    """

    identity: EngineIdentity
    files: dict[str, str]
    accepted: bool
    reason: str = ""
    acceptance: dict[str, Any] | None = None
    golden: dict[str, float] | None = None
    built: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> SideCar:
        """Read `<stem>.json`.

        Raises:
            EngineError: it is damaged or of another schema.
        """
        try:
            data = json.loads(path.read_text())
            if data.pop("schema") != SCHEMA:
                raise ValueError("of another schema")
            return cls(EngineIdentity(**data.pop("identity")), **data)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EngineError(
                f"{path} is no side-car of an engine that this version reads ({why(error)}); build it again"
            ) from error

    def write(self, path: Path) -> None:
        """Write `<stem>.json`, complete or not at all."""
        write_json(path, {"schema": SCHEMA, **asdict(self)})
