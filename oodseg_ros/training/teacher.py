"""Pseudo-labels for frames without labels: what one or several trained networks are sure of together."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from lightning.fabric.utilities.rank_zero import rank_zero_info
from rich.console import Console
from rich.progress import track
from torch import Tensor

from ..bundle import Bundle, load_bundle
from ..datasets.encoding import read_values
from ..errors import ConfigError, DatasetError
from ..frame import KNOWN, UNLABELED
from ..inference.graph import DeployGraph
from ..inference.sizes import network_size
from ..labels import LabelSet, load_labels
from ..paths import cache_dir, completed
from ..sources.image_files import read_image
from .data_recipe import TeacherSpec, expand

Probabilities = Callable[[np.ndarray], Tensor]
"""Image RGB uint8 `[H, W, 3]` → class probabilities `[1, K, h, w]` at the network's own size."""
REPORT = "report.json"


def teach(files: list[Path], teachers: str | Sequence[TeacherSpec], confidence: float, labels: LabelSet) -> list[Path]:
    """Label images, once; the labels stay in the cache, beside a report of what was kept.

    Args:
        teachers: a bundle, or several networks; the geometric mean of their probabilities decides.
        confidence: largest mean probability above which its class counts.
        labels: label set of the targets; the teachers' classes are mapped to it.

    Returns:
        One PNG of targets per file: class ids, 253 = known but of unknown class.

    Raises:
        BundleError, ConfigError, ImageError: no such teacher, no mapping from its classes, or an unreadable image.
    """
    specs = [TeacherSpec(bundle=teachers)] if isinstance(teachers, str) else list(teachers)
    opened = [_open(spec) for spec in specs]
    sets = {name for _, name, _ in opened}
    if len(sets) != 1:
        raise ConfigError(f"teachers that label together need one label set, these have {', '.join(sorted(sets))}")
    table = labels.map_from(sets.pop())
    identity = hashlib.sha256(" ".join(key for _, _, key in opened).encode()).hexdigest()[:16]
    folder = cache_dir() / "pseudo_labels" / f"{identity}-{labels.name}-{confidence:g}"
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"{_identity(file)}.png" for file in files]
    missing = [(file, target) for file, target in zip(files, targets, strict=True) if not target.is_file()]
    if missing:
        predict = ConfidentLabels([make() for make, _, _ in opened])
        title = f"labels of {len(opened)} teacher{'s' * (len(opened) > 1)}"
        for file, target in track(missing, title, console=Console(stderr=True)):
            labelled, agreed = predict(read_image(file), confidence, table)
            _write(target.with_suffix(".json"), json.dumps({"agreed": agreed}).encode())
            _write(target, cv2.imencode(".png", labelled)[1].tobytes())
    report = summarize(targets, labels)
    _write(folder / REPORT, json.dumps(report, indent=1).encode())
    rank_zero_info(
        f"pseudo-labels of {len(files)} frames: {report['labelled']:.1%} of the pixels got a class, "
        f"{report['rejected']:.1%} none, the teachers agree on {report['agreed']:.1%}; {folder / REPORT}"
    )
    return targets


def summarize(targets: Sequence[Path], labels: LabelSet) -> dict:
    """What pseudo-labels hold: shares of pixels with a class, without one, on which the teachers chose the same class,
    and the share of each class among the labelled ones.
    """
    counts, agreed = np.zeros(256, np.int64), []
    for target in targets:
        counts += np.bincount(read_values(target).ravel(), minlength=256)
        agreed.append(json.loads(target.with_suffix(".json").read_text())["agreed"])
    named = counts[: len(labels)]
    return {
        "frames": len(targets),
        "labelled": float(named.sum() / counts.sum()),
        "rejected": float(counts[KNOWN] / counts.sum()),
        "agreed": float(np.mean(agreed)),
        "classes": {name: float(share) for name, share in zip(labels.names, named / max(1, named.sum()), strict=True)},
    }


