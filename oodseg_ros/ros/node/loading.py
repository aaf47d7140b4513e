"""Settings → a verified, warm runner."""

from __future__ import annotations

from typing import Any

from ...bundle import load_bundle
from ...errors import ConfigError, EngineError
from ...inference.engine import ENGINES, chosen
from ...inference.runner import MAX_SHAPES, Runner
from ...inference.strip import strip_of
from ...parameters.settings import Settings


def load_runner(settings: Settings, logger: Any) -> tuple[Runner, tuple[str, ...]]:
    """Load bundle and engine, check the golden frame, compile for `warm_shapes`; also returns permanent warnings.

    Raises:
        BundleError, EngineError: with what to do; there is no fallback unless `allow_fallback` is set.
    """
    bundle = load_bundle(settings.bundle, settings.public_key)
    options: dict[str, Any] = {
        "threads": settings.threads,
        "max_batch": max(1, settings.batch),
        "measure_batch": settings.measure_batch,
        "hint": settings.hint,
        "score_type": settings.score_type,
        # Two for each camera, alone and in a batch, the golden frame, and one that a camera is changing to.
        "max_shapes": max(MAX_SHAPES, 2 * len(settings.cameras) + 2),
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
    for shape in settings.warm_shapes:
        runner.warm(*shape)
    sizes = ", ".join(dict.fromkeys(f"{width}x{height}" for height, width, _ in settings.warm_shapes))
    logger.info(
        f"bundle {bundle.id} on {runner.engine_identity}: golden frame reproduced to {runner.golden_error:.2g}"
        + (f"; warm for {sizes}" if sizes else "")
    )
    return runner, warnings


def build_engines(settings: Settings, logger: Any) -> None:
    """What `build_only` does before it loads: build the engines that must exist ahead, for `warm_shapes` and their
    strips, and put them through their acceptance gate on procedural scenes. The same code as `oodseg build`, which
    offers more.

    Raises:
        ConfigError: there is no device of this name, or no image size to build for.
        EngineError: an engine cannot be built here, or did not pass its gate.
    """
    # Only here: a node that drives never imports what builds engines.
    from ...building.build import build_engine
    from ...building.gate_data import gate_data
    from ...building.order import Order

    engine, device = chosen(settings.engine, settings.device, settings.precision)
    if settings.precision in ENGINES[engine].unbuilt:
        return
    if not settings.warm_shapes:
        raise ConfigError(
            f"build_only: {engine} in {settings.precision} is built for one image size; set warm_size or "
            "<camera>.size, e.g. 1920x1080"
        )
    bundle = load_bundle(settings.bundle, settings.public_key)
    strips = [
        (strip.rows, strip.columns, batch)
        for height, width, batch in settings.warm_shapes
        if (strip := strip_of(height, width, bundle.card)) is not None
    ]
    for height, width, batch in dict.fromkeys([*settings.warm_shapes, *strips]):
        frames = gate_data((height, width), card=bundle.card)
        order = Order(engine, settings.precision, height, width, batch, device, threads=settings.threads)
        built = build_engine(bundle, order, frames, frames.name)
        what = f"{engine} {settings.precision}, {width}x{height}, batch {batch}"
        if built.acceptance is not None:
            logger.info(f"{what}: {built.acceptance.sentence}")
        elif built.engine is not None:
            logger.info(f"{what}: was built and accepted before")
