"""Object sources: RGBA cut-outs that are pasted into training images.

An object is RGBA uint8 `[h, w, 4]`; alpha above 127 is the object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import DatasetError

MIN_PIXELS = 150
SUFFIXES = (".png", ".webp")
"""Of cut-outs: formats that hold an alpha channel."""


def load_cutouts(folder: str | Path, exclude: Iterable[str] = ()) -> list[np.ndarray]:
    """Read every RGBA PNG and WebP of a folder.

    Args:
        folder: PNG and WebP files, in folders below too; an optional `cutouts.json` beside them lists
            `{file, cls, kind}` per file.
        exclude: class or kind names (of `cutouts.json`) to leave out, e.g. against overlap with a test set.

    Raises:
        DatasetError: the folder holds no usable cut-out, or its index names no such class.
    """
    folder = Path(folder)
    names, excluded = _index(folder), set(exclude)
    # A filter that silently matches nothing would let in what a test set asks for.
    if unknown := sorted(excluded - set().union(*names.values())):
        known = ", ".join(sorted(filter(None, set().union(*names.values())))) or "none (cutouts.json is missing)"
        raise DatasetError(f"cut-outs {folder}: no class or kind {', '.join(unknown)}; its index names {known}")
    objects = []
    for file in sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES):
        if names.get(file.name, set()) & excluded:
            continue
        rgba = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if rgba is None or rgba.ndim != 3 or rgba.shape[2] != 4:
            continue
        rgba = cv2.cvtColor(rgba, cv2.COLOR_BGRA2RGBA)
        if np.count_nonzero(rgba[..., 3] > 127) >= MIN_PIXELS:
            objects.append(tight(rgba))
    if not objects:
        raise DatasetError(
            f"no RGBA cut-out with at least {MIN_PIXELS} object pixels in {folder} "
            "(PNG or WebP files with alpha are needed)"
        )
    return objects


def _index(folder: Path) -> dict[str, set[str | None]]:
    file = folder / "cutouts.json"
    if not file.is_file():
        return {}
    try:
        return {entry["file"]: {entry.get("cls"), entry.get("kind")} for entry in json.loads(file.read_text())}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{file} is no list of entries with `file`, `cls` and `kind`: {error!r}") from error


def tight(rgba: np.ndarray) -> np.ndarray:
    """The object cropped to the bounding box of its alpha."""
    rows = np.flatnonzero((rgba[..., 3] > 127).any(axis=1))
    columns = np.flatnonzero((rgba[..., 3] > 127).any(axis=0))
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def cut_components(image: np.ndarray, label: np.ndarray, classes: Sequence[int]) -> list[tuple[np.ndarray, int]]:
    """Known objects out of a labelled frame: each connected component of `classes` as (RGBA, class id).

    Pasted with the same code as the unknowns, they keep a network from learning "pasted" instead of "unknown".
    """
    found = []
    for class_id in classes:
        count, components, stats, _ = cv2.connectedComponentsWithStats(
            (label == class_id).astype(np.uint8), connectivity=8
        )
        for index in range(1, count):
            x, y, width, height, area = stats[index]
            border = x == 0 or y == 0 or x + width == label.shape[1] or y + height == label.shape[0]
            if border or area < MIN_PIXELS or area > label.size // 8 or area < 0.3 * width * height:
                continue
            window = np.s_[y : y + height, x : x + width]
            alpha = np.where(components[window] == index, 255, 0).astype(np.uint8)
            found.append((np.dstack([image[window], alpha]), int(class_id)))
    return found
