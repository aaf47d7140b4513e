"""The part of the image that shows one's own vehicle: never judged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ...errors import ConfigError


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
