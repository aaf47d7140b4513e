"""Lost & Found (Pinggera et al. 2016), scored as SegmentMeIfYouCan's LostAndFound-testNoKnown.

Of the 1203 test frames 17 have labels without any content, and 143 show only persons and bicycles, which are known
classes; 1043 remain. Label ids: 0 = outside the labeled road, 1 = free road, 2 and above = obstacles.
"""

from __future__ import annotations

from ..dataset import Item
from ..encoding import Encoding
from ..layout import Format, Layout, folders

LABEL_IDS = Encoding(
    "Lost & Found label ids: 0 outside, 1 free road, 2..200 obstacles",
    {0: 255, 1: 0, **{value: 1 for value in range(2, 201)}, 255: 255},
)
TRAIN_IDS = Encoding(
    "Lost & Found train ids: 0 outside, 1 free road, 2 obstacle, 255 outside", {0: 255, 1: 0, 2: 1, 255: 255}
)

# Positions in the sorted list of all 1203 test (1036 training) frames whose labels are empty.
INVALID = {
    "test": (1203, (17, 37, 55, 72, 91, 110, 129, 153, 174, 197, 218, 353, 490, 618, 686, 792, 793)),
    "train": (1036, (44, 67, 88, 109, 131, 614)),
}
KNOWN_OBJECTS = (
    "15_Rechbergstr_Deckenpfronn",  # children
    "01_Hanns_Klemm_Str_45_000006",  # bicycle
    "01_Hanns_Klemm_Str_45_000007",  # bicycle
    "10_Schlossberg_9_000004",  # bicycle
)


def _select(items: list[Item], split: str) -> tuple[list[Item], list[str]]:
    items = sorted(items, key=lambda item: item.id.split("/")[-1])
    notes = []
    whole, invalid = INVALID[split]
    if len(items) == whole:
        items = [item for index, item in enumerate(items) if index not in invalid]
        notes.append(f"{len(invalid)} frames with empty labels excluded")
    else:
        notes.append(
            f"{len(items)} of {whole} frames are here, so the benchmark's list of frames with empty labels, which goes "
            "by position, does not apply; such frames have no pixel that counts"
        )
    if split == "test":
        kept = [item for item in items if not item.id.split("/")[-1].startswith(KNOWN_OBJECTS)]
        notes.append(f"{len(items) - len(kept)} frames with known objects (persons, bicycles) excluded")
        items = kept
    return items, notes


def _pairs(labels: str):
    return folders(
        "leftImg8bit/{split}",
        "gtCoarse/{split}",
        pattern="*/*",
        image_endings=("_leftImg8bit",),
        label_endings=(labels,),
    )


FORMAT = Format(
    name="lost_and_found",
    kind="anomaly",
    encoding=LABEL_IDS,
    splits=("test", "train"),
    published={"test": 1043, "train": 1030},
    folders=("dataset_LostAndFound", "LostAndFound", "lost_and_found"),
    hint="leftImg8bit.zip and gtCoarse.zip of the Lost and Found dataset",
    layouts=(
        Layout(
            "leftImg8bit/{split}/{scene}/{id}_leftImg8bit.png + gtCoarse/{split}/{scene}/{id}_gtCoarse_labelIds.png",
            _pairs("_gtCoarse_labelIds"),
        ),
        Layout(
            "leftImg8bit/{split}/{scene}/{id}_leftImg8bit.png + gtCoarse/{split}/…/{id}_gtCoarse_labelTrainIds.png",
            _pairs("_gtCoarse_labelTrainIds"),
            TRAIN_IDS,
        ),
    ),
    select=_select,
)
