"""`build_engine`: a bundle → an engine that may be used here. The command `oodseg build` and the node's `build_only`
both end here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.engine_cache import EngineIdentity, StoredEngine, stored
from ..inference.engines.tensorrt_api import PACKAGES, architecture, tensorrt_identity
from .acceptance import ALLOWED_AP, ALLOWED_FPR95, Acceptance

ENGINES = ("tensorrt", "tensorrt_rtx", "openvino", "torch")
Pairs = Iterable[tuple[np.ndarray, np.ndarray]]


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
        return self.device or ("cuda" if self.engine in PACKAGES else "cpu")


@dataclass(frozen=True)
class Built:
    """What came of an order.

    Attributes:
        engine: what is on disk now; None for fp32 on openvino and torch, which need no build.
        acceptance: the gate's figures, if it ran just now.
        reused: it was there already.
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
    progress: Callable[[str, float], None] | None = None,
) -> Built:
    """Build what is ordered, put it through the gate, store it; or find that it is there already.

    Args:
        bundle: the model.
        order: what.
        pairs: labeled frames for the gate (`gate_data.GateData`), of any size.
        data: their name.
        calibration: int8 only: RGB uint8 images of any size.
        progress: told how far TensorRT's compiler is.

    Raises:
        EngineError: unknown engine or precision, it cannot be built here, or it did not pass the gate: then nothing is
            stored.
    """
    if order.engine not in ENGINES:
        raise EngineError(f"no engine {order.engine!r} can be built; choose from {', '.join(ENGINES)}")
    if order.engine in ("openvino", "torch") and order.precision == "fp32":
        return Built(None, None, True)
    wanted = _identity(bundle, order)
    if wanted is not None and not order.again:
        for engine in stored(bundle):
            if engine.side.identity == wanted and order.folder in (None, engine.folder):
                engine.verify()
                return Built(engine, None, True)
    shape = {"height": order.height, "width": order.width, "batch": order.batch}
    allowed = {"allowed_ap": order.allowed_ap, "allowed_fpr95": order.allowed_fpr95}
    common = {**shape, **allowed, "folder": order.folder, "threads": order.threads}
    if order.engine == "openvino":
        from .openvino import build_openvino

        return Built(
            *build_openvino(bundle, order.precision, pairs=pairs, data=data, calibration=calibration, **common)
        )
    if order.engine == "torch":
        from .torch import build_torch

        return Built(*build_torch(bundle, order.precision, pairs=pairs, data=data, device=order.where, **common))
    from .tensorrt_build import build_tensorrt

    waiting = [] if order.again else [one for one in stored(bundle, pending=True) if one.side.identity == wanted]
    return Built(
        *build_tensorrt(
            bundle,
            order.engine,
            order.precision,
            pairs=pairs,
            data=data,
            device=order.where,
            target=order.target,
            calibration=calibration,
            quantize=order.quantize,
            progress=progress,
            pending=waiting[0] if waiting and order.target in (None, architecture(order.where)) else None,
            **common,
        )
    )


def _identity(bundle: Bundle, order: Order) -> EngineIdentity | None:
    """What the order's engine will be called; None where the builder will say why it cannot be built."""
    shape = order.precision, order.batch, order.height, order.width
    if order.engine == "openvino":
        from ..inference.engines.openvino import openvino_identity

        return openvino_identity(bundle, *shape)
    if order.engine == "torch":
        import torch

        if order.where != "cpu" and architecture(order.where) is None:
            return None
        from ..inference.engines.torch import torch_identity

        return torch_identity(bundle, *shape, torch.device(order.where))
    target = order.target or architecture(order.where)
    return None if target is None else tensorrt_identity(bundle, order.engine, *shape, target)
