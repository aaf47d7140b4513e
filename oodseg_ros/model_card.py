"""Content of a bundle's `model.yaml`: all that is true of a model apart from its weights. Unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

SCHEMA = 1

_LARGEST = float(np.finfo(np.float32).max)
Score = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
"""A raw score: scores are float32, and a threshold beyond them would be one that nothing ever exceeds."""


MOST_SIZES = 16
"""So many sizes of objects at most need less than the largest."""


class _Strict(BaseModel):
    """Every number is finite: nothing is above a threshold of NaN, so a road full of obstacles would be clear."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Windows(_Strict):
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


class Resize(_Strict):
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


class InputSpec(_Strict):
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


class Histogram(_Strict):
    """Counts of inlier scores in equal bins between `low` and `high`; what "normal" looks like to this bundle."""

    low: float
    high: float
    counts: list[Annotated[int, Field(ge=0)]] = Field(min_length=2, max_length=4096)

    @model_validator(mode="after")
    def _rises(self) -> Histogram:
        if not self.low < self.high:
            raise ValueError("`low` must be below `high`")
        return self


class Core(_Strict):
    """The strong part of something larger that is weak for the most part: an object by itself where it is stronger than
    any on clean frames.

    Attributes:
        grow: raw score above which pixels that hang together are one core, if it is any.
        free, among, beside: raw scores that the share `Objects.seed` of its pixels must be above where it is free on
            the ground, on it among other things, and beside it; never less than the threshold in force.
    """

    grow: Score
    free: Score
    among: Score
    beside: Score

    @model_validator(mode="after")
    def _in_order(self) -> Core:
        if self.grow > min(self.free, self.among, self.beside):
            raise ValueError("core: `grow` must be at most `free`, `among` and `beside`")
        return self


class Smaller(_Strict):
    """How much less a smaller object needs: false ones, paint and reflections, are strong where they are large.

    Attributes:
        share: of the picture's pixels that the object has less than.
        free, among, beside: raw score by which its limit is below that of the largest objects, which a threshold
            stands for.
    """

    share: float = Field(gt=0, lt=1)
    free: float = Field(ge=0, le=1e6)
    among: float = Field(ge=0, le=1e6)
    beside: float = Field(ge=0, le=1e6)


class Objects(_Strict):
    """How anomalous pixels become objects: they hang together above a low score, and enough of them are above a high
    one.

    Attributes:
        grow: raw score above which pixels that hang together are one object, if it is any; at most the threshold.
        seed: share of its pixels that must be above the threshold.
        among: the same where an object stands on the ground, but most of what is around it is something else: there a
            network errs more often. At least the threshold; None = the threshold.
        beside: the same for an object that does not stand on the ground; at least the threshold.
        ground: class ids of the label set that an object can stand on; empty = `among` and `beside` count for none.
        core: what of the rest is an object all the same: a halo or a cluttered place may be larger than what is in it;
            None = nothing.
        smaller: what is enough for smaller objects, the largest of them first; never less than `grow`.
    """

    grow: Score
    seed: float = Field(gt=0, le=1)
    among: Score | None = None
    beside: Score
    ground: list[Annotated[int, Field(ge=0, le=254)]] = Field(default_factory=list)
    core: Core | None = None
    smaller: list[Smaller] = Field(default_factory=list, max_length=MOST_SIZES)

    @model_validator(mode="after")
    def _core_is_stronger(self) -> Objects:
        if self.core is not None and self.core.grow < self.grow:
            raise ValueError("objects: the `grow` of `core` must be at least that of the whole")
        return self

    @model_validator(mode="after")
    def _smaller_need_less(self) -> Objects:
        for name in ("share", "free", "among", "beside"):
            values = [getattr(one, name) for one in self.smaller]
            wanted = sorted(values, reverse=name == "share")
            if values != wanted or (name == "share" and len(set(values)) < len(values)):
                raise ValueError(f"objects: `smaller` must have falling shares and never falling {name}")
        return self

    def limit_among(self, threshold: float) -> float:
        """What an object among other things needs, where one that is free needs `threshold`."""
        return threshold if self.among is None else self.among


