"""`build_engine`: a bundle → an engine that may be used here. The command `oodseg build` and the node's `build_only`
both end here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.engine import ENGINES, chosen
from ..inference.engine_cache import EngineIdentity, StoredEngine, stored
from .acceptance import Acceptance
from .order import Frames, Order, Pairs, Progress


class Builder(Protocol):
    """A module of this room, named by `inference.engine.ENGINES`."""

    def identity(self, bundle: Bundle, order: Order) -> EngineIdentity:
        """What the order's engine will be called.

        Raises:
            EngineError: it cannot be built here.
        """
        ...

    def build(
        self, bundle: Bundle, order: Order, frames: Frames, progress: Progress | None = None
    ) -> tuple[StoredEngine, Acceptance | None]:
        """Build it, compare it with torch in FP32 on `frames.pairs`, store it if it passes.

        Args:
            order: what, for an engine and a precision of this builder.
            frames: what it is judged and, in int8, calibrated on.
            progress: told how far the compiler is, by builders that know.

        Returns:
            The engine and its figures; None where its device is not here: then it is stored, but nobody loads it.

        Raises:
            EngineError: it cannot be built, or did not pass its gate (then nothing is stored).
        """
        ...


@dataclass(frozen=True)
class Built:
    """What came of an order.

    Attributes:
        engine: what is on disk now; None for what needs no build.
        acceptance: the gate's figures, if it ran just now.
    """

    engine: StoredEngine | None
    acceptance: Acceptance | None
    reused: bool = False

    @property
    def usable(self) -> bool:
        """Whether a runner loads it here."""
        return self.engine is None or self.engine.side.accepted


def build_engine(
    bundle: Bundle,
    order: Order,
    pairs: Pairs,
    data: str,
    calibration: Sequence[np.ndarray] = (),
    progress: Progress | None = None,
) -> Built:
    """Build what is ordered, put it through the gate, store it; or find that it is there already.

    Args:
        pairs: labeled frames for the gate (`gate_data.GateData`), of any size.
        data: their name.
        calibration: int8 only: RGB uint8 images of any size.
        progress: told how far the compiler is.

    Raises:
        EngineError: unknown engine or precision, it cannot be built here, or it did not pass the gate: then nothing is
            stored.
    """
    name, _ = chosen(order.engine, order.device, order.precision)
    if order.precision in ENGINES[name].unbuilt:
        return Built(None, None, True)
    if order.precision == "int8" and not len(calibration):
        raise EngineError("int8 is calibrated on frames of your cameras: name a bag or folder with --calibration")
    builder: Builder = import_module(f"{__package__}.{ENGINES[name].builds[0]}")  # type: ignore[assignment]
    wanted = builder.identity(bundle, order)
    frames = Frames(pairs, data, calibration if order.precision == "int8" else ())
    if not order.again:
        calibrated = frames.calibrated
        for engine in stored(bundle):
            # Which parts are quantized, and by which frames, is no part of an identity: every such engine may run.
            same = engine.side.built.get("quantized", [*order.quantize]) == [*order.quantize]
            same &= calibrated.items() <= engine.side.built.items()
            if same and engine.side.identity == wanted and order.folder in (None, engine.folder):
                engine.verify()
                return Built(engine, None, True)
    return Built(*builder.build(bundle, order, frames, progress))
