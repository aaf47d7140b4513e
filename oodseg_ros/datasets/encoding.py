"""What the values of a label file mean, and reading label files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import DatasetError, listed, why
from ..frame import UNLABELED


@dataclass(frozen=True)
class Encoding:
    """Meaning of the values in a label file.

    Attributes:
        what: for messages, e.g. `0 normal, 1 anomaly, 255 ignore`.
        meaning: value in the file → our label; a value that is not listed is an error in the data.
        cure: a sentence for people whose files hold other values.
        colors: RGB of the values 0, 1, … where they are class ids of a label set; empty where they are not.
    """

    what: str
    meaning: Mapping[int, int]
    cure: str = "It is damaged, of another dataset, or in another encoding"
    colors: tuple[tuple[int, int, int], ...] = ()

    @cached_property
    def table(self) -> np.ndarray:
        """Look-up table uint8 `[256]`; values without a meaning become 255."""
        table = np.full(256, UNLABELED, np.uint8)
        for value, label in self.meaning.items():
            table[value] = label
        return table

    @cached_property
    def known(self) -> np.ndarray:
        """bool `[256]`: the value has a meaning."""
        known = np.zeros(256, bool)
        known[list(self.meaning)] = True
        return known

    def unexpected(self, values: np.ndarray) -> list[int]:
        """The file values among `values` that have no meaning, ascending."""
        values = np.unique(values)
        return values[~self.known[values]].tolist()

    def decode(self, values: np.ndarray, path: Path) -> np.ndarray:
        """Our labels for a file's values, uint8 `[H, W]`.

        Raises:
            DatasetError: values without a meaning occur; `path` is named.
        """
        # Counting is several times faster than sorting, and 2 megapixels per frame add up.
        strange = np.flatnonzero((np.bincount(values.ravel(), minlength=256) > 0) & ~self.known)
        if strange.size:
            raise DatasetError(
                f"label file {path}: unexpected values {listed(strange.tolist())}; expected {self.what}. {self.cure}"
            )
        return self.table[values]


ANOMALY = Encoding("0 normal, 1 anomaly, 255 ignore", {0: 0, 1: 1, 255: 255})

_TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13}
_TRAIN_IDS |= {27: 14, 28: 15, 31: 16, 32: 17, 33: 18}

CITYSCAPES_IDS = Encoding(
    "Cityscapes label ids 0..33 (255 = license plate)",
    {value: _TRAIN_IDS.get(value, UNLABELED) for value in (*range(34), 255)},
)
CITYSCAPES_TRAIN_IDS = Encoding("Cityscapes train ids 0..18, 255 ignore", {**{k: k for k in range(19)}, 255: 255})


def class_ids(colors: tuple[tuple[int, int, int], ...]) -> Encoding:
    """Class ids of a label set with these RGB colours as they are, 255 = unlabeled."""
    meaning = {**{index: index for index in range(len(colors))}, 255: 255}
    cure = "Of another label set? If a value marks unknown objects, say which: --unknown (`outlier_values` in a recipe)"
    return Encoding(f"class ids 0..{len(colors) - 1}, 255 unlabeled", meaning, cure, colors)


def unknown_among(classes: Encoding, unknown: int) -> tuple[Encoding, Encoding]:
    """For label files of class ids in which `unknown` marks unknown objects: what tells anomalies, and what classes.

    Raises:
        DatasetError: `unknown` is a class or no value of such a file.
    """
    if unknown in classes.meaning or not 0 <= unknown < UNLABELED:
        raise DatasetError(f"the value {unknown} cannot mark unknown objects: these are {classes.what}")
    what = f"{classes.what}, {unknown} unknown object"
    anomalies = {value: UNLABELED if label == UNLABELED else 0 for value, label in classes.meaning.items()}
    return (
        replace(classes, what=what, meaning=anomalies | {unknown: 1}),
        replace(classes, what=what, meaning=dict(classes.meaning) | {unknown: UNLABELED}),
    )


def mixed_labels(encoding: Encoding, frames: Sequence[tuple[bool, bool]]) -> str:
    """A sentence where files with 0/1 and files with 0/255 seem to lie in one folder, "" otherwise.

    255 is a mark to ignore here and a common mark of objects elsewhere: both are valid, so only the whole folder tells.

    Args:
        frames: per label file, whether it holds 1 and whether it holds 255.
    """
    ones, voids = sum(one and not void for one, void in frames), sum(void and not one for one, void in frames)
    if encoding.meaning != ANOMALY.meaning or not voids or any(one and void for one, void in frames):
        return ""
    if not ones:
        return (
            f"{voids} label files hold 255 and none holds 1: if 255 marks the anomalies, write 1 for it, "
            "for 255 means ignore here"
        )
    return (
        f"{ones} label files hold 1 and no 255, {voids} hold 255 and no 1, none holds both: it looks like two "
        "encodings in one folder. 255 means ignore here; if it marks anomalies in some files, write 1 for it there"
    )


WHITE_MASKS = [[[0, 1], [0, 255]], [[1], [255]]]


def palette_of(path: Path) -> np.ndarray:
    """The colours of a palette picture, uint8 `[N, 3]`; none of another picture, or of one that cannot be read."""
    try:
        with Image.open(path) as picture:
            return np.reshape((picture.mode == "P" and picture.getpalette()) or [], (-1, 3)).astype(np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return np.zeros((0, 3), np.uint8)


def read_values(path: Path, colors: Sequence[tuple[int, int, int]] = ()) -> np.ndarray:
    """The values of a label picture, uint8 `[H, W]`: gray levels, or indices of a palette.

    Args:
        colors: RGB of the class ids 0, 1, … that it should hold, where they are known.

    Raises:
        DatasetError: it cannot be read, is a color picture or a JPEG, has a palette of grays that are not its indices
            or of the classes' colors in another order, or values that are no whole numbers from 0 to 255.
    """
    try:
        with Image.open(path) as picture:
            few_bits = picture.format == "PNG" and picture.tile and picture.tile[0][3] in ("L;2", "L;4")
            # Pillow keeps the indices of a palette picture, where OpenCV would give its colors.
            values = np.asarray(picture)
            mode = picture.mode
            lossy = picture.format in ("JPEG", "MPO")
            palette = np.reshape(picture.getpalette() or [], (-1, 3)) if mode == "P" else None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"label file {path} cannot be read: {why(error)}") from error
    if lossy:
        raise DatasetError(
            f"label file {path} is a JPEG, whose compression changes class ids along every border; write the labels "
            "again as PNG, from where they were drawn"
        )
    if few_bits:
        raise DatasetError(
            f"label file {path} has 2 or 4 bits a pixel, which every reader stretches to 0..255: a 1 comes out as 85 "
            "or 17; write the labels with 8 bits"
        )
    if palette is not None:
        _check_palette(values, palette, path)
        _check_order(values, palette, colors, path)
    if mode == "1":
        return values.astype(np.uint8)
    if values.ndim == 3 and values.shape[2] in (2, 4) and np.ptp(values[..., :-1]) == 0 < np.ptp(values[..., -1]):
        raise DatasetError(
            f"label file {path} says the same everywhere but in its transparency; write the labels as gray levels, "
            "without transparency"
        )
    if values.ndim == 3 and values.shape[2] == 2:
        values = values[..., 0]
    elif values.ndim == 3:
        channels = values[..., :3]
        if (channels != channels[..., :1]).any():
            raise DatasetError(f"label file {path} is a color picture; class ids or 0/1/255 in one channel are needed")
        values = channels[..., 0]
    if values.dtype != np.uint8:
        # NaN compares false.
        if not (values.min(initial=0) >= 0 and values.max(initial=0) <= 255):
            raise DatasetError(f"label file {path} holds values outside 0..255 ({values.min()}..{values.max()})")
        if (values != np.rint(values)).any():
            raise DatasetError(
                f"label file {path} holds fractions, as scores do, or labels that were interpolated; class ids or "
                "0/1/255 are needed"
            )
        values = values.astype(np.uint8)
    return np.ascontiguousarray(values)


def _check_palette(values: np.ndarray, palette: np.ndarray, path: Path) -> None:
    """Tools that shrink PNGs (pngquant and its like) store a gray picture as a palette of its gray levels, and its
    values are then the grays; all others mean the indices, also 1 that is shown white.
    """
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    used = used[used < len(palette)]
    grays = palette[used, 0]
    gray = (palette == palette[:, :1]).all()
    if gray and (grays != used).any() and [used.tolist(), grays.tolist()] not in WHITE_MASKS:
        index, shown = next((int(i), int(g)) for i, g in zip(used, grays, strict=True) if i != g)
        raise DatasetError(
            f"label file {path} has a palette of grays that are not its indices (index {index} shows gray {shown});"
            " which of the two is the class cannot be told: save it as a gray picture without a palette"
        )


def _check_order(values: np.ndarray, palette: np.ndarray, colors: Sequence[tuple[int, int, int]], path: Path) -> None:
    """Tools that shrink or save colored labels number the colors of every file anew."""
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256)[: len(palette)])
    shown = {int(index): tuple(map(int, palette[index])) for index in used}
    known = [tuple(color) for color in colors]
    # Black is what tools draw where there is no class.
    if not {*shown.values()} <= {*known, (0, 0, 0)}:
        return
    for index, color in shown.items():
        if color in known and index != UNLABELED and (index >= len(known) or known[index] != color):
            raise DatasetError(
                f"label file {path} has a palette in which index {index} has the color of class {known.index(color)}: "
                "its colors tell the classes and its indices do not; write the class ids as gray levels"
            )
