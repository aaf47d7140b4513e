"""Half precision on the torch engine: nothing is built ahead, but what runs must have passed the acceptance gate."""

from __future__ import annotations

import time

from ..bundle import Bundle
from ..inference.engine_cache import EngineIdentity, StoredEngine, default_dir, draft
from ..inference.engines.torch import TorchEngine, torch_identity
from .acceptance import Acceptance, gated, versions
from .order import Frames, Order, Progress


def identity(bundle: Bundle, order: Order) -> EngineIdentity:
    """See `build.Builder`."""
    engine = TorchEngine(bundle, order.where, order.precision)
    return torch_identity(bundle, order.precision, order.batch, order.height, order.width, engine.device)


def build(
    bundle: Bundle, order: Order, frames: Frames, progress: Progress | None = None
) -> tuple[StoredEngine, Acceptance]:
    """Compare half precision with FP32 on the CPU on labeled frames; store the verdict if it passes."""
    engine = TorchEngine(bundle, order.where, order.precision, order.threads)
    wanted = torch_identity(bundle, order.precision, order.batch, order.height, order.width, engine.device)
    start = time.perf_counter()
    with draft(wanted, order.folder or default_dir()) as place:
        run = engine.prepared(order.batch, order.height, order.width)
        built = {"seconds": round(time.perf_counter() - start, 1), "how": engine.identity, "versions": versions()}
        return gated(place, bundle, run, frames, built, order)
