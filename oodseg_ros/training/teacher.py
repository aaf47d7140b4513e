"""Pseudo-labels for frames without labels: what a bundle is sure of."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from rich.progress import track

from ..bundle import Bundle, load_bundle
from ..datasets.encoding import read_values
from ..errors import DatasetError
from ..frame import UNLABELED
from ..inference.graph import DeployGraph
from ..labels import LabelSet
from ..outliers.targets import KNOWN
from ..paths import cache_dir
from ..sources.image_files import read_image
from .data_recipe import expand


def teach(files: list[Path], bundle: str, confidence: float, labels: LabelSet) -> list[Path]:
    """Label images with a bundle, once; the labels stay in the cache.

    Args:
        files: image files.
        bundle: path or shipped name of the teacher.
        confidence: largest softmax above which its class counts.
        labels: label set of the targets; the teacher's classes are mapped to it.

    Returns:
        One PNG of targets per file: class ids, 253 = known but of unknown class.

    Raises:
        BundleError, ConfigError, ImageError: no such bundle, no mapping from its classes, or an unreadable image.
    """
    teacher = load_bundle(bundle if "$" not in bundle else expand(bundle))
    table = labels.map_from(teacher.labels.name)
    folder = cache_dir() / "pseudo_labels" / f"{teacher.weights_hash[:16]}-{labels.name}-{confidence:g}"
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"{_identity(file)}.png" for file in files]
    missing = [(file, target) for file, target in zip(files, targets, strict=True) if not target.is_file()]
    if missing:
        predict = ConfidentLabels(teacher)
        for file, target in track(missing, f"labels of {teacher.id}"):
            _write(target, predict(read_image(file), confidence, table))
    return targets


class ConfidentLabels:
    """A bundle that answers only where it is sure."""

    def __init__(self, bundle: Bundle) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._segmentor = bundle.segmentor().to(self._device)
        self._spec = bundle.card.input

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, confidence: float, table: np.ndarray) -> np.ndarray:
        """RGB uint8 `[H, W, 3]` → target uint8 `[H, W]`: `table[class]` where softmax > `confidence`, else 253."""
        graph = DeployGraph(self._segmentor, self._spec, *image.shape[:2]).to(self._device).eval()
        x = torch.from_numpy(image).to(self._device)[None].permute(0, 3, 1, 2).float()
        x = F.interpolate(x, size=graph.network_size, mode="bilinear", align_corners=False)
        logits = graph.segmentor(x * graph.scale + graph.shift).logits
        # Interpolated probabilities are unsure along borders, where a teacher's classes are worth least.
        sure = F.interpolate(logits.softmax(dim=1), size=image.shape[:2], mode="bilinear", align_corners=False)
        value, label = sure[0].max(dim=0)
        mapped = table[label.to(torch.uint8).cpu().numpy()]
        return np.where((value > confidence).cpu().numpy() & (mapped != UNLABELED), mapped, KNOWN).astype(np.uint8)


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


def _write(path: Path, target: np.ndarray) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_bytes(cv2.imencode(".png", target)[1].tobytes())
    part.replace(path)
