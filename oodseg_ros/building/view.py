"""What an engine sees of a camera's pictures, and which pictures it can be calibrated and judged on."""

from __future__ import annotations

import numpy as np

from ..errors import ConfigError
from ..inference.strip import LEAST_DETAIL, camera_of, strip_of
from ..model_card import ModelCard

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
