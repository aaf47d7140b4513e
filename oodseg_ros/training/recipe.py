"""Recipes: what `config/train/*.yaml` may say. Unknown keys are refused with the nearest right name."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import ConfigError
from ..model_card import InputSpec, Licence


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DataSpec(_Strict):
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


class CutoutSpec(_Strict):
    """A folder of RGBA cut-outs; `exclude` names classes or kinds to leave out."""

    root: str
    exclude: list[str] = []


class OutlierSpec(_Strict):
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


class StageSpec(_Strict):
    """One stage of training.

    Attributes:
        method: `inlier` (cross-entropy of the classes) or `uem` (likelihood ratio; everything but the head is frozen).
        steps, batch: optimiser steps and images per step.
        lr, weight_decay, warmup: AdamW; linear warm-up steps, then linear decay to zero.
        adapt_norm: the backbone's batch-norm statistics follow the training frames (its weights may stay frozen).
        loss_stride: the loss is taken at 1/loss_stride of the crop size (labels by nearest); larger is cheaper.
        backbone_lr: factor on `lr` for the backbone in stage `inlier`; 0 = frozen.
    """

    method: Literal["inlier", "uem"]
    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warmup: int = Field(0, ge=0)
    backbone_lr: float = Field(0.0, ge=0)
    adapt_norm: bool = False
    loss_stride: int = Field(1, ge=1, le=8)


class CalibrationSpec(_Strict):
    """Held-out frames for threshold and score table.

    `false_positive_rate` is the share of inlier pixels above the threshold on these frames.
    """

    data: list[DataSpec]
    false_positive_rate: float = Field(0.005, gt=0, lt=1)
    frames: int = Field(100, gt=0)


class Recipe(_Strict):
    """A training run from data to bundle."""

    name: str
    description: str = ""
    label_set: str
    network: dict[str, Any]
    input: InputSpec
    crop: tuple[int, int]
    widths: tuple[float, float]
    data: list[DataSpec] = Field(min_length=1)
    outliers: OutlierSpec = OutlierSpec()
    stages: list[StageSpec] = Field(min_length=1)
    calibration: CalibrationSpec
    licence: Licence
    seed: int = 2000
    workers: int = Field(1, ge=0)
    precision: Literal["fp32", "bf16"] = "fp32"


def load_recipe(path: str | Path) -> Recipe:
    """Read a recipe file.

    Raises:
        ConfigError: unreadable file, unknown key (with the nearest right one) or wrong value.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe {path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"recipe {path} is not a mapping of keys to values")
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"recipe {path}: " + "; ".join(_sentence(item) for item in error.errors()[:8])) from error


def expand(root: str) -> Path:
    """A `root` with `$NAME` taken from the environment.

    Raises:
        ConfigError: the variable is not set.
    """
    path = os.path.expandvars(os.path.expanduser(root))
    if "$" in path:
        raise ConfigError(f"recipe root {root!r}: set the environment variable it names")
    return Path(path)


def _sentence(item: dict[str, Any]) -> str:
    place = ".".join(map(str, item["loc"]))
    if item["type"] != "extra_forbidden":
        return f"{place}: {item['msg']}"
    model: Any = Recipe
    for part in item["loc"][:-1]:
        if isinstance(part, str):
            annotation = model.model_fields[part].annotation
            inner = [kind for kind in getattr(annotation, "__args__", (annotation,)) if hasattr(kind, "model_fields")]
            if not inner:
                break
            model = inner[0]
    near = difflib.get_close_matches(str(item["loc"][-1]), model.model_fields, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(model.model_fields)}"
    return f"{place}: unknown key, {hint}"
