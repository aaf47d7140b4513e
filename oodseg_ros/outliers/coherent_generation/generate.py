"""From a labelled dataset to generated counterparts on disk, one original after the other."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ...datasets.dataset import Dataset, Item
from ...datasets.encoding import CITYSCAPES_IDS, read_values
from ...datasets.generated import IMAGE_END, LABEL_END
from ...frame import OUTLIER
from ...labels import load_labels
from ...paths import completed
from .layout import Outline, build_prompt, paint, place_on_road, table_to_ade
from .networks import MIN_IOU, Segment, judge

Draw = Callable[[np.ndarray, str, str, int], np.ndarray]
"""(control picture, prompt, negative prompt, seed) → picture RGB uint8, of any size."""


class Outlines(Protocol):
    """A source of objects."""

    def draw(self, rng: np.random.Generator) -> Outline:
        """A random object."""


@dataclass(frozen=True)
class Outcome:
    """What became of one original: the name of its picture (None = no attempt was good enough), attempts, last IoU."""

    id: str
    name: str | None
    attempts: int
    iou: float


def generate(
    dataset: Dataset,
    item: Item,
    out: Path,
    outlines: Outlines,
    draw: Draw,
    segment: Segment,
    *,
    seed: int = 0,
    attempts: int = 10,
    least_iou: float = MIN_IOU,
    accept: Callable[[np.ndarray, np.ndarray], bool] | None = None,
) -> Outcome:
    """Generate one counterpart of `item`, unless it has one; the result depends on nothing but `seed` and the item.

    Writes `leftImg8bit/{split}/{id}{domain}_{object}_{iou}_leftImg8bit.png` and the labels beside it in `gtFine/`:
    the dataset's class ids, and 254 where the segmenter found the object.

    Args:
        attempts: new objects, prompts and places until a picture is good enough.
        least_iou: between what was asked for and what the segmenter found.
        accept: a further judge of (picture, mask), e.g. an anomaly segmentor.

    Raises:
        ConfigError, DatasetError: the item cannot be read, or ADE20K has no mapping from its label set.
    """
    split = dataset.split or "train"
    image_root, label_root = out / "leftImg8bit" / split, out / "gtFine" / split
    if done := _existing(image_root, item.id):
        return Outcome(item.id, done, 0, float("nan"))
    rng = np.random.default_rng([seed, zlib.crc32(item.id.encode())])
    classes = dataset.load(item)[1]
    ade = _ade_ids(dataset, item, classes)
    road = ade == load_labels("ade20k").names.index("road")
    iou = 0.0
    for attempt in range(1, attempts + 1):
        outline = outlines.draw(rng)
        placed = place_on_road(rng, road, outline.mask)
        if placed is None:
            return Outcome(item.id, None, attempt, iou)
        prompt = build_prompt(rng, outline.name)
        picture = draw(paint(ade, placed, outline.ade_class), prompt.text, prompt.negative, int(rng.integers(2**31)))
        picture = cv2.resize(picture, classes.shape[::-1], interpolation=cv2.INTER_LINEAR)
        verdict = judge(picture, placed, segment, least_iou)
        iou = verdict.iou
        if not verdict.kept or (accept is not None and not accept(picture, verdict.mask)):
            continue
        name = f"{item.id}{prompt.domain}_{outline.name.replace(' ', '-')}_{iou:.2f}"
        labels = np.where(verdict.mask, OUTLIER, classes).astype(np.uint8)
        # The labels first: a picture always has its labels, also after a crash in between.
        _write(label_root / f"{name}{LABEL_END}.png", labels)
        told = {"object": outline.name, "iou": round(iou, 4), "attempts": attempt, "prompt": prompt.text, "seed": seed}
        (label_root / f"{name}.json").write_text(json.dumps(told) + "\n")
        _write(image_root / f"{name}{IMAGE_END}.png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return Outcome(item.id, name, attempt, iou)
    return Outcome(item.id, None, attempts, iou)


def _ade_ids(dataset: Dataset, item: Item, classes: np.ndarray) -> np.ndarray:
    """ADE20K ids; Cityscapes label ids tell more than train ids, so they are used where they lie beside."""
    ids = item.label_path.with_name(item.label_path.name.replace("_labelTrainIds", "_labelIds"))
    if dataset.encoding is CITYSCAPES_IDS or (ids != item.label_path and ids.is_file()):
        values = read_values(ids)
        if values.shape == classes.shape:
            return table_to_ade(dataset.label_set, CITYSCAPES_IDS)[values]
    return table_to_ade(dataset.label_set)[classes]


def _existing(folder: Path, key: str) -> str | None:
    for file in sorted((folder / key).parent.glob(f"{Path(key).name}_*{IMAGE_END}.png")):
        return file.relative_to(folder).as_posix()[: -len(IMAGE_END) - 4]
    return None


def _write(path: Path, array: np.ndarray) -> None:
    with completed(path) as part:
        part.write_bytes(cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes())
