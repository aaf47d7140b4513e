"""Content of a bundle's `model.yaml`: all that is true of a model apart from its weights. Unknown keys are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator, model_validator

from .errors import ConfigError, listed
from .object_rule import Evidence, Objects, Score, SecondLook, Strict, Strip

SCHEMA = 1


def check_name(name: str) -> str:
    """The name of a bundle, as it is; a ValueError where it cannot be one."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError(
            f"{name!r} cannot be a bundle's name: 1 to 64 of the letters A to Z and a to z, digits, '.', '_' and '-', "
            "a letter or digit first"
        )
    return name


Name = Annotated[str, AfterValidator(check_name)]


def name_from(folder: Path) -> str:
    """The name of the bundle that is written to `folder`; ask for it before the work.

    Raises:
        ConfigError: the folder's name cannot be one.
    """
    try:
        return check_name(folder.name)
    except ValueError as error:
        raise ConfigError(f"--out {folder}: {error}") from error


class Windows(Strict):
    """Sliding windows over the network input, in pixels; overlaps are averaged and the edges are always covered.

    `even`: as few windows as cover a side, evenly spread (EoMT's way); the strides then say no more than their largest.
    """

    height: int = Field(gt=0, le=8192)
    width: int = Field(gt=0, le=8192)
    stride_y: int = Field(gt=0)
    stride_x: int = Field(gt=0)
    even: bool = False

    @model_validator(mode="after")
    def _no_holes(self) -> Windows:
        if self.stride_y > self.height or self.stride_x > self.width:
            raise ValueError("a stride larger than the window would leave pixels out")
        return self


class Resize(Strict):
    """The size that a released network's own preprocessing gives to every image, smaller or larger, and its filter.

    Either `height` and `width`, whatever the image's aspect, or the length of the `shortest_edge` with the aspect kept,
    less where the longest would exceed `longest_edge`. `filter` is Pillow's of that name, which averages when it
    shrinks.
    """

    height: int | None = Field(None, gt=0, le=8192)
    width: int | None = Field(None, gt=0, le=8192)
    shortest_edge: int | None = Field(None, gt=0, le=8192)
    longest_edge: int | None = Field(None, gt=0, le=8192)
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"

    @model_validator(mode="after")
    def _one_rule(self) -> Resize:
        if (self.height is None) != (self.width is None) or (self.height is None) == (self.shortest_edge is None):
            raise ValueError("give height and width, or shortest_edge")
        return self


class InputSpec(Strict):
    """How an image becomes the network's input.

    The network size follows from the image size: aspect kept, sides rounded to `multiple`, at most `pixels` pixels and
    never enlarged (`networks.input_size`), unless `resize` gives another rule. Mean and std are of values in [0, 1], in
    the order in which the network takes the channels. With `windows` the network runs on windows of that size instead
    of on the whole.

    Logits, labels and score are formed `output_stride` times smaller than the network's input and resized to the image
    from there: with 2, eleven maps of logits have a quarter of the pixels, and one score is made larger instead.
    """

    channels: Literal[3] = 3
    channel_order: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    pixels: int = Field(gt=0, le=1 << 26)
    multiple: int = Field(gt=0, le=1024)
    resize: Resize | None = None
    windows: Windows | None = None
    output_stride: Literal[1, 2, 4] = 1

    @model_validator(mode="after")
    def _whole_pixels(self) -> InputSpec:
        if self.output_stride > 1 and (self.windows is not None or self.multiple % self.output_stride):
            raise ValueError("an output_stride above 1 must divide multiple, and windows have none")
        return self

    @field_validator("mean", "std")
    @classmethod
    def _finite(cls, values: tuple[float, float, float], info: ValidationInfo) -> tuple[float, float, float]:
        if not np.isfinite(values).all() or (info.field_name == "std" and min(values) <= 0):
            raise ValueError("must be finite numbers, and standard deviations above 0")
        return values


class Histogram(Strict):
    """Counts of inlier scores in equal bins between `low` and `high`; what "normal" looks like to this bundle."""

    low: float
    high: float
    counts: list[Annotated[int, Field(ge=0)]] = Field(min_length=2, max_length=4096)

    @model_validator(mode="after")
    def _rises(self) -> Histogram:
        if not self.low < self.high:
            raise ValueError("`low` must be below `high`")
        return self


