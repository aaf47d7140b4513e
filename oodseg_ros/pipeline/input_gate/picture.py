"""What one picture shows: the few figures of it that all checks read (half a millisecond a frame), and the stateless
checks of its brightness.

The brightness range is that from the darkest to the brightest percent of the picture, sensor noise averaged out. In 921
real driving images it is 75 to 251 gray levels. road_lite on twenty frames of Fishyscapes Static: AP 81 % as they are,
76 % in fog that leaves a quarter of the contrast, 58 % with a tenth (a range of 10 to 25), 27 % with a twentieth; 48 %
at a tenth of the light (`benchmarks/visibility.py`). Scores fall with the contrast, so their drift does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..reasons import BLACK, LOW_CONTRAST, OVER_EXPOSED, Fault

TILES = 8
"""Tiles per side of the grid in which contrast and detail are measured."""
_SAMPLE = 8192
_ROWS = 12
_WIDTH = 960
"""Details are measured at about this width: finer ones are sensor noise, and the networks do not see them."""


@dataclass(frozen=True)
class ImageStatistics:
    """What one frame looks like.

    Attributes:
        width, height: of the image, pixels.
        encoding: of the message; any constant offline.
        stamp_ns, now_ns: header stamp and the node's clock; now_ns 0 = the clock has not begun.
        sample: uint8 `[h, w, 3]`, every n-th pixel, about 8000 of them.
        gray: uint8 `[h, w]`, the brightness of `sample`.
        contrast: float32 `[8, 8]`, standard deviation of the brightness in a strip of each tile.
        detail: float32 `[8, 8]`, mean square of its Laplacian there.
        calibration: how camera_info contradicts the image, in a sentence; empty = it does not.
    """

    width: int
    height: int
    encoding: str
    stamp_ns: int
    now_ns: int
    sample: np.ndarray
    gray: np.ndarray
    contrast: np.ndarray
    detail: np.ndarray
    calibration: str = ""


def measure(
    image: np.ndarray, encoding: str = "", stamp_ns: int = 0, now_ns: int = 0, calibration: str = ""
) -> ImageStatistics:
    """Measure an RGB uint8 image `[H, W, 3]` of at least 32x32 pixels; a smaller one is shown enlarged."""
    height, width = image.shape[:2]
    if min(height, width) < 4 * TILES:
        image = cv2.resize(image, (max(width, 4 * TILES), max(height, 4 * TILES)), interpolation=cv2.INTER_NEAREST)
    step = max(1, round((image.shape[0] * image.shape[1] / _SAMPLE) ** 0.5))
    sample = np.ascontiguousarray(image[::step, ::step])
    contrast, detail = _strips(image)
    gray = cv2.cvtColor(sample, cv2.COLOR_RGB2GRAY)
    return ImageStatistics(width, height, encoding, stamp_ns, now_ns, sample, gray, contrast, detail, calibration)


def _strips(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Contrast and detail per tile, from one strip of rows in each row of tiles."""
    height, width = image.shape[:2]
    factor = max(1, round(width / _WIDTH))
    rows = min(_ROWS, height // TILES // factor)
    if rows < 3:
        factor, rows = 1, min(_ROWS, height // TILES)
    tile = height / TILES
    tops = [int((index + 0.5) * tile - rows * factor / 2) for index in range(TILES)]
    strips = np.concatenate([image[top : top + rows * factor] for top in tops])
    gray = cv2.cvtColor(strips, cv2.COLOR_RGB2GRAY)
    if factor > 1:
        gray = cv2.resize(gray, (width // factor, TILES * rows), interpolation=cv2.INTER_AREA)
    gray = gray[:, : gray.shape[1] // TILES * TILES]
    pixels = gray.astype(np.float32)
    mean, squares = _tiles(pixels), _tiles(pixels * pixels)
    # The first and the last row of a strip border on another one.
    inner = cv2.Laplacian(pixels, cv2.CV_32F).reshape(TILES, rows, -1)[:, 1:-1].reshape(TILES * (rows - 2), -1)
    return np.sqrt(np.maximum(squares - mean * mean, 0.0)), _tiles(inner * inner)


def _tiles(values: np.ndarray) -> np.ndarray:
    """Mean of each tile, float32 `[8, 8]`."""
    return cv2.resize(values, (TILES, TILES), interpolation=cv2.INTER_AREA)


MAX_BLACK = 12
"""Of 255: 99 % of the pixels of a black picture are darker."""
MAX_NOISY_BLACK, NOISY_CONTRAST = 32, 3.0
"""Sensors with a black level and noise: also black is what is this dark and has this standard deviation at most."""
WHITE = 249
SHARE = 0.7
"""Of the pixels above `WHITE`. The whitest of 700 real driving images, half of it overcast sky, has 0.41."""
RANGE = 30.0
"""Of 255 gray levels; less is a fault."""
_SMALL = (32, 18)


def black(statistics: ImageStatistics) -> Fault | None:
    """A lens cap, a dead sensor, no light at all. A night with any lamp in view is not black."""
    counts = cv2.calcHist([statistics.gray], [0], None, [256], [0, 256])[:, 0]
    brightest = int(np.searchsorted(np.cumsum(counts), 0.99 * statistics.gray.size))
    if brightest < MAX_BLACK or (brightest < MAX_NOISY_BLACK and float(statistics.gray.std()) < NOISY_CONTRAST):
        return Fault(BLACK, f"99 % of the pixels are darker than {brightest + 1} of 255")
    return None


def over_exposed(statistics: ImageStatistics) -> Fault | None:
    """A low sun, a tunnel's end, a broken exposure control. White where the world should be."""
    _, white = cv2.threshold(statistics.gray, WHITE, 1, cv2.THRESH_BINARY)
    share = cv2.countNonZero(white) / white.size
    return Fault(OVER_EXPOSED, f"{share:.0%} of the pixels are white") if share > SHARE else None


def low_contrast(statistics: ImageStatistics) -> Fault | None:
    """Dense fog, a lens fogged over, too little light. The network answers, and misses what is there."""
    found = brightness_range(statistics.gray)
    if found >= RANGE:
        return None
    return Fault(LOW_CONTRAST, f"the brightness of the whole picture spans {found:.0f} of 255 levels")


def brightness_range(gray: np.ndarray) -> float:
    """Gray levels between the 1 % and the 99 % quantile of the averaged picture `[h, w]` uint8."""
    low, high = np.percentile(cv2.resize(gray, _SMALL, interpolation=cv2.INTER_AREA), (1, 99))
    return float(high - low)
