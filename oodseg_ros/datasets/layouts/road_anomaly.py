"""RoadAnomaly (Lis et al. 2019): 60 images of unusual things on roads, 1280x720, no ignore region."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import DatasetError, why
from ..dataset import Item
from ..encoding import Encoding
from ..layout import Format, Layout, images_in, paired

# The published label pictures mark anomalies with 2.
SEMANTIC = Encoding("0 normal, 2 anomaly", {0: 0, 2: 1})


def _published(root: Path, split: str) -> list[Item]:
    """`frames/{name}.jpg` with `frames/{name}.labels/labels_semantic.png`; `frame_list.json` says which."""
    images = images_in(root / "frames")
    items = [Item(p.stem, p, _label(p.with_suffix(".labels") / "labels_semantic.png")) for p in images]
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


def _split_folders(root: Path, split: str) -> list[Item]:
    images = images_in(root / "images" / "val")
    labels = root / "annotations" / "val"
    items = [Item(p.stem, p, _label(labels / f"{p.stem}.labels" / "labels_semantic.png")) for p in images]
    return items if any(item.label_path for item in items) else []


def _label(path: Path) -> Path | None:
    return path if path.is_file() else None


ROAD_ANOMALY = Format(
    name="road_anomaly",
    splits=("test",),
    published={"test": 60},
    folders=("RoadAnomaly_jpg", "RoadAnomaly", "road_anomaly"),
    hint="RoadAnomaly_jpg.zip of EPFL's CVLab, or a repack with 0/1 labels",
    layouts=(
        Layout("frames/{name}.jpg + frames/{name}.labels/labels_semantic.png", _published, SEMANTIC),
        Layout("images/val/{name}.jpg + annotations/val/{name}.labels/labels_semantic.png", _split_folders, SEMANTIC),
        paired("original/{name}.jpg + labels/{name}.png"),
        paired("images/{name}.jpg + labels/{name}.png"),
    ),
)

FORMATS = (ROAD_ANOMALY,)
