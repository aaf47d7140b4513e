"""What ControlNet is shown: class ids as ADE20K colors, with the outline of an object."""

from __future__ import annotations

import numpy as np

from ...datasets.encoding import CITYSCAPES_IDS, Encoding
from ...labels import load_labels

BLACK = 255
"""ADE20K id of what has no class there; painted black."""

OBJECT_CLASSES = (
    *("bed", "cabinet", "door", "table", "chair", "sofa", "shelf", "armchair", "desk", "rock", "wardrobe", "lamp"),
    *("bathtub", "cushion", "box", "chest of drawers", "sink", "refrigerator", "pool table", "pillow", "bookcase"),
    *("coffee table", "toilet", "flower", "book", "bench", "stove", "computer", "swivel chair", "boat"),
    *("arcade machine", "towel", "television receiver", "airplane", "apparel", "ottoman", "bottle", "ship", "fountain"),
    *("washer", "plaything", "stool", "barrel", "basket", "tent", "bag", "cradle", "oven", "ball", "food", "tank"),
    *("microwave", "pot", "animal", "dishwasher", "screen", "blanket", "sculpture", "vase", "tray", "ashcan", "fan"),
    *("crt screen", "plate", "monitor", "radiator", "clock", "flag"),
)
"""ADE20K things that no driving label set knows. Our list: the published one of 82 is not in readable form."""

# Cityscapes label ids that have no train id, but a look of their own.
_MORE_IDS = {1: "road", 6: "road", 10: "railing", 14: "fence", 15: "bridge", 18: "pole", 29: "car", 30: "truck"}


def table_to_ade(label_set: str, encoding: Encoding | None = None) -> np.ndarray:
    """Look-up table uint8 `[256]` to ADE20K class ids, 255 = none.

    Args:
        label_set: of the class ids; with `encoding` of Cityscapes label ids, the table is for those instead, which
            also say where the own vehicle, bridges and guard rails are.

    Raises:
        ConfigError: ADE20K has no mapping from that label set.
    """
    ade = load_labels("ade20k")
    table = ade.map_from(label_set)
    if encoding is not CITYSCAPES_IDS:
        return table
    by_id = table[encoding.table]
    for value, name in _MORE_IDS.items():
        by_id[value] = ade.names.index(name)
    return by_id


def paint(ade_ids: np.ndarray, outline: np.ndarray, object_class: str) -> np.ndarray:
    """Control picture RGB uint8 `[H, W, 3]` of ADE20K ids uint8 `[H, W]`, with an object where `outline` is true."""
    ade = load_labels("ade20k")
    ids = np.where(outline, ade.names.index(object_class), ade_ids)
    return ade.palette()[ids]
