"""Where obstacles count: zones, and the ego mask (the part of the image that shows one's own vehicle, never judged).

Zones are named polygons in `base_link`, each with what to do about obstacles in it.

An obstacle covers the ground where it may stand, from the near to the far end of its range interval and as wide as it
is seen. It belongs to the most careful zone that this area touches.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...errors import ConfigError
from ...parameters.judging import ACTIONS, Zones


def place(zones: Zones, area: np.ndarray | None) -> tuple[str, str]:
    """Name of the zone ("" = in none) and the action for an obstacle that covers `area`.

    Args:
        zones: all of them.
        area: corners `[N, 2]` in metres; None = its position is not known.
    """
    if area is None:
        return "", zones.unplaced
    touched = [zone for zone in zones.zones if touch(np.asarray(zone.polygon), area)]
    if not touched:
        return "", zones.outside
    best = min(touched, key=lambda zone: ACTIONS.index(zone.action))
    return best.name, best.action


def touch(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two polygons `[N, 2]` and `[M, 2]` share a point; the second may be flat, a line or a single point."""
    if _inside(first, second[0]) or _inside(second, first[0]):
        return True
    a, b = first, np.roll(first, -1, 0)
    for c, d in zip(second, np.roll(second, -1, 0), strict=True):
        # Edges cross where the ends of each lie on different sides of the other.
        apart = (_side(a, b, c) * _side(a, b, d) > 0) | (_side(c, d, a) * _side(c, d, b) > 0)
        low, high = np.minimum(c, d), np.maximum(c, d)
        apart |= ((np.maximum(a, b) < low) | (np.minimum(a, b) > high)).any(1)
        if not apart.all():
            return True
    return False


def _side(a: np.ndarray, b: np.ndarray, point: np.ndarray) -> np.ndarray:
    along, to = b - a, point - a
    return along[..., 0] * to[..., 1] - along[..., 1] * to[..., 0]


def _inside(polygon: np.ndarray, point: np.ndarray) -> bool:
    (x, y), (x0, y0) = point, polygon.T
    x1, y1 = np.roll(polygon, -1, 0).T
    crosses = (y0 > y) != (y1 > y)
    rise = np.where(crosses, y1 - y0, 1.0)
    return bool(np.count_nonzero(crosses & (x < x0 + (y - y0) * (x1 - x0) / rise)) % 2)


def load_ego_mask(path: str | Path) -> np.ndarray:
    """Read a mask image of any depth and colour: uint8 `[H, W]`, 255 = ego vehicle (non-zero in the file), 0 = judged.

    Raises:
        ConfigError: it cannot be read, or masks everything or nothing.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"ego mask {path} does not exist; give an image that is white on the ego vehicle and black elsewhere"
        )
    # As it is: a conversion to 8-bit gray makes 0 of a 16-bit 1, and of a dark blue.
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ConfigError(f"ego mask {path} is no image that OpenCV can read; save it as PNG")
    colors = image[..., :3] if image.ndim == 3 else image[..., None]  # not the alpha: it is 255 everywhere as a rule
    mask = check_ego_mask(colors.any(axis=2), str(path))
    if not mask.any():
        raise ConfigError(f"ego mask {path} is black everywhere and masks nothing; it is white on the ego vehicle")
    return mask


def check_ego_mask(mask: np.ndarray, where: str = "ego mask") -> np.ndarray:
    """The mask as uint8 0/255; `where` is named in errors.

    Raises:
        ConfigError: it is no 2-D uint8 or bool array, or masks everything.
    """
    if mask.ndim != 2 or mask.size == 0 or mask.dtype not in (np.uint8, np.bool_):
        raise ConfigError(f"{where}: a gray 8-bit image is needed, got {mask.dtype} {list(mask.shape)}")
    binary = np.where(mask != 0, np.uint8(255), np.uint8(0))
    if binary.all():
        raise ConfigError(
            f"{where} masks the whole image, so nothing would ever be found; non-zero pixels are the ego vehicle"
        )
    return binary


def fit_ego_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask at the size of an image, nearest neighbor.

    Raises:
        ConfigError: at that size it masks everything.
    """
    if mask.shape == (height, width):
        return mask
    fitted = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return check_ego_mask(fitted, f"ego mask resized from {mask.shape[1]}x{mask.shape[0]} to {width}x{height}")
