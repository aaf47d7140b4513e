"""Sizes of images: which ones are taken, how they are written, and how engines bring them to the network's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..errors import ConfigError, ImageError
from ..networks.input_size import network_size

if TYPE_CHECKING:
    from ..model_card import InputSpec
    from .engine import Run

MIN_SIDE, MAX_SIDE = 32, 8192
"""Pixels, of an image."""


def graph_size(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    """Size (H, W) of the pictures that an engine's graph takes for an image: the network's, or the image's own where
    the bundle has a rule of its own for resizing, which stands in the graph.
    """
    return network_size(height, width, spec) if spec.resize is None else (height, width)


def at_image_size(run: Run, height: int, width: int, spec: InputSpec) -> Run:
    """`run`, which takes images of the graph's size and answers as large as it likes, for images of another size.

    Pictures are made smaller in uint8 (bilinear), one map of scores and one of labels larger (bilinear, nearest): a
    graph would resize three float maps and, before the argmax, one for every class.
    """
    network = graph_size(height, width, spec)

    def resized(maps: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
        if maps.shape[1:3] == size:
            return maps
        done = [cv2.resize(one, size[::-1], interpolation=how) for one in maps]
        return np.stack(done) if len(done) > 1 else done[0][None]  # not copied

    def _run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, score = run(resized(images, network, cv2.INTER_LINEAR))
        image = (height, width)
        return resized(labels, image, cv2.INTER_NEAREST), resized(score, image, cv2.INTER_LINEAR)

    return _run


def resized_frame(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """A frame, RGB uint8 `[H, W, 3]`, at a size that an engine is built, calibrated or judged for; made smaller by
    averaging.
    """
    if image.shape[:2] == (height, width):
        return np.ascontiguousarray(image)
    smaller = height < image.shape[0] or width < image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)


def check_size(height: int, width: int) -> None:
    """Make sure that an image may have this size.

    Raises:
        ImageError: a side outside 32..8192.
    """
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (height, width)):
        raise ImageError(f"image sides must be {MIN_SIDE} to {MAX_SIDE} pixels, got {width}x{height}")


def parse_size(text: str) -> tuple[int, int]:
    """`1920x1080` (WIDTHxHEIGHT, as cameras say it) → height and width, (1080, 1920).

    Raises:
        ConfigError: it is something else, or a side is outside 32..8192.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    sides = tuple(map(int, match.groups())) if match else ()
    if not sides or not all(MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise ConfigError(f"size {text!r} is not WIDTHxHEIGHT with sides of {MIN_SIDE} to {MAX_SIDE}, e.g. 1920x1080")
    return sides[1], sides[0]
