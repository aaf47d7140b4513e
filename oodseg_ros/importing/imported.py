"""What an importer makes of a file, and how it becomes a bundle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ..bundle import Bundle, save_bundle
from ..errors import CheckpointError, listed, why
from ..evaluation.calibration.fit import fit_calibration
from ..inference.graph import DeployGraph, predict
from ..labels import load_labels
from ..model_card import Calibration, InputSpec, Licence, ModelCard, Windows, name_from
from ..networks.build import build_segmentor
from ..networks.segmentor import Segmentor, resize
from ..scenes import scene
from .fitted import FITTED, fit_head
from .mapping import check_fit

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FULL_SIZE = 1024 * 2048
"""Pixels of a Cityscapes frame: the released networks run at native resolution up to it."""
GOLDEN_SIZE, GOLDEN_SEED = (192, 320), 4
CALIBRATION_SIZE, CALIBRATION_SCENES = (512, 1024), 3
FALSE_POSITIVE_RATE = 0.01
CONSTANT = "the score is the same on the whole golden frame, as an untrained network's: it will find nothing"
CITYSCAPES_TERMS = "Cityscapes: non-commercial"


AGREEING_LABELS, MAPS_OFF = 0.99, 0.02
"""Least share of equal labels and largest mean |Δ| of the class maps, in parts of how much these vary, against the
authors' own code. Sound imports have 1.0000 and 1e-6 where no picture is resized."""
AGREEING_RESIZED = 0.98
"""Where the bundle resizes as the authors' code does, class maps come back in two steps instead of one: borders of
classes move by a part of a pixel."""


@dataclass(frozen=True)
class Reference:
    """What the authors' own code says of a picture, to compare the import with.

    Attributes:
        answer: RGB uint8 `[H, W, 3]` → labels `[H, W]`, class maps float `[K, H, W]`.
        height, width: of the picture to compare on.
        what: the code and its version.
    """

    answer: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    height: int
    width: int
    what: str


@dataclass(frozen=True)
class Imported:
    """A released file in this project's terms.

    Attributes:
        network: the network spec.
        state: tensors under the keys of that network.
        input: size and normalisation.
        source: what the file is, for the model card.
        licence: of the weights and the data behind them, as far as known.
        label_set: name or file of the label set; None where the file's classes are those of none.
        unknown: keys of the file that no rule knows; they are an error.
        ignored: keys that are known and not needed (training memory, unused layers).
        names: the file's own class names, where it has any.
        notes: what was decided on the way, for the terminal and the card.
        reference: the authors' own answer, where their code is at hand.
    """

    network: dict[str, Any]
    state: dict[str, Tensor]
    input: InputSpec
    source: str
    licence: Licence
    label_set: str | None = "cityscapes19"
    unknown: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reference: Reference | None = None


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
    # Older PyTorch did not count batches, and inference does not read the count.
    expected = {
        key: value
        for key, value in expected.items()
        if key in imported.state or not key.endswith(".num_batches_tracked")
    }
    check_fit(imported.state, expected, imported.unknown, where)
    check_numbers({key: value.dtype for key, value in imported.state.items()}, expected, where)
    _check_values(imported.state, where)
    segmentor = build_segmentor(imported.network)
    state = {key: value.float() if value.is_floating_point() else value for key, value in imported.state.items()}
    segmentor.load_state_dict(segmentor.state_dict() | state)
    return segmentor.eval()


def write_bundle(
    imported: Imported,
    path: str | Path,
    where: str = "the file",
    frames: Iterable[np.ndarray] | None = None,
    proof: np.ndarray | None = None,
) -> Bundle:
    """Check the tensors against the network and its answer against the authors' code, make golden frame and first
    calibration, write the bundle and verify it.

    Args:
        frames: RGB uint8 images without unknowns, for the scores that are fitted.
        proof: RGB uint8 image to compare on; None = a procedural scene.

    Raises:
        CheckpointError: as `build_checked`, another number of classes than the label set has, or another answer than
            that of the authors' code.
        BundleError: the network spec is impossible.
        ConfigError: there is no such label set, or the folder's name cannot be the bundle's.
    """
    path = Path(path)
    name = name_from(path)
    labels = load_labels(imported.label_set)
    segmentor = build_checked(imported, where)
    # The last name only: where it lay is nobody's business whom the bundle is given to.
    training = {"imported": imported.source, "from": Path(where).resolve().name, "tensors": len(imported.state)}
    if segmentor.classes != len(labels):
        raise CheckpointError(
            f"{where} has {segmentor.classes} classes, label set {labels.name} has {len(labels)}; name the right one"
        )
    if imported.notes:
        training["notes"] = list(imported.notes)
    if imported.reference is not None:
        training["agreement"] = agreement(imported, segmentor, where, proof)
    if frames is not None:
        training["fitted_on_frames"] = fit_head(segmentor, imported.input, frames)

    answer = partial(predict, segmentor, imported.input)
    golden = scene(GOLDEN_SEED, GOLDEN_SIZE).image
    label, score = answer(golden)
    if not np.isfinite(score).all():
        raise CheckpointError(
            f"{where}: the network answers with NaN or infinity on an ordinary picture; its numbers are damaged, or it "
            "was trained in another way than it is run here"
        )
    if np.ptp(score) == 0:
        training["notes"] = [*training.get("notes", ()), CONSTANT]
    card = ModelCard(
        name=name,
        description=f"Imported: {imported.source}",
        label_set=imported.label_set,
        network=imported.network,
        input=imported.input,
        calibration=_first_calibration(lambda image: answer(image)[1]),
        training=training,
        licence=imported.licence,
    )
    return save_bundle(path, card, segmentor.state_dict(), {"image": golden, "labels": label, "score": score})


