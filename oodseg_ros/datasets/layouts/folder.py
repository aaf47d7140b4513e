"""Any pair of folders `images/` and `labels/` with equal file stems: labels 0/1/255, or class ids of a label set."""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import ANOMALY
from ..layout import Format, Layout, folders, images_in


def _find(labels: str):
    """With a split, `{split}/images` or `images/{split}`; without, the folders themselves, at most one level deep."""

    def find(root: Path, split: str) -> list[Item]:
        if split:
            return folders("{split}/images", f"{{split}}/{labels}")(root, split) or folders(
                "images/{split}", f"{labels}/{{split}}"
            )(root, split)
        return folders("images", labels)(root, split) or folders("images", labels, pattern="*/*")(root, split)

    return find


def _alone(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    """Everything is kept; label files without a picture are told: pictures that were moved, or cannot be seen."""
    labeled = [(item.id, item.label_path) for item in items if item.label_path]
    roots = {path.parents[name.count("/")] for name, path in labeled}
    used = {path for _, path in labeled}
    alone = [file for root in sorted(roots) for file in images_in(root, "**/*") if file not in used]
    return items, [f"{len(alone)} label files have no picture, e.g. {alone[0]}"] if alone else []


FORMAT = Format(
    name="folder",
    kind="anomaly",
    encoding=ANOMALY,
    splits=("",),
    select=_alone,
    hint="put pictures into images/ and label PNGs (0 normal, 1 anomaly, 255 ignore) of the same names into labels/",
    layouts=(
        Layout("images/{id}.jpg + labels/{id}.png", _find("labels")),
        Layout("images/{id}.jpg + masks/{id}.png", _find("masks")),
    ),
)
TRAIN_IDS = Layout("images/{id}.jpg + labelTrainIds/{id}.png", _find("labelTrainIds"))
"""Also recognized: class ids whose label set the folder's name tells."""
