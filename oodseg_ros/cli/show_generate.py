"""What `oodseg generate` puts together and shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from ..datasets.registry import open_dataset
from ..errors import ConfigError
from ..outliers.coherent_generation.diffusion import BASE, CONTROL, Sampling, draw_picture, load_pipeline
from ..outliers.coherent_generation.generate import Outcome, generate
from ..outliers.coherent_generation.mask_filter import SAM, Sam
from ..outliers.coherent_generation.outlines import AdeOutlines, CutoutOutlines


def generate_and_show(
    root: Path,
    out: Path,
    outlines: Path,
    dataset: str,
    split: str,
    labels: str | None,
    weights: tuple[str, str, str, str],
    least: tuple[float, float],
    drawing: tuple[int, int, str],
    attempts: int,
    limit: int | None,
    seed: int,
) -> list[Outcome]:
    """Generate and say how many originals got a counterpart.

    Args:
        weights: generator, its ControlNet, segmenter (empty = the published ones), detector (empty = none).
        least: IoU of the outline, calibrated score of the detector.
        drawing: steps, resolution, device.

    Raises:
        UserError: something is not there.
    """
    originals = open_dataset(dataset, root, split or None, labels)
    if originals.kind != "semantic":
        raise ConfigError(f"dataset {dataset} has no class ids; only labelled driving scenes can be varied")
    source = CutoutOutlines(outlines) if (outlines / "cutouts.json").is_file() else AdeOutlines(outlines)
    steps, resolution, device = drawing
    base, control, sam, detector = weights
    accept = _detector(detector, least[1], device) if detector else None
    segment = Sam(sam or SAM, device)
    pipeline = load_pipeline(base or BASE, control or CONTROL, device, half=device.startswith("cuda"))
    draw = partial(draw_picture, pipeline, sampling=Sampling(steps=steps, resolution=resolution))
    console, outcomes = Console(), []
    for item in track(originals.scored[:limit], "generating", console=console):
        done = generate(
            originals,
            item,
            out,
            source,
            draw,
            segment,
            seed=seed,
            attempts=attempts,
            least_iou=least[0],
            accept=accept,
        )
        outcomes.append(done)
    made, old = (sum(bool(o.name) and (o.attempts > 0) == new for o in outcomes) for new in (True, False))
    console.print(
        f"{made} pictures made, {old} were there, {len(outcomes) - made - old} originals without one "
        f"({sum(o.attempts for o in outcomes)} attempts); in {out}",
        highlight=False,
        soft_wrap=True,
    )
    return outcomes


def _detector(bundle: str, least: float, device: str) -> Callable[[np.ndarray, np.ndarray], bool]:
    from ..inference.runner import Runner

    runner = Runner.load(bundle, device=device)
    raw, calibrated = np.array(runner.bundle.card.calibration.table).T

    def accept(picture: np.ndarray, mask: np.ndarray) -> bool:
        score = runner([picture])[0].score[mask]
        return bool(np.nanmean(np.interp(score, raw, calibrated)) >= least)

    return accept
