"""Any pair of folders `images/` and `labels/` with equal file stems: labels 0/1/255, or class ids of a label set."""

from __future__ import annotations

from pathlib import Path

from ..dataset import Item
from ..encoding import ANOMALY
from ..layout import Format, Layout, folders


def _find(labels: str):
    """With a split, `{split}/images` or `images/{split}`; without, the folders themselves, at most one level deep."""

    def find(root: Path, split: str) -> list[Item]:
        if split:
            return folders("{split}/images", f"{{split}}/{labels}")(root, split) or folders(
                "images/{split}", f"{labels}/{{split}}"
            )(root, split)
        return folders("images", labels)(root, split) or folders("images", labels, pattern="*/*")(root, split)

    return find


FORMAT = Format(
    name="folder",
    kind="anomaly",
    encoding=ANOMALY,
    splits=("",),
    hint="put pictures into images/ and label PNGs (0 normal, 1 anomaly, 255 ignore) of the same names into labels/",
    layouts=(
        Layout("images/{id}.jpg + labels/{id}.png", _find("labels")),
        Layout("images/{id}.jpg + masks/{id}.png", _find("masks")),
    ),
)
TRAIN_IDS = Layout("images/{id}.jpg + labelTrainIds/{id}.png", _find("labelTrainIds"))
"""Also recognized: class ids whose label set the folder's name tells."""
