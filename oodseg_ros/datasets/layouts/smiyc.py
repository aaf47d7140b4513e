"""SegmentMeIfYouCan: RoadAnomaly21 and RoadObstacle21. Test labels are hidden; those of the validation are public."""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import ANOMALY
from ..layout import Format, Layout, images_in

# The benchmark itself leaves these validation frames out.
EXCLUDED = tuple(f"validation_{number}" for number in (19, *range(21, 30)))
NIGHT = ("driveway",)
SNOW = ("snowstorm1", "snowstorm2")

_PATTERN = "images/{id}.{jpg,webp,png} + labels_masks/{id}_labels_semantic.png"
_HINT = "the download of segmentmeifyoucan.com, unpacked as it is"


def _find(root: Path, split: str) -> list[Item]:
    # Ids may hold dots (snowstorm1_00_16_02.578), so only the last suffix is cut off.
    items = []
    for path in images_in(root / "images"):
        label = root / "labels_masks" / f"{path.stem}_labels_semantic.png"
        items.append(Item(path.stem, path, label if label.is_file() else None))
    return items if (root / "labels_masks").is_dir() or any(i.id.startswith("validation") for i in items) else []


def _anomaly_split(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    validation = [item for item in items if item.id.startswith("validation")]
    chosen = {"val": validation, "test": [i for i in items if i not in validation], "all": items}[split]
    return chosen, _hidden_note(chosen)


def _obstacle_split(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    scene = {item.id: item.id.split("_")[0] for item in items}
    notes: list[str] = []
    if split == "val":
        validation = [item for item in items if scene[item.id] == "validation"]
        chosen = [item for item in validation if not item.id.startswith(EXCLUDED)]
        if len(chosen) < len(validation):
            notes.append(f"{len(validation) - len(chosen)} frames excluded by the benchmark (validation_19, 21 to 29)")
    elif split == "night":
        chosen = [item for item in items if scene[item.id] in NIGHT]
    elif split == "snowstorm":
        chosen = [item for item in items if scene[item.id] in SNOW]
    elif split == "test":
        chosen = [item for item in items if scene[item.id] not in (*NIGHT, *SNOW, "validation")]
    else:
        chosen = items
    return chosen, notes + _hidden_note(chosen)


def _hidden_note(items: list[Item]) -> list[str]:
    hidden = sum(item.label_path is None for item in items)
    return [f"{hidden} frames have no public ground truth and are never scored"] if hidden else []


ANOMALY_TRACK = Format(
    name="road_anomaly_21",
    kind="anomaly",
    encoding=ANOMALY,
    splits=("val", "test", "all"),
    published={"val": 10, "test": 100, "all": 110},
    hidden=("test",),
    folders=("dataset_AnomalyTrack",),
    hint=_HINT + " (dataset_AnomalyTrack)",
    layouts=(Layout(_PATTERN, _find),),
    select=_anomaly_split,
)
OBSTACLE_TRACK = Format(
    name="road_obstacle_21",
    kind="anomaly",
    encoding=ANOMALY,
    splits=("val", "test", "night", "snowstorm", "all"),
    published={"val": 30, "test": 327, "night": 30, "snowstorm": 55},
    hidden=("test", "night", "snowstorm"),
    folders=("dataset_ObstacleTrack",),
    hint=_HINT + " (dataset_ObstacleTrack)",
    layouts=(Layout(_PATTERN, _find),),
    select=_obstacle_split,
)
