"""Labeled frames for the acceptance gate, and frames without labels for INT8."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..datasets.dataset import Dataset
from ..datasets.registry import open_dataset
from ..errors import DatasetError
from ..model_card import ModelCard
from ..scenes import scene
from ..sources.open_source import open_source
from .view import View

FIRST_SEED = 77_000
"""Scenes of the gate; nothing is trained or calibrated on these."""
SCENES, FRAMES, CALIBRATION = 24, 100, 128


@dataclass(frozen=True)
class GateData:
    """Frames whose every pixel is 0 normal, 1 anomaly or 255 void. Iterating reads them anew.

    Attributes:
        name: for the report.
        dataset: where from; None = procedural scenes, as the engine's camera would see them.
        view: what the engine sees of them.
    """

    name: str
    frames: int
    dataset: Dataset | None
    view: View

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for image, truth in self._whole():
            self.view.check(image.shape, f"--accept-on, {self.name}")
            yield self.view.cut(image), self.view.cut(truth)

    def _whole(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.dataset is None:
            for seed in range(FIRST_SEED, FIRST_SEED + self.frames):
                made = scene(seed, self.view.camera)
                yield made.image, made.anomaly
            return
        for item in spread_out(self.dataset.scored, self.frames):
            yield self.dataset.load(item)  # type: ignore[misc]


def gate_data(
    size: tuple[int, int],
    name: str | None = None,
    root: Path | None = None,
    limit: int = 0,
    labels: str | None = None,
    unknown: int | None = None,
    card: ModelCard | None = None,
) -> GateData:
    """Frames of a dataset, or procedural scenes, which are always there.

    Args:
        size: (height, width) of the engine.
        name: an anomaly dataset of `datasets.registry`; None = scenes.
        limit: at most so many frames, evenly spread; 0 = 24 scenes or 100 frames.
        labels, unknown: of a `folder` of class ids, as in `open_dataset`.
        card: of the bundle: an engine for its strip is judged on strips.

    Raises:
        DatasetError: no such dataset, or one without anomalies.
        ConfigError: its frames have quite another shape than the engine's.
    """
    view = View(size, card)
    if name is None:
        frames = limit or SCENES
        strips = ", their strips" if view.camera != size else ""
        return GateData(f"procedural scenes {FIRST_SEED}-{FIRST_SEED + frames - 1}{strips}", frames, None, view)
    if root is None:
        raise DatasetError(f"dataset {name} needs --root, the folder that holds it")
    dataset = open_dataset(name, root, None, labels, unknown)
    if dataset.kind != "anomaly":
        raise DatasetError(
            f"dataset {name} labels no anomalies, so it cannot tell whether an engine still finds them; if a value of "
            "its files marks them, say which: --unknown"
        )
    strips = ""
    if dataset.scored:
        shape = dataset.load(dataset.scored[0])[0].shape[:2]
        view.check(shape, f"--accept-on {name}")
        strips = ", their strips" if view.rows(*shape) != slice(0, shape[0]) else ""
    frames = min(limit or FRAMES, len(dataset.scored))
    return GateData(f"{frames} of {dataset.name} {dataset.split}{strips}", frames, dataset, view)


def calibration_frames(
    source: str | None,
    limit: int = CALIBRATION,
    size: tuple[int, int] | None = None,
    card: ModelCard | None = None,
) -> list[np.ndarray]:
    """RGB uint8 images of a bag, video, folder or `scenes:SEED`, evenly spread; the first ones where their number is
    not known before reading.

    What was lost is logged as a warning. Where the number is known, all is read to its end for that.

    Args:
        size: (height, width) of the engine; None = of any.
        card: of the bundle: an engine for its strip is calibrated on strips.

    Raises:
        ConfigError: one has quite another shape than the engine's.
        UserError: it cannot be read, or holds no frame.
    """
    if source is None:
        return []
    opened = open_source(source)
    step = max(1, opened.count // limit) if opened.count else 1
    view = None if size is None else View(size, card)
    frames: list[np.ndarray] = []
    for index, frame in enumerate(opened):
        if view is not None:
            view.check(frame.image.shape, f"--calibration {source}")
        if index % step == 0 and len(frames) < limit:
            frames.append(frame.image if view is None else view.cut(frame.image))
        if len(frames) == limit and not opened.count:
            break
    if troubles := opened.troubles():
        logging.getLogger(__name__).warning("%s, %d frames taken: %s", source, len(frames), troubles)
    return frames


def spread_out(items: tuple, count: int) -> list:
    """`count` of the items, evenly spread, the first among them."""
    return [items[index * len(items) // count] for index in range(count)]
