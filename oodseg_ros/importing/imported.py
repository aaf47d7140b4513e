"""What an importer makes of a file, and how it becomes a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..bundle import Bundle, save_bundle
from ..errors import CheckpointError
from ..evaluation.calibration.fit import fit_calibration
from ..inference.graph import predict
from ..labels import load_labels
from ..model_card import Calibration, InputSpec, Licence, ModelCard, Windows
from ..networks.build import build_segmentor
from ..networks.segmentor import Segmentor
from ..scenes import scene
from .fitted import FITTED, fit_head
from .mapping import check_fit

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FULL_SIZE = 1024 * 2048
"""Pixels of a Cityscapes frame: the released networks run at native resolution up to it."""
GOLDEN_SIZE, GOLDEN_SEED = (192, 320), 4
CALIBRATION_SIZE, CALIBRATION_SCENES = (512, 1024), 3
FALSE_POSITIVE_RATE = 0.01
CITYSCAPES_TERMS = "Cityscapes: non-commercial"


@dataclass(frozen=True)
class Imported:
    """A released file in this project's terms.

    Attributes:
        network: the network spec.
        state: tensors under the keys of that network.
        input: size and normalisation.
        source: what the file is, for the model card.
        licence: of the weights and the data behind them, as far as known.
        label_set: name or file of the label set.
        unknown: keys of the file that no rule knows; they are an error.
        ignored: keys that are known and not needed (training memory, unused layers).
    """

    network: dict[str, Any]
    state: dict[str, Tensor]
    input: InputSpec
    source: str
    licence: Licence
    label_set: str = "cityscapes19"
    unknown: tuple[str, ...] = ()
    ignored: tuple[str, ...] = field(default=())


def imagenet_input(multiple: int, pixels: int = FULL_SIZE, windows: Windows | None = None) -> InputSpec:
    """ImageNet normalisation at native resolution."""
    return InputSpec(mean=IMAGENET_MEAN, std=IMAGENET_STD, pixels=pixels, multiple=multiple, windows=windows)


def build_checked(imported: Imported, where: str = "the file") -> Segmentor:
    """The network with the imported tensors, float32, in eval mode; a head that is fitted later is not expected in
    them.

    Raises:
        CheckpointError: the tensors do not fit (all differences are listed), or are not finite.
        BundleError: the network spec is impossible.
    """
    with torch.device("meta"):
        expected = build_segmentor(imported.network).state_dict()
    if imported.network["score"] in FITTED:
        expected = {key: value for key, value in expected.items() if not key.startswith("head.")}
    check_fit(imported.state, expected, imported.unknown, where)
    _check_values(imported.state, where)
    segmentor = build_segmentor(imported.network)
    state = {key: value.float() if value.is_floating_point() else value for key, value in imported.state.items()}
    segmentor.load_state_dict(segmentor.state_dict() | state)
    return segmentor.eval()


def write_bundle(
    imported: Imported, path: str | Path, where: str = "the file", frames: Iterable[np.ndarray] | None = None
) -> Bundle:
    """Check the tensors against the network, make golden frame and first calibration, write the bundle and verify it.

    `frames` are RGB uint8 images without unknowns, for the scores that are fitted.

    Raises:
        CheckpointError: as `build_checked`, or another number of classes than the label set has.
        BundleError: the network spec is impossible.
        ConfigError: there is no such label set.
    """
    path = Path(path)
    labels = load_labels(imported.label_set)
    segmentor = build_checked(imported, where)
    training = {"imported": imported.source, "from": where, "tensors": len(imported.state)}
    if segmentor.classes != len(labels):
        raise CheckpointError(
            f"{where} has {segmentor.classes} classes, label set {labels.name} has {len(labels)}; name the right one"
        )
    if frames is not None:
        training["fitted_on_frames"] = fit_head(segmentor, imported.input, frames)

    answer = partial(predict, segmentor, imported.input)

    golden = scene(GOLDEN_SEED, GOLDEN_SIZE).image
    label, score = answer(golden)
    card = ModelCard(
        name=path.name,
        description=f"Imported: {imported.source}",
        label_set=imported.label_set,
        network=imported.network,
        input=imported.input,
        calibration=_first_calibration(lambda image: answer(image)[1]),
        training=training,
        licence=imported.licence,
    )
    return save_bundle(path, card, segmentor.state_dict(), {"image": golden, "labels": label, "score": score})


def _first_calibration(score: Any) -> Calibration:
    """On procedural scenes: enough to have a threshold at all, not enough to drive with."""

    def pairs():
        for seed in range(CALIBRATION_SCENES):
            frame = scene(1000 + seed, CALIBRATION_SIZE)
            target = np.select([frame.anomaly == 1, frame.anomaly == 255], [254, 255], 0).astype(np.uint8)
            yield frame.image, target

    return fit_calibration(
        score,
        pairs(),
        FALSE_POSITIVE_RATE,
        f"{CALIBRATION_SCENES} procedural scenes, {FALSE_POSITIVE_RATE:.0%} of the known pixels above the threshold; "
        "run oodseg calibrate on your own frames before relying on it",
    )


def _check_values(state: Mapping[str, Tensor], where: str) -> None:
    broken = [key for key, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise CheckpointError(f"{where} holds NaN or infinity in {len(broken)} tensors: {', '.join(broken[:5])}")
