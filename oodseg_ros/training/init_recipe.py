"""A first recipe for somebody's own folder of images and masks: what was counted, and what was guessed and why."""

from __future__ import annotations

import colorsys
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ..bundle import load_bundle
from ..datasets.dataset import Item
from ..datasets.encoding import read_values
from ..datasets.registry import open_dataset
from ..errors import ConfigError, DatasetError, listed
from ..frame import OUTLIER
from ..labels import LabelSet, load_labels, parse_labels
from ..sources.image_files import read_image

BASE = "road_lite"
"""The shipped bundle whose backbone and decoder training starts from."""
MAX_READ = 200
"""Label files that are counted, spread over all."""
GROUND = ("road", "drivable", "street", "lane", "sidewalk", "pavement", "parking", "ground", "floor", "dirt", "asphalt")
OBJECTS = (
    *("car", "vehicle", "truck", "bus", "van", "train", "tram", "motorcycle", "bicycle", "two-wheeler", "bike"),
    *("person", "pedestrian", "people", "human", "rider", "bicyclist", "cyclist", "living", "sign", "traffic light"),
)
TRAINED = 0.8
"""Share of the pictures that is trained on, where the folder does not say."""
MIN_PICTURES = 3
"""Fewest pictures of which a fifth, rounded, is one."""
NAMELESS = "own_model"
"""Name of a recipe whose file has no letter or digit that a name may have."""
CLASS_FILES = ("labels.yaml", "classes.txt", "labels.txt")