class ConfidentLabels:
    """Networks that answer only where their geometric mean is sure; all of one label set."""

    def __init__(self, teachers: Sequence[Probabilities]) -> None:
        self._teachers = teachers

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, confidence: float, table: np.ndarray) -> tuple[np.ndarray, float]:
        """RGB uint8 `[H, W, 3]` → target uint8 `[H, W]`: `table[class]` where the mean's largest probability is above
        `confidence`, else 253; and the share of pixels on which all teachers have the same class.
        """
        # Interpolated probabilities are unsure along borders, where a teacher's classes are worth least.
        each = [
            F.interpolate(teacher(image), size=image.shape[:2], mode="bilinear", align_corners=False)
            for teacher in self._teachers
        ]
        mean = torch.stack(each).clamp(min=1e-8).log().mean(dim=0).softmax(dim=1) if len(each) > 1 else each[0]
        value, label = mean[0].max(dim=0)
        classes = torch.stack([one[0].argmax(dim=0) for one in each])
        agreed = float((classes == classes[:1]).all(dim=0).float().mean())
        mapped = table[label.to(torch.uint8).cpu().numpy()]
        sure = (value > confidence).cpu().numpy() & (mapped != UNLABELED)
        return np.where(sure, mapped, KNOWN).astype(np.uint8), agreed


def _open(spec: TeacherSpec) -> tuple[Callable[[], Probabilities], str, str]:
    """What makes the teacher when it is needed, its label set, and what it is known by."""
    if spec.bundle:
        bundle = load_bundle(spec.bundle if "$" not in spec.bundle else expand(spec.bundle))
        return (lambda: _of_bundle(bundle)), bundle.labels.name, bundle.weights_hash
    path = expand(spec.onnx)
    if not path.is_file():
        raise ConfigError(f"teacher: no file {path}")
    load_labels(spec.labels)
    key = hashlib.sha256(path.read_bytes()).hexdigest() + spec.input.model_dump_json()
    return (lambda: _of_onnx(path, spec)), spec.labels, key


def _of_bundle(bundle: Bundle) -> Probabilities:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    segmentor = bundle.segmentor().to(device)

    def probabilities(image: np.ndarray) -> Tensor:
        graph = DeployGraph(segmentor, bundle.card.input, *image.shape[:2]).to(device).eval()
        x = graph.normalized(torch.from_numpy(image).to(device)[None])
        return graph.segmentor(x).logits.softmax(dim=1).cpu()

    return probabilities


def _of_onnx(path: Path, spec: TeacherSpec) -> Probabilities:
    import openvino

    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_NUM_THREADS": torch.get_num_threads()})
    model = core.compile_model(core.read_model(path), "CPU")
    classes = len(load_labels(spec.labels))
    mean, std = (np.array(value, np.float32) for value in (spec.input.mean, spec.input.std))

    def probabilities(image: np.ndarray) -> Tensor:
        rows, columns = network_size(*image.shape[:2], spec.input)
        x = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        if spec.input.channel_order == "bgr":
            x = x[..., ::-1]
        answer = torch.from_numpy(model(np.moveaxis((x - mean) / std, -1, 0)[None])[0]).float()
        if answer.dim() != 4 or answer.shape[1] < classes:
            raise ConfigError(
                f"teacher {path}: its output is {list(answer.shape)}, {spec.labels} has {classes} classes"
            )
        answer = answer[:, :classes]
        sums = answer.sum(dim=1)
        is_share = bool((answer >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all())
        return answer if is_share else answer.softmax(dim=1)

    return probabilities


def read_taught(file: Path, target: Path) -> tuple[np.ndarray, np.ndarray]:
    """An image and its pseudo-labels.

    Raises:
        DatasetError, ImageError: one cannot be read, or they have different sizes.
    """
    image, values = read_image(file), read_values(target)
    if values.shape != image.shape[:2]:
        raise DatasetError(f"pseudo-labels {target} do not fit {file}; delete them, they are made again")
    return image, values


def _identity(file: Path) -> str:
    told = os.stat(file)
    return hashlib.sha256(f"{file.resolve()} {told.st_size} {told.st_mtime_ns}".encode()).hexdigest()[:24]


def _write(path: Path, data: bytes) -> None:
    with completed(path) as part:
        part.write_bytes(data)
