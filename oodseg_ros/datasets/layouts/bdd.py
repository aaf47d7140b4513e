"""BDD100K semantic segmentation (10K images): 7000 / 1000 / 2000 frames, 1280x720, Cityscapes train ids."""

from __future__ import annotations

from ..encoding import CITYSCAPES_TRAIN_IDS
from ..layout import NO_SPLITS, Format, Layout, folders

FORMAT = Format(
    name="bdd",
    kind="semantic",
    label_set="cityscapes19",
    encoding=CITYSCAPES_TRAIN_IDS,
    splits=("val", "train", "test"),
    published={"train": 7000, "val": 1000, "test": 2000},
    hidden=("test",),
    folders=("bdd100k", "bdd"),
    hint="`10K Images` and `Segmentation` of bdd100k.com",
    layouts=(
        Layout(
            "images/10k/{split}/{id}.jpg + labels/sem_seg/masks/{split}/{id}.png",
            folders("images/10k/{split}", "labels/sem_seg/masks/{split}"),
        ),
        Layout(
            "seg/images/{split}/{id}.jpg + seg/labels/{split}/{id}_train_id.png",
            folders("seg/images/{split}", "seg/labels/{split}", label_endings=("_train_id",)),
        ),
        Layout(
            "images/10k/test/{id}.jpg (test: no labels)",
            lambda root, split: (
                folders("images/10k/{split}", "none", needs_labels=False)(root, split) if split == "test" else []
            ),
        ),
        Layout(f"images/{{id}}.jpg + labelTrainIds/{{id}}.png {NO_SPLITS}", folders("images", "labelTrainIds")),
    ),
)