@dataclass(frozen=True)
class FirstRecipe:
    """Text of both files, and what a person should know and check.

    Attributes:
        recipe, labels: YAML; `labels` is empty where an existing label set is used.
        facts: the same for scripts: `images`, `masks`, `size` (width, height), `shares` of the labelled pixels by
            class, `ground_classes`, `known_classes`, `outlier_values`.
    """

    recipe: str
    labels: str
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Counted:
    parts: tuple[np.ndarray, np.ndarray]
    """Pixels of what is trained on and of what is held out, int64 `[256]` by value."""
    below: np.ndarray
    """The same for the lower middle of the pictures, where the ground is."""
    sizes: dict[tuple[int, int], int]

    @property
    def pixels(self) -> np.ndarray:
        """Of both parts."""
        return self.parts[0] + self.parts[1]

    @classmethod
    def of(cls, parts: Sequence[list[Item]]) -> _Counted:
        """Read label files of both parts, spread over all."""
        counted = cls((np.zeros(256, np.int64), np.zeros(256, np.int64)), np.zeros(256, np.int64), {})
        total = sum(map(len, parts))
        for items, pixels in zip(parts, counted.parts, strict=True):
            most = min(len(items), max(1, round(MAX_READ * len(items) / total)))
            for index in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int)) if items else ():
                counted._add(items[index], pixels)
        return counted

    def _add(self, item: Item, pixels: np.ndarray) -> None:
        values = read_values(item.label_path)
        height, width = values.shape
        size = read_image(item.image_path).shape[:2]
        if size != (height, width):
            raise DatasetError(
                f"{item.image_path} is {size[1]}x{size[0]} pixels, its mask {item.label_path} is {width}x{height}; "
                "both must have the same size"
            )
        self.sizes[values.shape] = self.sizes.get(values.shape, 0) + 1
        pixels += np.bincount(values.ravel(), minlength=256)
        self.below[:] += np.bincount(values[height * 2 // 3 :, width // 3 : -(-width * 2 // 3)].ravel(), minlength=256)


def first_recipe(
    folder: Path, name: str, labels_file: str, labels: str = "", classes: Sequence[str] = ()
) -> FirstRecipe:
    """Read label files of `folder` and write a recipe for them.

    Args:
        folder: `images/` and `labels/` (or `masks/`) of equal names, or both below `train/` and `val/`.
        name: of the recipe and of the bundle; what a name may not hold is written otherwise.
        labels_file: how the recipe names the label file.
        labels: name or file of an existing label set of the ids; or
        classes: names in the order of the ids. Without both, `labels.yaml`, `classes.txt` or `labels.txt` in the
            folder is read, else classes are numbered.

    Raises:
        ConfigError, DatasetError: no such pictures, or values that are no class ids.
    """
    asked, name = name, valid_name(name)
    train, held_out, items, parts = _parts(folder)
    labelled = [item for part in parts for item in part]
    if len(labelled) < MIN_PICTURES:
        raise DatasetError(
            f"{folder}: {len(labelled)} images have a mask of the same name; at least {MIN_PICTURES} are needed, since "
            "some are held out for the threshold"
        )
    counted = _Counted.of(parts)
    values = [int(value) for value in np.flatnonzero(counted.pixels)]
    if min(values) >= OUTLIER:
        raise DatasetError(f"{folder}: no pixel of the masks has a class; all are {' or '.join(map(str, values))}")
    for part, pixels, keys in zip(
        ("train on", "choose the threshold on"), counted.parts, (train, held_out), strict=True
    ):
        if not pixels[:OUTLIER].any():
            where = ", ".join(f"{key} {value}" for key, value in keys.items())
            raise DatasetError(f"{folder}: no pixel of the masks to {part} ({where}) has a class; label some there")
    found, notes = _label_set(folder, name, values, labels, classes)
    used = [value for value in values if value < OUTLIER]
    shares = counted.pixels / max(1, counted.pixels[: len(found)].sum())
    height, width = max(counted.sizes, key=lambda size: counted.sizes[size])
    notes[:0] = [
        f"{len(items)} images, {len(labelled)} with a mask, most of {width}x{height}",
        "share of pixels: " + ", ".join(f"{found.names[value]} {shares[value]:.1%}" for value in used),
    ]
    if len(used) == 1:
        notes.append("one class only: every pixel will be called that; what is unknown can be learnt all the same")
    if unlabelled := len(items) - len(labelled):
        notes.append(f"{unlabelled} images without a mask are not used; `dataset: frames` can use them")
    if absent := [entry for index, entry in enumerate(found.names) if index not in used]:
        notes.append(f"without any pixel in the files that were read: {', '.join(absent)}")
    ground = list(found.ground) or _ground(found, counted, notes)
    known = [entry for entry in found.names if _means(entry, OBJECTS)]
    notes.append(
        f"guessed as objects that may be pasted as what they are (`known_classes`): {', '.join(known) or 'none'}"
    )
    outlier_values = [OUTLIER] if OUTLIER in values else []
    if outlier_values:
        notes.append("value 254 is taken as unknown objects that somebody annotated (`outlier_values`)")
    if name != asked:
        notes.append(f"the bundle will be called {name}: {asked!r} cannot be a bundle's name")
    own = not labels
    label_set = labels_file if own else labels
    spec = {"dataset": "folder", "root": str(folder.resolve()), "labels": label_set}
    if outlier_values:
        spec["outlier_values"] = outlier_values
    recipe = _recipe(name, label_set, len(found), (height, width), len(labelled), ground, known)
    recipe["data"] = [spec | train]
    recipe["calibration"]["data"] = [{key: value for key, value in spec.items() if key != "outlier_values"} | held_out]
    if outlier_values:
        recipe["calibration"]["data"] = [spec | held_out]
    notes.append("held out for the threshold: " + ", ".join(f"{key} {value}" for key, value in held_out.items()))
    facts = {
        "images": len(items),
        "masks": len(labelled),
        "size": (width, height),
        "shares": {found.names[value]: float(shares[value]) for value in used},
        "ground_classes": ground,
        "known_classes": known,
        "outlier_values": outlier_values,
    }
    return FirstRecipe(_HEADER + _yaml(recipe), _yaml(_label_file(found, ground)) if own else "", notes, facts)


def valid_name(text: str) -> str:
    """What `text` becomes as the name of a bundle (`model_card.check_name`): letters without accents, `_` for the rest.

    >>> valid_name("été 2")
    'ete_2'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "_", plain).lstrip("._-")[:64] or NAMELESS


_HEADER = """\
# Written by `oodseg init-recipe`; every key is described in docs/training.md. Check ground_classes and known_classes,
# and state the licence: it goes into the bundle.
# Photographs of unknown objects make it better than shapes alone: outliers.cutouts: [{root: FOLDER_OF_RGBA_PNGS}]
"""


def _recipe(
    name: str, label_set: str, count: int, size: tuple[int, int], frames: int, ground: list[str], known: list[str]
) -> dict:
    base = load_bundle(BASE).card
    multiple = base.input.multiple
    crop = [min(most, side // multiple * multiple) for most, side in zip((320, 576), size, strict=True)]
    if min(crop) < multiple:
        raise DatasetError(f"images of {size[1]}x{size[0]} are too small; at least {multiple}x{multiple} is needed")
    return {
        "name": name,
        "label_set": label_set,
        "start": BASE,
        "start_parts": ["backbone", "decoder"],
        "network": {
            "backbone": base.network["backbone"],
            "decoder": base.network["decoder"],
            "classifier": {"name": "linear", "classes": count},
            "head": {"name": "residual_feature", "levels": [1, 2, 3], "width": 64, "rates": [3, 6, 12]},
            "score": "residual_energy",
        },
        "input": base.input.model_dump(mode="json", exclude_none=True, exclude={"channels"}),
        "crop": crop,
        "widths": [max(crop[1], round(0.75 * size[1])), max(crop[1], 2 * size[1])],
        "data": [],
        "outliers": {"shapes": 1.0, "ground_classes": ground, "known_classes": known},
        "stages": [
            {
                **{"method": "inlier", "steps": int(np.clip(2 * frames, 200, 3000)), "batch": 6, "lr": 1.0e-3},
                **{"weight_decay": 1.0e-4, "warmup": 20, "backbone_lr": 0.1, "loss_stride": 2, "unknowns": False},
            },
            {
                **{"method": "rpl", "steps": 200, "batch": 6, "optimizer": "adam", "lr": 5.0e-4},
                **{"power": 0.9, "warmup": 20, "loss_stride": 2},
            },
        ],
        "calibration": {"data": [], "false_positive_rate": 0.001, "frames": int(np.clip(frames // 5, 10, 100))},
        "licence": {"weights": "not stated", "data": "not stated"},
    }


def _parts(folder: Path) -> tuple[dict, dict, list[Item], tuple[list[Item], list[Item]]]:
    """Keys that name the training and the held-out part, all frames, and those of either part that have a mask."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is no folder")
    for first, second in (("train", "val"), ("train", "valid"), ("train", "test"), ("training", "validation")):
        try:
            items = [list(open_dataset("folder", folder, split).items) for split in (first, second)]
        except DatasetError:
            continue
        parts = tuple([item for item in part if item.label_path is not None] for part in items)
        return {"split": first}, {"split": second}, [item for part in items for item in part], parts
    items = list(open_dataset("folder", folder).items)
    labelled = [item for item in items if item.label_path is not None]
    cut = round(TRAINED * len(labelled))
    return {"part": [0.0, TRAINED]}, {"part": [TRAINED, 1.0]}, items, (labelled[:cut], labelled[cut:])


def _label_set(
    folder: Path, name: str, values: list[int], labels: str, classes: Sequence[str]
) -> tuple[LabelSet, list[str]]:
    notes = []
    file = next((folder / entry for entry in CLASS_FILES if (folder / entry).is_file()), None)
    if labels or (not classes and file is not None and file.suffix == ".yaml"):
        found = load_labels(labels or str(file))
        notes.append(f"classes from {labels or file}")
    else:
        names = list(classes)
        if not names and file is not None:
            names = [line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
            notes.append(f"classes from {file}")
        if not names:
            ids = [value for value in values if value < OUTLIER]
            if set(ids) <= {0, 1}:
                raise ConfigError(
                    f"{folder}: the masks hold only {', '.join(map(str, values))}. If 1 marks unknown objects, this is "
                    "a set for `oodseg evaluate` and `oodseg calibrate`; if these are two classes, name them: "
                    "--classes FIRST,SECOND"
                )
            if 2 * len(ids) <= max(ids):
                raise ConfigError(
                    f"{folder}: the masks hold {listed(ids)}, which look like "
                    "grey levels and not like class ids 0, 1, 2, …; write ids, or name all of them: --classes NAMES in "
                    f"the order of the ids, 0 to {max(ids)}, or --labels with a label set that has them"
                )
            names = [f"class_{index}" for index in range(max(ids) + 1)]
            notes.append("no class names given: numbered; give --classes, or a classes.txt in the folder")
        found = parse_labels(_label_file(LabelSet(name, tuple(names), _colors(len(names)))), "the classes")
    if strange := [value for value in values if len(found) <= value < OUTLIER]:
        raise ConfigError(
            f"{folder}: the masks hold {listed(strange)}, but there are {len(found)} classes "
            f"(ids 0 to {len(found) - 1}; 254 = unknown object, 255 = not labelled)"
        )
    return found, notes


def _ground(labels: LabelSet, counted: _Counted, notes: list[str]) -> list[str]:
    if named := [entry for entry in labels.names if _means(entry, GROUND)]:
        notes.append(f"guessed as the ground, by name (`ground_classes`): {', '.join(named)}")
        return named
    seen, where = counted.below[: len(labels)], "the lower middle of the pictures"
    if not seen.any():
        seen, where = counted.pixels[: len(labels)], "what is labelled, and nothing is in the lower middle"
    guess = int(np.argmax(seen))
    notes.append(
        f"guessed as the ground (`ground_classes`): {labels.names[guess]}, which covers {seen[guess] / seen.sum():.0%} "
        f"of {where}; no class has the name of one"
    )
    return [labels.names[guess]]


def _means(name: str, words: Sequence[str]) -> bool:
    plain = re.sub(r"[_-]", " ", name.lower())
    if re.match(r"(non|no|not)\b", plain):
        return False
    return any(re.search(rf"\b{re.escape(word.replace('-', ' '))}s?\b", plain) for word in words)


def _colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Different colours, the same in every call."""
    return tuple(
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(index * 0.618 % 1, 0.65, 0.9 - 0.3 * (index % 2)))
        for index in range(count)
    )


def _label_file(labels: LabelSet, ground: Sequence[str] = ()) -> dict:
    classes = [{"name": name, "color": list(color)} for name, color in zip(labels.names, labels.colors, strict=True)]
    known = {"ground": list(ground)} if ground else {}
    return {"name": labels.name, "classes": classes} | known | ({"from": labels.mappings} if labels.mappings else {})


def _yaml(data: dict) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
