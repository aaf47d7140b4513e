"""The part of a recipe that says which frames are seen and how unknowns get into them."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ..errors import ConfigError


class Strict(BaseModel):
    """Part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class DataSpec(Strict):
    """Frames of one dataset.

    Attributes:
        dataset: a name of `datasets.registry`; `scenes` for procedural ones; `frames` for a folder, video or bag of
            driving without unknowns and without labels (only unknown-object objectives use them).
        root: where it is; `$NAME` is taken from the environment. Not used by `scenes`.
        split: split of the dataset, where it has several.
        labels: label set of the stored ids, where the dataset does not know it itself (`folder`).
        match: glob on the frame ids, e.g. `00*`, to keep some frames out of training.
        weight: how often its frames are drawn, relative to the number of frames.
        count, seed: number of procedural scenes and their first seed.
    """

    dataset: str
    root: str = ""
    split: str | None = None
    labels: str | None = None
    match: str = "*"
    weight: float = Field(1.0, gt=0)
    count: int = Field(0, ge=0)
    seed: int = 0


class CutoutSpec(Strict):
    """A folder of RGBA cut-outs; `exclude` names classes or kinds to leave out."""

    root: str
    exclude: list[str] = []


class OutlierSpec(Strict):
    """How unknowns get into training images.

    Attributes:
        cutouts: folders of object photographs.
        shapes: share of pasted unknowns that are procedural shapes instead of photographs.
        clean: share of images without any unknown.
        most: most unknowns per image.
        known_classes: class names whose instances are cut out of other frames and pasted as what they are.
        on_ground: share of objects that stand on `ground_classes`.
        sizes: smallest and largest side of an object as a fraction of the crop height.
    """

    cutouts: list[CutoutSpec] = []
    shapes: float = Field(0.4, ge=0, le=1)
    clean: float = Field(0.15, ge=0, le=1)
    most: int = Field(4, ge=1, le=32)
    known_classes: list[str] = []
    ground_classes: list[str] = ["road", "sidewalk"]
    on_ground: float = Field(0.6, ge=0, le=1)
    sizes: tuple[float, float] = (0.02, 0.45)


def expand(root: str) -> Path:
    """A `root` with `$NAME` taken from the environment.

    Raises:
        ConfigError: the variable is not set.
    """
    path = os.path.expandvars(os.path.expanduser(root))
    if "$" in path:
        raise ConfigError(f"recipe root {root!r}: set the environment variable it names")
    return Path(path)