@torch.inference_mode()
def agreement(
    imported: Imported, segmentor: Segmentor, where: str = "the file", image: np.ndarray | None = None
) -> dict[str, Any]:
    """How the network answers compared with the authors' code: `labels` (share of equal ones), `maps_off` (mean |Δ| of
    the class maps in parts of their standard deviation over the picture), `on` and `with`.

    Args:
        image: RGB uint8, resized to what is compared on; None = a procedural scene.

    Raises:
        CheckpointError: they do not agree.
    """
    reference, spec = imported.reference, imported.input
    size = (reference.height, reference.width)
    name = f"procedural scene {GOLDEN_SEED}" if image is None else "the frame that was given"
    if image is None:
        image = scene(GOLDEN_SEED, size).image
    elif image.shape[:2] != size:
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    batch = torch.from_numpy(np.ascontiguousarray(image))[None]
    try:
        their_labels, their_maps = reference.answer(image)
        graph = DeployGraph(segmentor, spec, *size).eval()
        maps = resize(graph.segmentor(graph.normalized(batch)).logits, size)[0].numpy()
        labels = graph(batch)[0][0].numpy()
    except (RuntimeError, ValueError, TypeError) as error:  # a configuration that builds, and cannot be run
        raise CheckpointError(
            f"{where}: the network cannot be run on a picture of {size[1]}x{size[0]} pixels ({why(error)}); look for "
            "what is odd in its configuration"
        ) from error
    if their_maps.shape != maps.shape:
        raise CheckpointError(
            f"{where}: {reference.what} gives maps of shape {their_maps.shape}, the import {maps.shape}"
        )
    equal = float((labels == their_labels).mean())
    # How much a class varies over the picture: what distinguishes pixels, not what distinguishes classes everywhere.
    # In double precision: an untrained network's maps may be so small that their squares are none in float32.
    theirs, ours = their_maps.astype(np.float64), maps.astype(np.float64)
    varies = float(theirs.std(axis=(1, 2)).mean())
    spread = max(varies, 1e-3 * float(theirs.std()), float(np.finfo(np.float32).tiny))
    off = float(np.abs(ours - theirs).mean()) / spread
    least = AGREEING_LABELS if spec.resize is None else AGREEING_RESIZED
    if not (equal >= least and off <= MAPS_OFF):
        raise CheckpointError(
            f"{where}: the import does not answer as {reference.what} does: on {name} at {size[1]}x{size[0]} "
            f"{equal:.2%} of the labels are equal (at least {least:.0%} are needed) and the class maps are "
            f"off by {off:.3g} of their spread (at most {MAPS_OFF:g}); please report this with its config.json and "
            "preprocessor_config.json"
        )
    return {
        "labels": round(equal, 6),
        "maps_off": float(f"{off:.2g}"),
        "on": f"{name} at {size[1]}x{size[0]}",
        "with": reference.what,
    }


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
        raise CheckpointError(f"{where} holds NaN or infinity in {len(broken)} tensors: {listed(broken, 5)}")


def check_numbers(found: Mapping[str, torch.dtype], expected: Mapping[str, Tensor], where: str) -> None:
    """Refuse whole numbers where the network has weights: quantized ones, which mean nothing without their scales.

    Raises:
        CheckpointError: there are some.
    """
    whole = [
        key
        for key, dtype in found.items()
        if key in expected and expected[key].is_floating_point() and not dtype.is_floating_point
    ]
    if whole:
        raise CheckpointError(
            f"{where} holds whole numbers ({found[whole[0]]}) where the network has weights, in {len(whole)} tensors "
            f"({listed(whole, 3)}): it is quantized; export it in float32 or float16"
        )
