"""Settings → a verified, warm runner."""

from __future__ import annotations

from typing import Any

from ...bundle import load_bundle
from ...errors import ConfigError, EngineError
from ...inference.engine import ENGINES, chosen
from ...inference.runner import Runner
from ..parameters.settings import Settings


def load_runner(settings: Settings, logger: Any) -> tuple[Runner, tuple[str, ...]]:
    """Load bundle and engine, check the golden frame, warm for `warm_size`; the second value holds permanent warnings.

    Raises:
        BundleError, EngineError: with what to do; there is no fallback unless `allow_fallback` is set.
    """
    bundle = load_bundle(settings.bundle, settings.public_key)
    options = {
        "threads": settings.threads,
        "max_batch": max(1, settings.batch),
        "hint": settings.hint,
        "score_type": settings.score_type,
    }
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


def build_engines(settings: Settings, logger: Any) -> None:
    """What `build_only` does before it loads: build the engines that must exist ahead, for `warm_size`, and put them
    through their acceptance gate on procedural scenes. The same code as `oodseg build`, which offers more.

    Raises:
        ConfigError: there is no `warm_size` to build for.
        EngineError: an engine cannot be built here, or did not pass its gate.
    """
    # Only here: a node that drives never imports what builds engines.
    from ...building.build import Order, build_engine
    from ...building.gate_data import gate_data

    engine, device = chosen(settings.engine, settings.device, settings.precision)
    if settings.precision in ENGINES[engine].unbuilt:
        return
    if settings.warm_size is None:
        raise ConfigError(
            f"build_only: {engine} in {settings.precision} is built for one image size; set warm_size, e.g. 1920x1080"
        )
    bundle = load_bundle(settings.bundle, settings.public_key)
    frames = gate_data(settings.warm_size)
    for batch in sorted({1, settings.batch}):
        order = Order(engine, settings.precision, *settings.warm_size, batch, device, threads=settings.threads)
        built = build_engine(bundle, order, frames, frames.name)
        if built.acceptance is not None:
            logger.info(f"{engine} {settings.precision}, batch {batch}: {built.acceptance.sentence}")
        elif built.engine is not None:
            logger.info(f"{engine} {settings.precision}, batch {batch}: was built and accepted before")
