"""Benchmarks of real scenes with unknown objects.

RoadAnomaly (Lis et al. 2019): 60 images of unusual things on roads, 1280x720, no ignore region.

SegmentMeIfYouCan: RoadAnomaly21 and RoadObstacle21. Test labels are hidden; those of the validation are public.

Fishyscapes validation sets: Lost & Found (100 frames) and Static (30), 2048x1024; 255 = void, ego and borders.

Lost & Found (Pinggera et al. 2016), scored as SegmentMeIfYouCan's LostAndFound-testNoKnown.

Of the 1203 test frames 17 have labels without any content, and 143 show only persons and bicycles, which are known
classes; 1043 remain. Label ids: 0 = outside the labeled road, 1 = free road, 2 and above = obstacles.
"""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import DatasetError, why
from ..dataset import Item
from ..encoding import Encoding
from ..layout import Format, Layout, images_in, paired

# The published label pictures mark anomalies with 2.
TWO_IS_ANOMALY = Encoding("0 normal, 2 anomaly", {0: 0, 2: 1})


def _road_anomaly(root: Path, split: str) -> list[Item]:
    """`frames/{name}.jpg` with `frames/{name}.labels/labels_semantic.png`; `frame_list.json` says which."""
    images = images_in(root / "frames")
    items = [Item(p.stem, p, _if_there(p.with_suffix(".labels") / "labels_semantic.png")) for p in images]
    listing = root / "frame_list.json"
    if items and listing.is_file():
        try:
            wanted = {Path(str(name)).stem for name in json.loads(listing.read_text())}
        except (ValueError, TypeError, OSError) as error:
            raise DatasetError(f"{listing} is no JSON list of file names ({why(error)}); download it again") from error
        items = [item for item in items if item.id in wanted]
        missing = sorted(wanted - {item.id for item in items})
        if missing:
            raise DatasetError(
                f"{listing} names {len(missing)} frames that are not in {root / 'frames'}, e.g. {missing[0]}; "
                "download the dataset again"
            )
    return items if any(item.label_path for item in items) else []


def _split_labels(root: Path, split: str) -> list[Item]:
    images = images_in(root / "images" / "val")
    labels = root / "annotations" / "val"
    items = [Item(p.stem, p, _if_there(labels / f"{p.stem}.labels" / "labels_semantic.png")) for p in images]
    return items if any(item.label_path for item in items) else []


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


ROAD_ANOMALY = Format(
    name="road_anomaly",
    splits=("test",),
    published={"test": 60},
    folders=("RoadAnomaly_jpg", "RoadAnomaly", "road_anomaly"),
    hint="RoadAnomaly_jpg.zip of EPFL's CVLab, or a repack with 0/1 labels",
    layouts=(
        Layout("frames/{name}.jpg + frames/{name}.labels/labels_semantic.png", _road_anomaly, TWO_IS_ANOMALY),
        Layout(
            "images/val/{name}.jpg + annotations/val/{name}.labels/labels_semantic.png", _split_labels, TWO_IS_ANOMALY
        ),
        paired("original/{name}.jpg + labels/{name}.png"),
        paired("images/{name}.jpg + labels/{name}.png"),
    ),
)


# The benchmark itself leaves these validation frames out.
SMIYC_EXCLUDED = tuple(f"validation_{number}" for number in (19, *range(21, 30)))
SMIYC_NIGHT = ("driveway",)
SMIYC_SNOW = ("snowstorm1", "snowstorm2")

_SMIYC_PATTERN = "images/{id}.{jpg,webp,png} + labels_masks/{id}_labels_semantic.png"
_SMIYC_HINT = "the download of segmentmeifyoucan.com, unpacked as it is"


def _find_smiyc(root: Path, split: str) -> list[Item]:
    # Ids may hold dots (snowstorm1_00_16_02.578), so only the last suffix is cut off.
    items = []
    for path in images_in(root / "images"):
        items.append(Item(path.stem, path, _if_there(root / "labels_masks" / f"{path.stem}_labels_semantic.png")))
    return items if (root / "labels_masks").is_dir() or any(i.id.startswith("validation") for i in items) else []


