"""The end of a training run: calibrate on held-out frames, make the golden frame, write the bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from ..bundle import Bundle, save_bundle
from ..errors import DatasetError
from ..evaluation.calibration.fit import fit_calibration
from ..evaluation.calibration.fit_objects import fit_objects
from ..evaluation.calibration.object_target import ObjectTarget
from ..evaluation.calibration.risk_control import refuse_too_few
from ..frame import OUTLIER
from ..inference.graph import predict
from ..labels import LabelSet
from ..model_card import Calibration, InputSpec, ModelCard
from ..networks.heads.ensemble import Ensemble
from ..networks.segmentor import Segmentor
from ..scenes import scene
from .frames import load_frames
from .pasting import ground_ids
from .recipe import ObjectsSpec, Recipe
from .samples import Samples

Predict = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""RGB uint8 `[H, W, 3]` → class ids uint8 and score float32, both `[H, W]`."""
GOLDEN_SIZE = (192, 320)
GOLDEN_SEED = 4
CALIBRATION_SEED = 10_000
PATHS = ("root", "originals", "start", "teacher", "labels", "label_set", "bundle", "onnx")
"""Keys of a recipe that may hold a path of the machine it was written on."""


def check_held_out(recipe: Recipe, labels: LabelSet) -> None:
    """Make sure, before anything is trained, that the end of training has what it needs.

    Raises:
        ConfigError, DatasetError: held-out frames are not where the recipe says, no pixel of theirs is known, or they
            are too few for the bound of false objects.
    """
    spec = recipe.calibration
    if not any((frame.read()[1] < OUTLIER).any() for frame in load_frames(spec.data, labels)):
        where = ", ".join(f"{data.dataset} at {data.root}" for data in spec.data)
        raise DatasetError(
            f"calibration: no pixel of the held-out frames ({where}) has a class of {labels.name}, and the threshold "
            "is chosen on such pixels; hold out other frames (`calibration: {data: [...]}`)"
        )
    if spec.objects is not None:
        frames = len(load_frames(spec.objects.data, labels))
        refuse_too_few(len(range(0, frames, spec.objects.every)), min(_target(spec.objects).bounds))
        ground_ids(labels, spec.objects.ground_classes)


def write_bundle(
    recipe: Recipe, segmentor: Segmentor, labels: LabelSet, path: Path, seconds: list[float], frames: int
) -> Bundle:
    """Calibrate `segmentor` and write it as a bundle to `path`.

    Args:
        seconds: training time per stage, for the model card.
        frames: number of training frames, for the model card.
    """
    segmentor = segmentor.cpu().float().eval().to(memory_format=torch.contiguous_format)

    answer = partial(predict, segmentor, recipe.input)

    spec = recipe.calibration
    samples = Samples.of(
        recipe, load_frames(spec.data, labels), labels, recipe.seed + CALIBRATION_SEED, start=0, stop=spec.frames
    )

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (_first(sample) for sample in map(samples.__getitem__, range(spec.frames)))

    if isinstance(segmentor.head, Ensemble):
        standardize(segmentor, recipe.input, pairs())
    calibration = fit_calibration(
        lambda image: answer(image)[1],
        pairs(),
        spec.false_positive_rate,
        f"{spec.frames} crops of held-out frames ({', '.join(data.dataset for data in spec.data)}) with pasted "
        f"unknowns; {spec.false_positive_rate:.2%} of the known pixels are above the threshold",
    )
    if spec.objects is not None:
        calibration = _with_objects(spec.objects, calibration, labels, answer)
    # A procedural scene: the golden frame ships with the bundle, and training frames may not be passed on.
    golden = scene(GOLDEN_SEED, GOLDEN_SIZE).image
    label, score = answer(golden)
    card = ModelCard(
        name=recipe.name,
        description=recipe.description,
        label_set=recipe.label_set,
        network=recipe.network,
        input=recipe.input,
        calibration=calibration,
        training={
            "recipe": recipe_for_card(recipe),
            "frames": frames,
            "seconds_per_stage": [round(value) for value in seconds],
            "torch": torch.__version__,
        },
        licence=recipe.licence,
    )
    return save_bundle(path, card, segmentor.state_dict(), {"image": golden, "labels": label, "score": score})


@torch.no_grad()
def standardize(segmentor: Segmentor, spec: InputSpec, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
    """Give the ensemble in `segmentor` mean and deviation of its members' scores on the known pixels of `pairs` (image
    uint8 `[H, W, 3]`, target uint8 `[H, W]`).
    """
    head = segmentor.head
    parts = segmentor.backbone, segmentor.decoder, segmentor.classifier
    networks = [Segmentor(*parts, head.alone(index), segmentor.score_kind).eval() for index in range(len(head.members))]
    sums = np.zeros((3, len(networks)))  # of ones, of scores, of their squares
    for image, target in pairs:
        known = target < OUTLIER
        for index, network in enumerate(networks):
            values = predict(network, spec, image)[1][known].astype(np.float64)
            sums[:, index] += values.size, values.sum(), np.square(values).sum()
    mean = sums[1] / sums[0]
    head.mean.copy_(torch.from_numpy(mean))
    head.deviation.copy_(torch.from_numpy(np.sqrt(sums[2] / sums[0] - mean**2)))


def recipe_for_card(recipe: Recipe) -> dict[str, Any]:
    """The recipe as the model card tells it: what stands there already is left out, and so is where things lay.

    A path that begins with a variable (`$OODSEG_DATA/camvid`) stays; of any other only the last name is told.
    """

    def told(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {inner: told(inner, entry) for inner, entry in value.items()}
        if isinstance(value, list):
            return [told(key, entry) for entry in value]
        return without_folder(value) if key in PATHS and isinstance(value, str) else value

    return told("", recipe.model_dump(mode="json", exclude={"network", "input", "licence"}))


def without_folder(path: str) -> str:
    """The last name of a path; unchanged where it begins with a variable or is no path."""
    kind, colon, name = path.rpartition(":")
    if path.startswith("$") or "/" not in path or (colon and not name.startswith(("/", "~", "."))):
        return path
    return kind + colon + Path(name).name


def _with_objects(spec: ObjectsSpec, calibration: Calibration, labels: LabelSet, predict: Predict) -> Calibration:
    images = (frame.read()[0] for frame in load_frames(spec.data, labels))
    return fit_objects(
        ([predict(image)[::-1]] for image in track(images, "frames without unknowns", console=Console(stderr=True))),
        _target(spec),
        ground_ids(labels, spec.ground_classes),
        calibration,
        ", ".join(dict.fromkeys(Path(data.root).name or data.dataset for data in spec.data)),
        spec.every,
    ).calibration


def _target(spec: ObjectsSpec) -> ObjectTarget:
    return ObjectTarget(
        false_frames=spec.false_frames,
        false_elsewhere=spec.false_elsewhere,
        grow_rate=spec.grow_rate,
        core_rate=spec.core_rate,
        sizes=(),  # they need pasted unknowns: `oodseg calibrate-objects`
        seed=spec.seed,
        min_area=spec.min_area,
        coherence=spec.coherence,
    )


def _first(sample: tuple[torch.Tensor, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 `[H, W, 3]` and target of a sample; of a pair its first picture."""
    image, target = sample[:2]
    if image.dim() == 4:
        image, target = image[0], target[0]
    return image.permute(1, 2, 0).contiguous().numpy(), target.numpy()
