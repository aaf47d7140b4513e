"""A collection as COCO instances that annotation tools open, and as one page to look through."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .. import __version__
from ..bundle import Bundle
from ..errors import ConfigError, counted
from ..outliers.reviewed import IGNORED, NEGATIVE, UNKNOWN
from ..pages import image_uri, render
from ..paths import completed
from .collect import Collection, Found
from .features import square_around

INSTANCES = "annotations/instances.json"
PAGE = "index.html"
FINER = 8
"""Factor between a pixel and the raster that outlines are traced on: they run 1/16 of a pixel inside its edge."""


def write_collection(gathered: Collection, bundle: Bundle, out: Path, command: str) -> dict[str, Any]:
    """Write `images/`, `annotations/instances.json` and `index.html`; returns the content of the COCO file.

    Ids and file names come from source, camera and stamp (or file), of objects from their box too: collected again, a
    picture has the same ones, so that corrected files can be merged.

    Categories: `unknown` (what everything starts as), `negative` (nothing: a false alarm), `ignored`, and the bundle's
    classes, so that whoever corrects has them at hand.

    Raises:
        ConfigError: `out` holds an earlier collection.
    """
    if (out / INSTANCES).exists():
        raise ConfigError(f"{out} holds a collection already, perhaps a corrected one; give another --out")
    (out / "images").mkdir(parents=True, exist_ok=True)
    names = [
        UNKNOWN,
        NEGATIVE,
        IGNORED,
        *(name for name in bundle.labels.names if name not in (UNKNOWN, NEGATIVE, IGNORED)),
    ]
    kept = {id(one) for one in gathered.kept}
    images, annotations, placed = [], [], {}
    numbers: dict[str, set[int]] = {"images": set(), "annotations": set()}
    for found in gathered.pictures.values():
        picture = found[0].picture
        which = picture.source, picture.camera, picture.file or str(picture.stamp_ns)
        number = _number(numbers["images"], *which)
        name = f"{_file_name(*which)}.jpg"
        if (out / "images" / name).exists():
            name = f"{_file_name(*which)}-{number}.jpg"
        (out / "images" / name).write_bytes(picture.jpeg)
        height, width = found[0].image.shape[:2]
        images.append(
            {
                **{"id": number, "file_name": name, "width": width, "height": height, "license": 0},
                **{"source": picture.source, "camera": picture.camera, "stamp_ns": picture.stamp_ns},
                **({"source_file": picture.file} if picture.file else {}),
                **({"date_captured": when} if (when := _when(picture.stamp_ns)) else {}),
                **picture.place,
            }
        )
        for one in found:
            own = _number(numbers["annotations"], *which, str(one.obstacle.box))
            annotations.append(_annotation(own, number, one, id(one) in kept))
            placed[id(one)] = (name, annotations[-1])
    content = {
        "info": {"description": f"unknown objects found by {bundle.id}", "version": f"oodseg_ros {__version__}"},
        "licenses": [{"id": 0, "name": "", "url": ""}],
        "categories": [{"id": index, "name": name, "supercategory": ""} for index, name in enumerate(names, 1)],
        "images": images,
        "annotations": annotations,
    }
    (out / PAGE).write_text(_page(gathered, bundle, command, placed))
    with completed(out / INSTANCES) as part:
        part.write_text(json.dumps(content) + "\n")
    return content


def _number(taken: set[int], *parts: str) -> int:
    """An id that says the same in every collection: of 31 bits, since tools may store it in as many."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:4], "big") >> 1
    while number in taken or not number:
        number = (number + 1) % 2**31
    taken.add(number)
    return number


def _file_name(source: str, camera: str, which: str) -> str:
    """A picture's name in every collection, of letters that no tool changes."""
    parts = [
        re.sub(r"[^A-Za-z0-9_]+", "_", part)[-60:].strip("_")
        for part in (source, camera, Path(which).with_suffix("").as_posix())
    ]
    return "-".join(part for part in parts if part)


def outlines(mask: np.ndarray) -> list[list[float]]:
    """Outer outlines of a mask, bool `[H, W]`, as COCO polygons in pixel corners; holes are filled.

    Drawn by COCO's own code they give back the mask with its holes filled, to the pixel.
    """
    height, width = mask.shape
    finer = cv2.resize(mask.astype(np.uint8), (width * FINER, height * FINER), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(finer, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((contour[:, 0] + 0.5) / FINER).ravel().round(4).tolist() for contour in contours if len(contour) > 2]


def _annotation(number: int, image: int, one: Found, kept: bool) -> dict[str, Any]:
    x0, y0, x1, y1 = one.obstacle.box
    polygons = [
        [value + (y0 if index % 2 else x0) for index, value in enumerate(polygon)] for polygon in outlines(one.mask)
    ]
    filled = np.zeros(one.mask.shape, np.uint8)
    contours, _ = cv2.findContours(one.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    ground = one.obstacle.ground
    return {
        **{"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "segmentation": polygons},
        **{"bbox": [x0, y0, x1 - x0, y1 - y0], "area": int(filled.sum())},
        "attributes": {
            **{"score": round(one.obstacle.score, 4), "track": one.track, "kept": kept, "near_repeats": one.repeats},
            **({"range_m": round(ground.range_min, 2)} if ground else {}),
            **({"position_m": [round(value, 2) for value in ground.position]} if ground else {}),
        },
    }


def _page(gathered: Collection, bundle: Bundle, command: str, placed: dict[int, tuple[str, dict[str, Any]]]) -> str:
    """`placed`: identity of an object → its picture's name in `images/`, and its annotation."""
    objects = [
        {
            "crop": image_uri(_outlined(one, square_around(one.full_mask, 2.0)), max_width=320),
            "context": image_uri(_outlined(one), max_width=640),
            "title": f"{one.obstacle.score:.0%}, {placed[id(one)][1]['area']:,} pixels",
            "number": placed[id(one)][1]["id"],
            "picture": placed[id(one)][0],
            "track": one.track,
            "when": _when(one.picture.stamp_ns) or one.picture.file or f"{one.picture.stamp_ns / 1e9:.2f} s",
            "place": ", ".join(f"{kind} {value}" for kind, value in one.picture.place.items()),
            "range": f"{one.obstacle.ground.range_min:.1f} m" if one.obstacle.ground else "",
            "repeats": one.repeats,
        }
        for one in gathered.kept
    ]
    return render(
        "collection.html.j2",
        title=f"{len(objects)} unknown objects",
        subtitle=f"found by {bundle.id}",
        objects=objects,
        counts=[
            ("frames", gathered.frames, f"{sum(gathered.skipped.values())} without a judgement"),
            ("objects found", gathered.seen, "in all frames"),
            ("kept", len(objects), f"in {len(gathered.pictures)} pictures; near repeats are left out"),
        ],
        skipped=counted(gathered.skipped, 20, "{} frames without a judgement: {}"),
        damage=gathered.damage,
        notes=gathered.notes,
        footer=command,
    )


def _outlined(one: Found, window: tuple[slice, slice] | None = None) -> np.ndarray:
    image = one.image.copy()
    contours, _ = cv2.findContours(one.full_mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, contours, -1, (255, 0, 255), max(1, image.shape[1] // 600))
    return image if window is None else image[window]


def _when(stamp_ns: int) -> str:
    """UTC, where the stamp is one of a real clock; else empty."""
    return f"{datetime.fromtimestamp(stamp_ns / 1e9, timezone.utc):%Y-%m-%d %H:%M:%S} UTC" if stamp_ns > 10**18 else ""
