"""A second look: what is in doubt after the first is looked at again, larger, by the same network.

What is large has enough pixels in either look, and the mean of both scores decides: an average over sizes of the
picture has fewer false objects at equal finds (as in multi-scale inference of segmentation networks). Two runs for
every frame would halve the rate; few frames are in doubt. What is small is looked at closer, and there the greater
score decides: an object of a few network pixels hardly has a score in the first look, so that a mean of both says
little. A camera that is finer than the network's input may have a strip around the horizon looked at instead of what
is small, in every picture, unless only something larger is in doubt; there the greater score decides, too.

What is published is the greater score everywhere: no pixel that either look takes for unknown is taken back.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ..model_card import InputSpec
from ..object_rule import Objects
from ..object_rule import SecondLook as Rule
from .candidates import Box, candidates, cell_size, in_cells, split
from .engine import Run
from .sizes import resized_frame
from .strip import StripSize, is_fine, strip_size, strip_top

FILLED = 0.8
"""Of a window's sides: so large may be what several candidates take together."""
EDGE = 0.08
"""Of a window's sides: over so much the second look comes in, where the window does not end with the picture."""


class Window(NamedTuple):
    """A part of an image to look at again, and whether it is for what is small."""

    box: Box
    small: bool = False


class SecondLook:
    """Looks again at images of a bundle whose card asks for it.

    Attributes:
        rule: what it looks at.
        taken: images that were looked at again, since it was made.
        every_camera: whether images of all sizes get the strip, enlarged if need be, not only those of fine cameras:
            so a calibration sees what it does to frames of smaller ones.

    Args:
        rule: what is in doubt, and the strip.
        objects: its seed and its ground count.
        spec: the network's input.
    """

    def __init__(self, rule: Rule, objects: Objects, spec: InputSpec) -> None:
        self.rule, self.taken, self.every_camera = rule, 0, False
        self._seed, self._spec = objects.seed, spec
        self._ground = np.zeros(256, bool)
        self._ground[objects.ground] = True

    def __call__(self, run: Run, images: np.ndarray, labels: np.ndarray, score: np.ndarray) -> list[np.ndarray | None]:
        """Change `score` where something is in doubt, or in the strip.

        Args:
            run: answers images of any size.
            images: RGB uint8 `[B, H, W, 3]`.
            labels: uint8 `[B, H, W]`, as answered.
            score: float32 `[S * B, H, W]`, as answered; the first of several is the bundle's own and changed in place.

        Returns:
            Of each image the greater score of both looks, float32 `[H, W]`, which is published; None where that is its
            `score` now.
        """
        batch = len(images)
        windows = [self.window(*one) for one in zip(score[:batch], labels, strict=True)]
        if (strip := self.strip_size(*images.shape[1:3])) is not None:
            windows = [None if window is not None and window.small else window for window in windows]
            self._look_at_strip(run, strip, images, labels, score, [window is None for window in windows])
        return self._look_at_windows(run, windows, images, score)

    def strip_size(self, height: int, width: int) -> StripSize | None:
        """Size of the strip of such an image; None where it has none."""
        strip = self.rule.strip
        if strip is None or not (self.every_camera or is_fine(height, width, strip, self._spec)):
            return None
        return strip_size(height, width, strip, self._spec)

    def _look_at_strip(
        self,
        run: Run,
        strip: StripSize,
        images: np.ndarray,
        labels: np.ndarray,
        score: np.ndarray,
        wanted: list[bool],
    ) -> None:
        """The strips of all images, so that the engine needs no other batch, count where they are `wanted`."""
        if not any(wanted):
            return
        (batch, height, width), tall = images.shape[:3], strip.tall
        step = cell_size(height, width, self._spec)
        cells = [in_cells(*one, step)[1] for one in zip(score[:batch], labels, strict=True)]
        tops = [strip_top(classes, self._ground, step, height, tall) for classes in cells]
        self.taken += sum(wanted)
        closer = [resized_frame(image[y : y + tall], *strip[:2]) for image, y in zip(images, tops, strict=True)]
        _, seen = run(np.stack(closer))
        for first, second, y, asked in zip(score[:batch], seen[:batch], tops, wanted, strict=True):
            if asked:
                first[y : y + tall] = _greater(first[y : y + tall], second, _share(y, y + tall, height)[:, None])

    def _look_at_windows(
        self, run: Run, windows: list[Window | None], images: np.ndarray, score: np.ndarray
    ) -> list[np.ndarray | None]:
        """As a call, where there are windows."""
        (batch, height, width) = images.shape[:3]
        shown: list[np.ndarray | None] = [None] * batch
        if not any(windows):
            return shown
        self.taken += sum(window is not None for window in windows)
        closer = [_closer(image, window) for image, window in zip(images, windows, strict=True)]
        _, seen = run(np.stack(closer))
        for index, (second, window) in enumerate(zip(seen[:batch], windows, strict=True)):
            if window is None:
                continue
            x0, y0, x1, y1 = window.box
            first, share = score[index, y0:y1, x0:x1], _share(y0, y1, height)[:, None] * _share(x0, x1, width)
            greater = _greater(first, second, share)
            if window.small:
                first[:] = greater
            else:
                shown[index] = published = score[index].copy()
                first[:] = _mean(first, second, share)
                published[y0:y1, x0:x1] = np.maximum(greater, first)  # a mean may be rounded upwards
        return shown

    def window(self, score: np.ndarray, labels: np.ndarray) -> Window | None:
        """The part of an image to look at again: the strongest candidate in doubt is near its middle, and as many
        others as fit are inside. Small ones go first, and among themselves. None where nothing is in doubt.

        Args:
            score: float32 `[H, W]`.
            labels: uint8 `[H, W]`.
        """
        height, width = score.shape
        step, rule = cell_size(height, width, self._spec), self.rule
        cells = in_cells(score, labels, step)
        found = candidates(*cells, rule.grow, self._seed, self._ground)
        larger, small = split(found, rule.small.height * len(cells[0]) if rule.small else 0)
        zoom, boxes = rule.zoom, [box for strength, box in larger if rule.above < strength <= rule.below]
        tiny = [box for strength, box in small if rule.small and rule.small.above < strength <= rule.below]
        if rule.small and tiny:
            zoom, boxes = rule.small.zoom, tiny
        if not boxes:
            return None
        inner = round(width / zoom), round(height / zoom)
        x0, y0, x1, y1 = boxes[0]
        for box in boxes[1:]:
            wider = min(x0, box[0]), min(y0, box[1]), max(x1, box[2]), max(y1, box[3])
            if all((wider[i + 2] - wider[i]) * step <= FILLED * inner[i] for i in range(2)):
                x0, y0, x1, y1 = wider
        left, top = (
            int(min(max(0, (low + high) * step // 2 - side // 2), whole - side))
            for low, high, side, whole in zip((x0, y0), (x1, y1), inner, (width, height), strict=True)
        )
        return Window((left, top, left + inner[0], top + inner[1]), bool(tiny))


def _closer(image: np.ndarray, window: Window | None) -> np.ndarray:
    """A window of an image at the image's size; the image itself where there is none."""
    if window is None:
        return image
    x0, y0, x1, y1 = window.box
    return cv2.resize(image[y0:y1, x0:x1], image.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def _mean(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The mean of a part of the first score `[h, w]` and the second one of it, of any size, which counts `share` times,
    at most once, `[h, w]`.
    """
    second = cv2.resize(second, first.shape[::-1], interpolation=cv2.INTER_LINEAR)
    # In this form an infinite score stays what it is.
    return (first + share * second) / (1 + share)


def _greater(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The greater of both; where `share` is below 1, the first one, so much nearer to it. Arguments as of `_mean`."""
    second = cv2.resize(second, first.shape[::-1], interpolation=cv2.INTER_LINEAR)
    with np.errstate(invalid="ignore"):
        greater = np.maximum(first, (1 - share) * first + share * second)
        # What is no number in either look stays none: a broken engine must not hide behind the other look.
        return np.where(np.isfinite(first) & np.isfinite(second), greater, first + second)


def _share(start: int, stop: int, length: int) -> np.ndarray:
    """How much the second look counts along one side of a window, float32 `[stop - start]`: 1, less towards ends that
    are not the picture's, so that no edge comes into the score.
    """
    size = stop - start
    share = np.ones(size, np.float32)
    edge = max(1, int(EDGE * size))
    ramp = (np.arange(edge, dtype=np.float32) + 0.5) / edge
    if start > 0:
        share[:edge] = ramp
    if stop < length:
        share[-edge:] = np.minimum(share[-edge:], ramp[::-1])
    return share
