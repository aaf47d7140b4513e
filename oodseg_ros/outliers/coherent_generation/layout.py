"""What is asked for: outlines, their place on the road, class ids as ADE20K colors for ControlNet, and the prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ...datasets.encoding import CITYSCAPES_IDS, Encoding, read_values
from ...datasets.layout import images_in
from ...errors import DatasetError
from ...labels import load_labels

MIN_PIXELS = 1000
"""A smaller component tells no shape."""


@dataclass(frozen=True)
class Outline:
    """What is to appear on the road.

    Attributes:
        mask: bool `[h, w]`, cropped to the object.
        name: for the prompt, e.g. `armchair`.
        ade_class: ADE20K class whose color it is painted in.
    """

    mask: np.ndarray
    name: str
    ade_class: str


class AdeOutlines:
    """Objects of the ADE20K scene parsing annotations (`ADEChallengeData2016/annotations/training/*.png`, id + 1)."""

    def __init__(self, folder: Path) -> None:
        """Raises DatasetError for a folder without annotations."""
        self._files = images_in(folder, "*.png")
        if not self._files:
            raise DatasetError(f"no ADE20K annotation (*.png) in {folder}")
        names = load_labels("ade20k").names
        self._ids = {names.index(name) + 1: name for name in OBJECT_CLASSES}

    def draw(self, rng: np.random.Generator) -> Outline:
        """A random object of a random picture.

        Raises:
            DatasetError: none of many pictures shows an object.
        """
        for _ in range(200):
            values = read_values(self._files[int(rng.integers(len(self._files)))])
            present = [value for value in np.unique(values).tolist() if value in self._ids]
            if not present:
                continue
            value = present[int(rng.integers(len(present)))]
            mask = _component(rng, values == value)
            if mask is not None:
                return Outline(mask, self._ids[value], self._ids[value])
        raise DatasetError(f"no object of at least {MIN_PIXELS} pixels in 200 pictures of {self._files[0].parent}")


class CutoutOutlines:
    """Objects of a folder of RGBA cut-outs whose `cutouts.json` names classes; animals are painted as `animal`."""

    def __init__(self, folder: Path, exclude: tuple[str, ...] = ()) -> None:
        """Raises DatasetError for a folder without named cut-outs."""
        index = folder / "cutouts.json"
        try:
            entries = json.loads(index.read_text())
            self._entries = [
                (folder / entry["file"], entry["cls"], entry.get("kind", ""))
                for entry in entries
                if not {entry["cls"], entry.get("kind")} & set(exclude)
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{index} must list the `file`, `cls` and `kind` of every cut-out: {error!r}") from error
        if not self._entries:
            raise DatasetError(f"{index} names no cut-out that is not excluded")

    def draw(self, rng: np.random.Generator) -> Outline:
        """A random object.

        Raises:
            DatasetError: its file cannot be read or has no alpha.
        """
        file, name, kind = self._entries[int(rng.integers(len(self._entries)))]
        rgba = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if rgba is None or rgba.ndim != 3 or rgba.shape[2] != 4 or not (rgba[..., 3] > 127).any():
            raise DatasetError(f"{file} is no RGBA cut-out")
        return Outline(_tight(rgba[..., 3] > 127), name, _ade_class(name, kind))


def _ade_class(name: str, kind: str) -> str:
    if name in OBJECT_CLASSES:
        return name
    return "animal" if kind == "animal" else "plaything"


def _component(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray | None:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = np.flatnonzero(stats[1:count, cv2.CC_STAT_AREA] >= MIN_PIXELS) + 1
    return _tight(parts == int(rng.choice(large))) if large.size else None


def _tight(mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def place_on_road(
    rng: np.random.Generator,
    road: np.ndarray,
    mask: np.ndarray,
    *,
    sides: tuple[int, int] = (200, 500),
    margin: int = 150,
    least_margin: int = 10,
    step: int = 10,
) -> np.ndarray | None:
    """The object's outline in the scene, bool `[H, W]`; None where there is no road.

    Args:
        road: bool `[H, W]`.
        mask: bool `[h, w]`, cropped to the object.
        sides: the larger side of the object is brought into this range (pixels), its shape kept.
        margin: its centre is a road pixel at least so far from the border; if there is none, `step` less, and so on
            down to `least_margin`.
    """
    height, width = road.shape
    while True:
        inner = road[margin : height - margin, margin : width - margin]
        rows, columns = np.nonzero(inner)
        if rows.size or margin <= least_margin:
            break
        margin = max(least_margin, margin - step)
    if not rows.size:
        return None
    pick = int(rng.integers(rows.size))
    y, x = int(rows[pick]) + margin, int(columns[pick]) + margin
    largest = max(mask.shape)
    scale = min(max(largest, sides[0]), sides[1]) / largest
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    scaled = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
    top, left = y - size[1] // 2, x - size[0] // 2
    outline = np.zeros_like(road)
    ys, xs = slice(max(0, top), min(height, top + size[1])), slice(max(0, left), min(width, left + size[0]))
    outline[ys, xs] = scaled[ys.start - top : ys.stop - top, xs.start - left : xs.stop - left]
    return outline if outline.any() else None


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


SCENE = "An image sampled from various stereo video sequences taken by dash cam"
QUALITY = "best quality, extremely detailed, realistic, high resolution"
NEGATIVE = (
    "longbody, lowres, bad anatomy, bad hands, missing fingers, extra digit, fewer digits, cropped, worst quality, "
    "low quality, time-lapse photography, blurry, pixelated, low resolution, cartoon, grey picture"
)
WEATHERS = ("cloudy", "rainy", "snowy", "foggy", "clear")
PLACES = (
    *("New York City", "Los Angeles", "Chicago", "Houston", "Seattle", "Boston", "Miami", "Las Vegas", "Toronto"),
    *("Vancouver", "Montreal", "Calgary", "London", "Manchester", "Edinburgh", "Dublin", "Paris", "Nice", "Madrid"),
    *("Barcelona", "Lisbon", "Rome", "Milan", "Florence", "Zurich", "Geneva", "Frankfurt", "Warsaw", "Budapest"),
    *("Athens", "Istanbul", "Moscow", "Tel Aviv", "Jerusalem", "Cairo", "Casablanca", "Marrakech", "Lagos", "Accra"),
    *("Nairobi", "Addis Ababa", "Kigali", "Dar Es Salaam", "Lusaka", "Windhoek", "Cape Town", "Johannesburg"),
    *("Durban", "Dubai", "Abu Dhabi", "Doha", "Riyadh", "Mumbai", "Delhi", "Bengaluru", "Hyderabad", "Kolkata"),
    *("Singapore", "Ho Chi Minh City", "Hong Kong", "Shenzhen", "Guangzhou", "Shanghai", "Hangzhou", "Beijing"),
    *("Seoul", "Tokyo", "Osaka", "Kyoto", "Sydney", "Melbourne", "Brisbane", "Perth", "Auckland"),
)


@dataclass(frozen=True)
class Prompt:
    """Words for one picture.

    Attributes:
        text, negative: what it should show, and what not.
        domain: weather, time and place for the file name, e.g. `_rainy_night_Cape_Town`; may be empty.
    """

    text: str
    negative: str
    domain: str


def build_prompt(
    rng: np.random.Generator,
    name: str,
    *,
    shifted: float = 0.5,
    day: float = 0.7,
    weathers: Sequence[str] = WEATHERS,
    places: Sequence[str] = PLACES,
) -> Prompt:
    """A prompt for a scene with the object `name`.

    Args:
        shifted: probability that a place, weather and time are asked for.
        day: probability of day where they are.
    """
    scene, domain = f"{SCENE}.", ""
    if rng.random() < shifted:
        weather, place = weathers[int(rng.integers(len(weathers)))], places[int(rng.integers(len(places)))]
        time = "day" if rng.random() < day else "night"
        scene = f"{SCENE} in {place} in a {weather} {time}."
        domain = f"_{weather}_{time}_{place.replace(' ', '_')}"
    return Prompt(f"{scene}, There is a {name} accidentally staying on the road., {QUALITY}", NEGATIVE, domain)
