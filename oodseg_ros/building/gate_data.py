"""Labeled frames for the acceptance gate, and frames without labels for INT8."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..datasets.dataset import Dataset
from ..datasets.registry import open_dataset
from ..errors import ConfigError, DatasetError
from ..scenes import scene
from ..sources.open_source import open_source

FIRST_SEED = 77_000
"""Scenes of the gate; nothing is trained or calibrated on these."""
SCENES, FRAMES, CALIBRATION = 24, 100, 128
MAX_STRETCH = 1.5
"""How much more the frames' longer way may be stretched than the other. 4:3 pictures at 2:1 still pass; sides that were
exchanged do not, and neither do frames of quite another camera: they would say nothing of what the engine will see."""


@dataclass(frozen=True)
class GateData:
    """Frames whose every pixel is 0 normal, 1 anomaly or 255 void. Iterating reads them anew.

    Attributes:
        name: for the report.
        dataset: where from; None = procedural scenes of `size`.
        size: (height, width) of scenes.
    """

    name: str
    frames: int
    dataset: Dataset | None
    size: tuple[int, int]

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        if self.dataset is None:
            for seed in range(FIRST_SEED, FIRST_SEED + self.frames):
                made = scene(seed, self.size)
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
) -> GateData:
    """Frames of a dataset, or procedural scenes, which are always there.

    Args:
        size: (height, width) of the engine.
        name: an anomaly dataset of `datasets.registry`; None = scenes.
        limit: at most so many frames, evenly spread; 0 = 24 scenes or 100 frames.
        labels, unknown: of a `folder` of class ids, as in `open_dataset`.

    Raises:
        DatasetError: no such dataset, or one without anomalies.
        ConfigError: its frames have quite another shape than the engine's.
    """
    if name is None:
        frames = limit or SCENES
        return GateData(f"procedural scenes {FIRST_SEED}-{FIRST_SEED + frames - 1}", frames, None, size)
    if root is None:
        raise DatasetError(f"dataset {name} needs --root, the folder that holds it")
    dataset = open_dataset(name, root, None, labels, unknown)
    if dataset.kind != "anomaly":
        raise DatasetError(
            f"dataset {name} labels no anomalies, so it cannot tell whether an engine still finds them; if a value of "
            "its files marks them, say which: --unknown"
        )
    if dataset.scored:
        check_shape(size, dataset.load(dataset.scored[0])[0].shape[:2], f"--accept-on {name}")
    frames = min(limit or FRAMES, len(dataset.scored))
    return GateData(f"{frames} of {dataset.name} {dataset.split}", frames, dataset, size)


def check_shape(size: tuple[int, int], frame: tuple[int, ...], which: str) -> None:
    """Frames are resized to the engine's size (height, width); make sure that they have about its shape.

    Raises:
        ConfigError: names both.
    """
    (height, width), (frame_height, frame_width) = size, frame
    if _stretched(width / height, frame_width / frame_height) > MAX_STRETCH:
        turned = _stretched(height / width, frame_width / frame_height) <= MAX_STRETCH
        cure = f"--size is WIDTHxHEIGHT, so {height}x{width}" if turned else "give your camera's size and its frames"
        raise ConfigError(
            f"--size {width}x{height} does not fit the frames of {which}, which are {frame_width}x{frame_height}: "
            f"resized to it they would show another world; {cure}"
        )


def _stretched(shape: float, other: float) -> float:
    return max(shape / other, other / shape)


def calibration_frames(
    source: str | None, limit: int = CALIBRATION, size: tuple[int, int] | None = None
) -> list[np.ndarray]:
    """RGB uint8 images of a bag, video, folder or `scenes:SEED`, evenly spread; the first ones where their number is
    not known before reading.

    What was lost is logged as a warning. Where the number is known, all is read to its end for that.

    Raises:
        ConfigError: the first one has quite another shape than `size` (height, width).
        UserError: it cannot be read, or holds no frame.
    """
    if source is None:
        return []
    opened = open_source(source)
    step = max(1, opened.count // limit) if opened.count else 1
    frames: list[np.ndarray] = []
    for index, frame in enumerate(opened):
        if index == 0 and size is not None:
            check_shape(size, frame.image.shape[:2], f"--calibration {source}")
        if index % step == 0 and len(frames) < limit:
            frames.append(frame.image)
        if len(frames) == limit and not opened.count:
            break
    if troubles := opened.troubles():
        logging.getLogger(__name__).warning("%s, %d frames taken: %s", source, len(frames), troubles)
    return frames


def spread_out(items: tuple, count: int) -> list:
    """`count` of the items, evenly spread, the first among them."""
    return [items[index * len(items) // count] for index in range(count)]
