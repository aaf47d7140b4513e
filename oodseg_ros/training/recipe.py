"""Recipes: what `config/train/*.yaml` may say. Unknown keys are refused with the nearest right name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from ..errors import ConfigError
from ..model_card import InputSpec, Licence
from .data_recipe import AugmentSpec, CutoutSpec, DataSpec, OutlierSpec, Strict, expand  # noqa: F401


class StageSpec(Strict):
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


class CalibrationSpec(Strict):
    """Held-out frames for threshold and score table.

    `false_positive_rate` is the share of inlier pixels above the threshold on these frames.
    """

    data: list[DataSpec]
    false_positive_rate: float = Field(0.005, gt=0, lt=1)
    frames: int = Field(100, gt=0)


class Recipe(Strict):
    """A training run from data to bundle."""

    name: str
    description: str = ""
    label_set: str
    network: dict[str, Any]
    input: InputSpec
    crop: tuple[int, int]
    widths: tuple[float, float] = (480.0, 1300.0)
    augment: AugmentSpec = AugmentSpec()
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
