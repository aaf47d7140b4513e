"""What is to be built, and the frames that it is judged and calibrated on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..inference.engine import chosen

ALLOWED_AP, ALLOWED_FPR95 = 0.005, 0.01
Progress = Callable[[str, float], None]
"""Called with a phase of the build and how much of it is done, 0 to 1."""
Pairs = Iterable[tuple[np.ndarray, np.ndarray]]
"""(image RGB uint8 `[H, W, 3]`, truth uint8 `[H, W]`: 0 normal, 1 anomaly, 255 void)."""


@dataclass(frozen=True)
class Frames:
    """What a build is judged and calibrated on, of any size: it is resized to the engine's.

    Attributes:
        pairs: labeled frames for the gate.
        data: what they are, for the side-car.
        calibration: int8 only: RGB uint8 images without labels, others than those of the gate.
    """

    pairs: Pairs
    data: str
    calibration: Sequence[np.ndarray] = ()

    @property
    def calibrated(self) -> dict[str, Any]:
        """What the side-car tells of the calibration frames: their number and one sha256 of all; {} without any."""
        if not len(self.calibration):
            return {}
        digest = hashlib.sha256()
        for image in self.calibration:
            digest.update(f"{image.shape}".encode())
            digest.update(np.ascontiguousarray(image))
        return {"calibration_frames": len(self.calibration), "calibration_sha256": digest.hexdigest()}


@dataclass(frozen=True)
class Order:
    """What to build.

    Attributes:
        engine, precision: see docs/engines.md.
        height, width, batch: the only images that the engine will take.
        device: `cpu`, `cuda` or `cuda:<index>`, where it is run; None = the engine's own.
        target: only tensorrt_rtx: architecture to build for, e.g. `sm_89`; None = the device's.
        folder: where to; None = the user's cache.
        threads: CPU threads of the gate's reference; 0 = all.
        allowed_ap, allowed_fpr95: how far AP and FPR95 may move, as fractions.
        quantize: only tensorrt in int8: parts of the network, e.g. `decoder`; empty = backbone and decoder.
        again: build even if an accepted engine is there.
    """

    engine: str
    precision: str
    height: int
    width: int
    batch: int = 1
    device: str | None = None
    target: str | None = None
    folder: Path | None = None
    threads: int = 0
    allowed_ap: float = ALLOWED_AP
    allowed_fpr95: float = ALLOWED_FPR95
    quantize: tuple[str, ...] = ()
    again: bool = False

    @property
    def where(self) -> str:
        """The device, with the engine's own filled in."""
        return chosen(self.engine, self.device, self.precision)[1]