class Evidence(_Strict):
    """What the strength of a candidate tells: of a group of pixels above `Objects.grow` that stands on the ground.

    A candidate's strength is the score that the share `Objects.seed` of its pixels exceeds.

    Attributes:
        strengths: lower ends of the bins, raw scores, rising; the last bin is open. What is below the first is in it.
        unknown: share of all pasted unknowns that are a candidate of this bin; the rest of 1 is missed.
        normal: share of the candidates of clean frames that are in it, sum 1.
        candidates: per clean frame.
        source: of how many frames and objects.
    """

    strengths: list[float] = Field(min_length=1, max_length=256)
    unknown: list[float] = Field(min_length=1, max_length=256)
    normal: list[float] = Field(min_length=1, max_length=256)
    candidates: float = Field(ge=0, le=1e6)
    source: str = ""

    @model_validator(mode="after")
    def _shares(self) -> Evidence:
        edges, unknown, normal = (np.asarray(values) for values in (self.strengths, self.unknown, self.normal))
        if not edges.shape == unknown.shape == normal.shape:
            raise ValueError("evidence: strengths, unknown and normal must be of equal length")
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError("evidence: strengths must be finite and rise")
        if not (unknown > 0).all() or not (normal > 0).all() or unknown.sum() >= 1 or abs(normal.sum() - 1) > 1e-3:
            raise ValueError("evidence: shares must be above 0; those of unknown sum to less than 1, of normal to 1")
        if (np.diff(np.log(unknown / normal)) < -1e-4).any():
            raise ValueError("evidence: a stronger candidate may not be less likely to be unknown")
        return self

    def hit(self, strength: float) -> float:
        """log p(candidate of this strength | unknown) / p(this strength | normal candidate); rises with strength."""
        place = max(0, int(np.searchsorted(self.strengths, strength, side="right")) - 1)
        return float(np.log(self.unknown[place] / self.normal[place]))

    def miss(self) -> float:
        """log p(no candidate | unknown): below 0."""
        return float(np.log1p(-sum(self.unknown)))


class SmallLook(_Strict):
    """How small candidates of a second look are looked at: closer, and from another strength on.

    Attributes:
        height: share of the picture's height that such a candidate has at most, and twice that of it in width.
        zoom: how much larger; the window has 1 / zoom of the picture's sides.
        above: raw score of the first look.
        counts: how often the second score counts there where the first, which saw too few pixels of them, counts once.
    """

    height: float = Field(gt=0, lt=1)
    zoom: float = Field(gt=1, le=4)
    above: Score
    counts: float = Field(9.0, gt=0, le=1000)


class SecondLook(_Strict):
    """When a part of the picture is looked at again, larger; both scores are averaged there.

    What hangs together above `grow` and stands on the ground is a candidate; its strength is the score that the share
    `Objects.seed` of it exceeds. It is in doubt between `above` and `below`.

    Attributes:
        zoom: how much larger; the window has 1 / zoom of the picture's sides.
        grow, above, below: raw scores of the first look, rising.
        small: what holds instead for small candidates; None = nothing else.
    """

    zoom: float = Field(gt=1, le=4)
    grow: Score
    above: Score
    below: Score
    small: SmallLook | None = None

    @model_validator(mode="after")
    def _rise(self) -> SecondLook:
        for where, look in (("", self), ("small.", self.small)):
            if look is not None and not self.grow <= look.above < self.below:
                raise ValueError(f"second_look: `grow` must be at most `{where}above`, and that less than `below`")
        if self.small is not None and self.small.zoom <= self.zoom:
            raise ValueError("second_look: `small.zoom` must be above `zoom`")
        return self

    @property
    def options(self) -> str:
        """What `calibrate-objects` is asked for to choose such a one anew."""
        text = f"--second-look {self.zoom:g}"
        if (small := self.small) is None:
            return text
        return (
            f"{text} --small-look {small.zoom:g} --small-look-height {small.height:g} "
            f"--small-look-counts {small.counts:g}"
        )

    @property
    def words(self) -> str:
        """The rule as a person reads it."""
        text = (
            f"{self.zoom:g} times as large, where something on the ground is stronger than {self.above:.6g} but not "
            f"than {self.below:.6g}"
        )
        if self.small is None:
            return text
        return (
            f"{text}; {self.small.zoom:g} times, where it has at most {self.small.height:.3g} of the picture's height "
            f"and is stronger than {self.small.above:.6g}, and counts {self.small.counts:g} times there"
        )


class Calibration(_Strict):
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

    @model_validator(mode="after")
    def _objects_fit(self) -> Calibration:
        rule = self.objects
        if rule is not None and not rule.grow <= self.threshold <= min(rule.beside, rule.limit_among(self.threshold)):
            raise ValueError("objects: `grow` must be at most the threshold, `among` and `beside` at least")
        if rule is None and self.second_look is not None:
            raise ValueError("second_look: it needs `objects`, which say what stands on the ground")
        return self

    def calibrate(self, score: np.ndarray | float) -> np.ndarray:
        """Raw scores → [0, 1], float64, same shape; NaN stays NaN."""
        raw, calibrated = np.asarray(self.table).T
        return np.interp(score, raw, calibrated)


class Metric(_Strict):
    """One figure with the command that made it."""

    name: str
    value: float
    data: str
    command: str


class Licence(_Strict):
    """Licence of the weights and the terms of the data they were trained on."""

    weights: str
    data: str = ""


class ModelCard(_Strict):
    """Content of `model.yaml`. Unknown keys are refused."""

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
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


def readable(error: ValidationError) -> str:
    """A validation error in one line: the key and what is wrong with it, at most five of them."""
    return "; ".join(f"{'.'.join(map(str, item['loc'])) or 'model'}: {item['msg']}" for item in error.errors()[:5])
