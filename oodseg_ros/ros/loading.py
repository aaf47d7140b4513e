"""Settings → a verified, warm runner."""

from __future__ import annotations

from typing import Any

from ..bundle import load_bundle
from ..errors import EngineError
from ..inference.runner import Runner
from .settings import Settings


def load_runner(settings: Settings, logger: Any) -> tuple[Runner, tuple[str, ...]]:
    """Load bundle and engine, check the golden frame, warm for `warm_size`; the second value holds permanent warnings.

    Raises:
        BundleError, EngineError: with what to do; there is no fallback unless `allow_fallback` is set.
    """
    bundle = load_bundle(settings.bundle, settings.public_key)
    options = {"threads": settings.threads, "max_batch": max(1, settings.batch)}
    warnings: tuple[str, ...] = ()
    try:
        runner = Runner.load(bundle, settings.engine, settings.device, settings.precision, **options)
    except EngineError as error:
        if not settings.allow_fallback or (settings.engine, settings.device) == ("torch", "cpu"):
            raise
        warnings = (f"running on the slow torch engine on the CPU, because: {error}",)
        logger.warning(warnings[0])
        runner = Runner.load(bundle, "torch", "cpu", "fp32", **options)
    if settings.warm_size:
        for batch in sorted({1, settings.batch}):
            runner.warm(*settings.warm_size, batch)
    logger.info(
        f"bundle {bundle.id} on {runner.engine_identity}: golden frame reproduced to {runner.golden_error:.2g}"
        + (f"; warm for {settings.warm_size[1]}x{settings.warm_size[0]}" if settings.warm_size else "")
    )
    return runner, warnings
