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
from ..inference.strip import LEAST_DETAIL, camera_of, strip_of
from ..model_card import ModelCard
from ..scenes import scene
from ..sources.open_source import open_source

FIRST_SEED = 77_000
"""Scenes of the gate; nothing is trained or calibrated on these."""
SCENES, FRAMES, CALIBRATION = 24, 100, 128
MAX_STRETCH = 1.5
"""How much more the frames' longer way may be stretched than the other. 4:3 pictures at 2:1 still pass; sides that were
exchanged do not, and neither do frames of quite another camera: they would say nothing of what the engine will see."""


class View:
    """What an engine sees of a camera's pictures: all of each, or the strip of a second look (`inference.strip`).

    A picture squeezed to a strip's size shows a world that no engine of this size is ever asked about.

    Attributes:
        size: (height, width) of the engine.
        camera: of pictures that it sees all or the strip of.
    """

    def __init__(self, size: tuple[int, int], card: ModelCard | None = None) -> None:
        """Of an engine of that size for a bundle with that card; without one it sees all."""
        of_strip = None if card is None else camera_of(*size, card)
        self.size, self.camera, self._card = size, of_strip or size, card

    def rows(self, height: int, width: int) -> slice | None:
        """Those of a frame that the engine sees, all or the strip's in the middle; None where the frame is of quite
        another shape than what it sees.

        The strip of a frame begins where the ground does, which only a network tells; without one it is the middle.
        """
        if _stretched(self.size, (height, width)) <= MAX_STRETCH:
            return slice(0, height)
        strip = None if self._card is None else strip_of(height, width, self._card)
        if strip is not None and strip[:2] == self.size:
            tall = strip.tall
        elif (
            self.camera != self.size
            and _stretched(self.camera, (height, width)) <= MAX_STRETCH
            and width >= LEAST_DETAIL * self.size[1]
        ):
            # Another fine camera's, whose own strip has another size.
            tall = min(height, max(1, round(width * self.size[0] / self.size[1])))
        else:
            return None
        top = (height - tall) // 2
        return slice(top, top + tall)

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """What the engine sees of a frame or its truth `[H, W, ...]`, at its own resolution; all of it where `rows`
        says that it does not fit.
        """
        rows = self.rows(*frame.shape[:2])
        if rows is None or rows == slice(0, len(frame)):
            return frame
        return frame[rows].copy()  # so that memory does not hold the rest, too

    def check(self, frame: tuple[int, ...], which: str) -> None:
        """Make sure that frames of this size (height, width) show what the engine will see.

        Raises:
            ConfigError: they have quite another shape; names both.
        """
        if self.rows(*frame[:2]) is not None:
            return
        if self.camera == self.size:
            check_shape(self.size, frame, which)
            return
        (height, width), (rows, columns) = self.camera, self.size
        raise ConfigError(
            f"--size {columns}x{rows} is that of a strip of pictures like {width}x{height}; the frames of {which} are "
            f"{frame[1]}x{frame[0]}: neither such pictures, at least {round(LEAST_DETAIL * columns)} pixels wide, nor "
            "strips of them; give your camera's frames"
        )


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


def check_shape(size: tuple[int, int], frame: tuple[int, ...], which: str) -> None:
    """Frames are resized to the engine's size (height, width); make sure that they have about its shape.

    Raises:
        ConfigError: names both.
    """
    (height, width), (frame_height, frame_width) = size, frame[:2]
    if _stretched(size, frame) > MAX_STRETCH:
        turned = _stretched((width, height), frame) <= MAX_STRETCH
        cure = f"--size is WIDTHxHEIGHT, so {height}x{width}" if turned else "give your camera's size and its frames"
        raise ConfigError(
            f"--size {width}x{height} does not fit the frames of {which}, which are {frame_width}x{frame_height}: "
            f"resized to it they would show another world; {cure}"
        )


def _stretched(size: tuple[int, ...], other: tuple[int, ...]) -> float:
    """How much more one side of a picture is stretched than the other, where it is resized from one size to another."""
    (height, width), (other_height, other_width) = size[:2], other[:2]
    return max(width * other_height / (height * other_width), height * other_width / (width * other_height))


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
