"""`oodseg generate`: pictures of a dataset's scenes with unknown objects, in other weather and places (CG-Aug)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import options
from .output import Output

if TYPE_CHECKING:
    import numpy as np


def command(
    root: Annotated[Path, typer.Option(help="Folder of the labelled dataset that is varied.")],
    out: Annotated[Path, typer.Option(help="Folder for the generated pictures and labels.")],
    outlines: Annotated[Path, typer.Option(help="ADE20K annotations, or cut-outs with a cutouts.json.")],
    dataset: Annotated[str, typer.Option(help="As in `check-dataset`.")] = "cityscapes",
    split: Annotated[str, typer.Option(help="Which part.")] = "train",
    labels: options.Labels = None,
    base: Annotated[str, typer.Option(help="Stable Diffusion 1.5: folder or name.")] = "",
    control: Annotated[str, typer.Option(help="Its ControlNet for segmentations: folder or name.")] = "",
    sam: Annotated[str, typer.Option(help="Segment Anything: folder or name.")] = "",
    detector: Annotated[str, typer.Option(help="Bundle that has to find the object anomalous.")] = "",
    least_score: Annotated[float, typer.Option(help="Its least mean calibrated score on the object.")] = 0.5,
    least_iou: Annotated[float, typer.Option(min=0, max=1, help="Outline asked for against outline found.")] = 0.7,
    attempts: Annotated[int, typer.Option(min=1, help="Per original.")] = 10,
    steps: Annotated[int, typer.Option(min=1, help="Of DDIM.")] = 50,
    resolution: Annotated[int, typer.Option(min=64, help="Smaller side while generating.")] = 512,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first originals.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same pictures.")] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Generate one picture per original; a second call goes on where the first was interrupted."""
    from ..datasets.registry import open_dataset
    from ..errors import ConfigError
    from ..outliers.coherent_generation.generate import generate
    from ..outliers.coherent_generation.layout import AdeOutlines, CutoutOutlines
    from ..outliers.coherent_generation.networks import BASE, CONTROL, SAM, Sam, Sampling, draw_picture, load_pipeline

    originals = open_dataset(dataset, root, split or None, labels)
    if originals.kind != "semantic":
        raise ConfigError(f"dataset {dataset} has no class ids; only labelled driving scenes can be varied")
    source = CutoutOutlines(outlines) if (outlines / "cutouts.json").is_file() else AdeOutlines(outlines)
    accept = _detector(detector, least_score, device) if detector else None
    segment = Sam(sam or SAM, device)
    pipeline = load_pipeline(base or BASE, control or CONTROL, device, half=device.startswith("cuda"))
    draw = partial(draw_picture, pipeline, sampling=Sampling(steps=steps, resolution=resolution))
    shown = Output(json, quiet)
    outcomes = []
    with shown.progress() as bar:
        for item in bar.track(originals.scored[:limit], description="generating"):
            done = generate(
                originals,
                item,
                out,
                source,
                draw,
                segment,
                seed=seed,
                attempts=attempts,
                least_iou=least_iou,
                accept=accept,
            )
            outcomes.append(done)
    made, old = (sum(bool(o.name) and (o.attempts > 0) == new for o in outcomes) for new in (True, False))
    shown.say(
        f"{made} pictures made, {old} were there, {len(outcomes) - made - old} originals without one "
        f"({sum(o.attempts for o in outcomes)} attempts); in {out}"
    )
    shown.result({"made": made, "there": old, "without": len(outcomes) - made - old, "out": str(out)})


def _detector(bundle: str, least: float, device: str) -> Callable[[np.ndarray, np.ndarray], bool]:
    import numpy as np

    from ..inference.runner import Runner

    runner = Runner.load(bundle, device=device)
    raw, calibrated = np.array(runner.bundle.card.calibration.table).T

    def accept(picture: np.ndarray, mask: np.ndarray) -> bool:
        score = runner([picture])[0].score[mask]
        return bool(np.nanmean(np.interp(score, raw, calibrated)) >= least)

    return accept
