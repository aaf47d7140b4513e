"""Ground truth of a bag's frames: masks on a topic of the bag, or in a folder, by time stamp."""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..datasets.encoding import read_values
from ..errors import BagError, DatasetError, listed
from ..sources.bag_messages import ReplayBag
from ..sources.video_packets import stamp_of

VALUES = {0, 1, 255}


class Truth:
    """Masks uint8 `[H, W]` with 0 normal, 1 anomaly, 255 void, looked up by header stamp.

    Args:
        masks: stamp in nanoseconds → a function that reads the mask.
        tolerance_ns: how far a mask's stamp may be from the frame's.
        note: what of the source is no mask, "" = nothing.
    """

    def __init__(self, masks: dict[int, Callable[[], np.ndarray]], tolerance_ns: int, note: str = "") -> None:
        self._masks = masks
        self._note = note
        self._met: set[int] = set()
        self._stamps = sorted(masks)
        self._tolerance_ns = tolerance_ns

    def __len__(self) -> int:
        return len(self._stamps)

    @property
    def notes(self) -> list[str]:
        """What of it was not used so far, for people."""
        found = [self._note] if self._note else []
        if len(self._met) < len(self):
            found.append(
                f"{len(self._met)} of {len(self)} masks belong to a frame that was read; the others are more than "
                f"{self._tolerance_ns / 1e9:g} s from any"
            )
        return [f"ground truth: {text}" for text in found]

    def meet(self, stamp_ns: int) -> int | None:
        """Stamp of the mask nearest in time to a frame's, None if none is near enough."""
        place = bisect_left(self._stamps, stamp_ns)
        near = [self._stamps[i] for i in (place - 1, place) if 0 <= i < len(self._stamps)]
        near = [stamp for stamp in near if abs(stamp - stamp_ns) <= self._tolerance_ns]
        if not near:
            return None
        nearest = min(near, key=lambda stamp: abs(stamp - stamp_ns))
        self._met.add(nearest)
        return nearest

    def find(self, stamp_ns: int) -> np.ndarray | None:
        """The mask nearest in time, None if none is near enough.

        Raises:
            DatasetError: it cannot be read, or holds other values.
        """
        nearest = self.meet(stamp_ns)
        if nearest is None:
            return None
        mask = self._masks[nearest]()
        wrong = set(np.unique(mask).tolist()) - VALUES
        if wrong:
            raise DatasetError(f"the mask at {stamp_ns} ns holds {sorted(wrong)[:5]}; masks hold 0, 1 and 255")
        return mask


def truth_from_folder(folder: Path, tolerance_ns: int = 1_000_000) -> Truth:
    """Masks `<anything><stamp in nanoseconds>.png`: the last group of digits in the name is the stamp.

    Raises:
        DatasetError: no file in the folder has such a name.
    """
    masks, unused = {}, []
    for file in sorted(folder.glob("*.png")):
        digits = re.findall(r"\d+", file.stem)
        if not digits or int(digits[-1]) in masks:
            unused.append(file.name)
        else:
            masks[int(digits[-1])] = lambda file=file: read_values(file)
    if not masks:
        raise DatasetError(f"{folder} holds no mask named <stamp in nanoseconds>.png")
    note = f"not used, no stamp in the name or that of another file: {listed(unused, 3)}" if unused else ""
    return Truth(masks, tolerance_ns, note)


def truth_from_topic(bag: ReplayBag, topic: str, tolerance_ns: int = 1_000_000) -> Truth:
    """Masks of a mono8 `sensor_msgs/Image` topic; kept packed, a few kilobytes each.

    Raises:
        BagError: the bag lacks the topic, or a message is no mono8 image.
    """
    if bag.topics.get(topic) != "sensor_msgs/msg/Image":
        known = (
            ", ".join(sorted(name for name, kind in bag.topics.items() if kind == "sensor_msgs/msg/Image")) or "none"
        )
        raise BagError(f"bag {bag.path} has no sensor_msgs/Image on {topic}; it has: {known}")
    masks = {}
    for raw in bag.messages({topic}):
        message = bag.parse(raw)
        if message.encoding not in ("mono8", "8UC1") or message.data.size < message.step * message.height:
            raise BagError(f"{topic}: ground truth must be complete mono8 images, got {message.encoding}")
        rows = np.asarray(message.data, np.uint8)[: message.step * message.height].reshape(message.height, message.step)
        packed, shape = zlib.compress(rows[:, : message.width].tobytes(), 1), (message.height, message.width)
        masks[stamp_of(message)[0]] = lambda packed=packed, shape=shape: np.frombuffer(
            zlib.decompress(packed), np.uint8
        ).reshape(shape)
    return Truth(masks, tolerance_ns)