class Calibration(Strict):
    """What turns raw scores into decisions; travels with the weights.

    Attributes:
        threshold: raw score above which a pixel is anomalous (strict).
        objects: how such pixels become objects; None = every group of them is one.
        evidence: what candidates tell over several frames; None = nothing is known. Meaningless without `objects`.
        second_look: when a part of the picture is looked at again; None = never. Needs `objects`, whose thresholds are
            for what both looks say together.
        table: pairs (raw score, calibrated score in [0, 1]), both non-decreasing; linear between, constant outside.
        inlier_histogram: scores of inlier pixels on the calibration set.
        source: the data and the rule that gave these numbers.
    """

    threshold: Score
    objects: Objects | None = None
    evidence: Evidence | None = None
    second_look: SecondLook | None = None
    table: list[tuple[float, float]] = Field(min_length=2, max_length=4096)
    inlier_histogram: Histogram | None = None
    source: str

    @field_validator("table")
    @classmethod
    def _monotone(cls, table: list[tuple[float, float]]) -> list[tuple[float, float]]:
        array = np.asarray(table)
        if (
            not np.isfinite(array).all()
            or (np.diff(array, axis=0) < 0).any()
            or (array[:, 1] < 0).any()
            or (array[:, 1] > 1).any()
        ):
            raise ValueError("the score table must be finite, non-decreasing, and end in [0, 1]")
        return table

    @field_validator("second_look", mode="before")
    @classmethod
    def _is_of_this_version(cls, card: Any) -> Any:
        """A card of version 1 tells none. Its thresholds are of another rule: nothing of it may be taken over."""
        if isinstance(card, dict) and "version" not in card:
            raise ValueError(
                "this second look and the thresholds were chosen where a mean of both looks decided, as it did in "
                "earlier versions of this package. Take `second_look` out of model.yaml (where signatures are "
                "required, sign the bundle again then, without OODSEG_PUBLIC_KEY), and choose look and thresholds "
                f"anew: oodseg calibrate-objects {_as_options(card)} and your frames"
            )
        return card

    @model_validator(mode="after")
    def _objects_fit(self) -> Calibration:
        rule = self.objects
        if rule is not None and not rule.grow <= self.threshold <= min(rule.beside, rule.limit_among(self.threshold)):
            raise ValueError("objects: `grow` must be at most the threshold, `among` and `beside` at least")
        if rule is None and self.second_look is not None:
            raise ValueError("second_look: it needs `objects`, which say what stands on the ground")
        return self

    @property
    def strip(self) -> Strip | None:
        """What fine cameras have looked at in a strip; None = nothing."""
        return None if self.second_look is None else self.second_look.strip

    def calibrate(self, score: np.ndarray | float) -> np.ndarray:
        """Raw scores → [0, 1], float64, same shape; NaN stays NaN."""
        raw, calibrated = np.asarray(self.table).T
        return np.interp(score, raw, calibrated)


def _as_options(look: dict[str, Any]) -> str:
    """What a second look of an earlier card was asked for with, as far as it tells."""
    parts = [("--second-look", look, "zoom")]
    for name in ("small", "strip"):
        inner = look.get(name)
        option = {"small": "--small-look", "strip": "--strip"}[name]
        if isinstance(inner, dict):
            parts += [(option, inner, "zoom"), (f"{option}-height", inner, "height")]
    return " ".join(f"{option} {values.get(key)}" for option, values, key in parts)


class Metric(Strict):
    """One figure with the command that made it."""

    name: str
    value: float
    data: str
    command: str


class Licence(Strict):
    """Licence of the weights and the terms of the data they were trained on."""

    weights: str
    data: str = ""


class ModelCard(Strict):
    """Content of `model.yaml`. Unknown keys are refused."""

    schema_version: Literal[1] = 1
    name: Name
    description: str = ""
    label_set: str
    network: dict[str, Any]
    input: InputSpec
    calibration: Calibration
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: list[Metric] = Field(default_factory=list)
    licence: Licence
    files: dict[str, str] = Field(default_factory=dict, description="file name → sha256")

    @model_validator(mode="after")
    def _files_are_plain_names(self) -> ModelCard:
        for file in self.files:
            if Path(file).name != file or file in ("", ".", ".."):
                raise ValueError(f"files: {file!r} is not a plain file name inside the bundle")
        return self

    @model_validator(mode="after")
    def _label_set_is_known_or_inside(self) -> ModelCard:
        path = Path(self.label_set)
        # Of a bundle that is being made it may be any path: saving copies the file into the bundle.
        if self.files and self.label_set not in self.files and (path.name != self.label_set or path.suffix):
            raise ValueError(f"label_set: {self.label_set!r} is neither a known label set nor a file of the bundle")
        return self

    @model_validator(mode="after")
    def _strip_has_a_size(self) -> ModelCard:
        if self.calibration.strip is not None and (self.input.resize or self.input.windows):
            raise ValueError("second_look: a `strip` has no size where `input` has `resize` or `windows`")
        return self


def readable(error: ValidationError) -> str:
    """A validation error in one line: the key and what is wrong with it, at most five of them."""
    told = [f"{'.'.join(map(str, item['loc'])) or 'model'}: {item['msg']}" for item in error.errors()]
    return listed(told, 5, "; ")
