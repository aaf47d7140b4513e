"""Half precision on the torch engine: nothing is built ahead, but what runs must have passed the acceptance gate."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.engine_cache import StoredEngine, default_dir, draft
from ..inference.engines.torch import TorchEngine, torch_identity
from .acceptance import ALLOWED_AP, ALLOWED_FPR95, Acceptance
from .gated import Pairs, gated, versions


def build_torch(
    bundle: Bundle,
    precision: str,
    height: int,
    width: int,
    pairs: Pairs,
    data: str,
    batch: int = 1,
    device: str = "cpu",
    allowed_ap: float = ALLOWED_AP,
    allowed_fpr95: float = ALLOWED_FPR95,
    folder: Path | None = None,
    threads: int = 0,
) -> tuple[StoredEngine, Acceptance]:
    """Compare half precision on `device` with FP32 on the CPU on labeled frames; store the verdict if it passes.

    Args:
        bundle: the model.
        precision: `fp16` (CUDA) or `bf16`.
        height, width, batch: the only images that it is accepted for.
        pairs, data, allowed_ap, allowed_fpr95, folder, threads: as for `building.openvino.build_openvino`.
        device: `cpu` or `cuda[:N]`.

    Raises:
        EngineError: no such precision or device, or it failed its gate (then nothing is stored).
    """
    if precision == "fp32":
        raise EngineError("torch in fp32 is the reference itself and needs no build")
    engine = TorchEngine(bundle, device=device, precision=precision, threads=threads)
    wanted = torch_identity(bundle, precision, batch, height, width, torch.device(device))
    start = time.perf_counter()
    with draft(wanted, folder or default_dir()) as place:
        run = engine.prepared(batch, height, width)
        built = {"seconds": round(time.perf_counter() - start, 1), "how": engine.identity, "versions": versions()}
        return gated(place, bundle, run, pairs, data, built, allowed_ap, allowed_fpr95, threads)