def _smiyc_anomaly_split(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    validation = [item for item in items if item.id.startswith("validation")]
    chosen = {"val": validation, "test": [i for i in items if i not in validation], "all": items}[split]
    return chosen, _smiyc_hidden_note(chosen)


def _smiyc_obstacle_split(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    scene = {item.id: item.id.split("_")[0] for item in items}
    notes: list[str] = []
    if split == "val":
        validation = [item for item in items if scene[item.id] == "validation"]
        chosen = [item for item in validation if not item.id.startswith(SMIYC_EXCLUDED)]
        if len(chosen) < len(validation):
            notes.append(f"{len(validation) - len(chosen)} frames excluded by the benchmark (validation_19, 21 to 29)")
    elif split == "night":
        chosen = [item for item in items if scene[item.id] in SMIYC_NIGHT]
    elif split == "snowstorm":
        chosen = [item for item in items if scene[item.id] in SMIYC_SNOW]
    elif split == "test":
        chosen = [item for item in items if scene[item.id] not in (*SMIYC_NIGHT, *SMIYC_SNOW, "validation")]
    else:
        chosen = items
    return chosen, notes + _smiyc_hidden_note(chosen)


def _smiyc_hidden_note(items: list[Item]) -> list[str]:
    hidden = sum(item.label_path is None for item in items)
    return [f"{hidden} frames have no public ground truth and are never scored"] if hidden else []


ROAD_ANOMALY_21 = Format(
    name="road_anomaly_21",
    splits=("val", "test", "all"),
    published={"val": 10, "test": 100, "all": 110},
    hidden=("test",),
    folders=("dataset_AnomalyTrack",),
    hint=_SMIYC_HINT + " (dataset_AnomalyTrack)",
    layouts=(Layout(_SMIYC_PATTERN, _find_smiyc),),
    select=_smiyc_anomaly_split,
)
ROAD_OBSTACLE_21 = Format(
    name="road_obstacle_21",
    splits=("val", "test", "night", "snowstorm", "all"),
    published={"val": 30, "test": 327, "night": 30, "snowstorm": 55},
    hidden=("test", "night", "snowstorm"),
    folders=("dataset_ObstacleTrack",),
    hint=_SMIYC_HINT + " (dataset_ObstacleTrack)",
    layouts=(Layout(_SMIYC_PATTERN, _find_smiyc),),
    select=_smiyc_obstacle_split,
)


# Where SMIYC's tools and others put the images of Lost & Found, relative to the folder that holds the labels.
_FISHYSCAPES_LAF_IMAGES = (
    "laf_images/{id}_leftImg8bit.*",
    "images/val/{id}*.*",
    "images/{id}*.*",
    "leftImg8bit/*/*/{id}_leftImg8bit.*",
    "../dataset_LostAndFound/leftImg8bit/*/*/{id}_leftImg8bit.*",
    "../LostAndFound/leftImg8bit/*/*/{id}_leftImg8bit.*",
    "../laf_images/{id}_leftImg8bit.*",
)


def _fishyscapes_by_label(labels: str, pattern: str, prefix: int, ending: str):
    """Frames named by their labels: `prefix` characters and `ending` cut off give the Lost & Found id."""

    def find(root: Path, split: str) -> list[Item]:
        items = []
        for path in images_in(root / labels, pattern):
            name = path.stem[prefix : -len(ending)]
            image = _fishyscapes_search(root, name)
            if image:
                items.append(Item(name, image, path))
        return items

    return find


def _fishyscapes_search(root: Path, name: str) -> Path | None:
    for place in _FISHYSCAPES_LAF_IMAGES:
        pattern = place.format(id=name)
        start = root.parent if pattern.startswith("../") else root
        found = sorted(start.glob(pattern.removeprefix("../")))
        if found:
            return found[0]
    return None


def _fishyscapes_static(root: Path, split: str) -> list[Item]:
    """`{id}_labels.png` with `{id}_rgb.png` beside it or in the image folder; the newest version that is complete."""
    items: list[Item] = []
    for folder in (*sorted(root.glob("fs_val_v*"), reverse=True), *sorted(root.glob("fs_static_images_v*")), root):
        version = folder.name.rsplit("_", 1)[-1]
        places = [root / f"fs_static_images_{version}", folder]
        for path in images_in(folder, "*_labels.png"):
            name = path.stem.removesuffix("_labels")
            image = next((p for place in places if (p := place / f"{name}_rgb.png").is_file()), None)
            if image:
                items.append(Item(name, image, path))
        if items:
            break
    return items


FISHYSCAPES_LAF = Format(
    name="fishyscapes_laf",
    splits=("val",),
    published={"val": 100},
    folders=("Fishyscapes", "fishyscapes", "LostAndFound", "fishyscapes/LostAndFound", "dataset_FishyLAF", "laf"),
    hint="labels from fishyscapes.com (`labels`, not `labels_with_ROI`) and the images of Lost & Found",
    layouts=(
        Layout(
            "fishyscapes_lostandfound/0000_{id}_labels.png + laf_images/{id}_leftImg8bit.png",
            _fishyscapes_by_label("fishyscapes_lostandfound", "*_labels.png", 5, "_labels"),
        ),
        Layout(
            "labels/val/{id}_fishy-labels.png + images of Lost & Found beside it",
            _fishyscapes_by_label("labels/val", "*_fishy-labels.png", 0, "_fishy-labels"),
        ),
        paired("images/val/{id}_leftImg8bit.png + annotations/val/{id}_labels.png"),
        paired("original/{k}.png + labels/{k}.png"),
        paired("images/{k}.png + labels/{k}.png"),
    ),
)
FISHYSCAPES_STATIC = Format(
    name="fishyscapes_static",
    splits=("val",),
    published={"val": 30},
    folders=("Fishyscapes", "fishyscapes", "Static", "fishyscapes/Static", "fishyscapes_static", "static"),
    hint="built from Cityscapes and the .npz differences of fishyscapes.com",
    layouts=(
        Layout("fs_val_v2/{id}_labels.png + fs_static_images_v2/{id}_rgb.png (or in one folder)", _fishyscapes_static),
        paired(
            "images/val/{id}_leftImg8bit.png + annotations/val/{id}_labels.png",
            image_endings=("_leftImg8bit", "_rgb"),
        ),
        paired("original/{k}.png + labels/{k}.png"),
        paired("images/{k}.png + labels/{k}.png"),
    ),
)


LOST_AND_FOUND_LABEL_IDS = Encoding(
    "Lost & Found label ids: 0 outside, 1 free road, 2..200 obstacles",
    {0: 255, 1: 0, **{value: 1 for value in range(2, 201)}, 255: 255},
)
LOST_AND_FOUND_TRAIN_IDS = Encoding(
    "Lost & Found train ids: 0 outside, 1 free road, 2 obstacle, 255 outside", {0: 255, 1: 0, 2: 1, 255: 255}
)

# Positions in the sorted list of all 1203 test (1036 training) frames whose labels are empty.
LOST_AND_FOUND_INVALID = {
    "test": (1203, (17, 37, 55, 72, 91, 110, 129, 153, 174, 197, 218, 353, 490, 618, 686, 792, 793)),
    "train": (1036, (44, 67, 88, 109, 131, 614)),
}
LOST_AND_FOUND_KNOWN_OBJECTS = (
    "15_Rechbergstr_Deckenpfronn",  # children
    "01_Hanns_Klemm_Str_45_000006",  # bicycle
    "01_Hanns_Klemm_Str_45_000007",  # bicycle
    "10_Schlossberg_9_000004",  # bicycle
)


def _lost_and_found_select(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    items = sorted(items, key=lambda item: item.id.split("/")[-1])
    notes = []
    whole, invalid = LOST_AND_FOUND_INVALID[split]
    if len(items) == whole:
        items = [item for index, item in enumerate(items) if index not in invalid]
        notes.append(f"{len(invalid)} frames with empty labels excluded")
    else:
        notes.append(
            f"{len(items)} of {whole} frames are here, so the benchmark's list of frames with empty labels, which goes "
            "by position, does not apply; such frames have no pixel that counts"
        )
    if split == "test":
        kept = [item for item in items if not item.id.split("/")[-1].startswith(LOST_AND_FOUND_KNOWN_OBJECTS)]
        notes.append(f"{len(items) - len(kept)} frames with known objects (persons, bicycles) excluded")
        items = kept
    return items, notes


LOST_AND_FOUND = Format(
    name="lost_and_found",
    encoding=LOST_AND_FOUND_LABEL_IDS,
    splits=("test", "train"),
    published={"test": 1043, "train": 1030},
    folders=("dataset_LostAndFound", "LostAndFound", "lost_and_found"),
    hint="leftImg8bit.zip and gtCoarse.zip of the Lost and Found dataset",
    layouts=(
        paired(
            "leftImg8bit/{split}/{scene}/{id}_leftImg8bit.png + gtCoarse/{split}/{scene}/{id}_gtCoarse_labelIds.png"
        ),
        paired(
            "leftImg8bit/{split}/{scene}/{id}_leftImg8bit.png + gtCoarse/{split}/…/{id}_gtCoarse_labelTrainIds.png",
            LOST_AND_FOUND_TRAIN_IDS,
        ),
    ),
    select=_lost_and_found_select,
)


FORMATS = (ROAD_ANOMALY, ROAD_ANOMALY_21, ROAD_OBSTACLE_21, FISHYSCAPES_LAF, FISHYSCAPES_STATIC, LOST_AND_FOUND)
