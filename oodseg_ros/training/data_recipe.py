"""The part of a recipe that says which frames are seen and how unknowns get into them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from ..errors import ConfigError
from ..model_card import InputSpec
from ..outliers.coco import KNOWN_IN_CITYSCAPES


def _rising(values: tuple[float, float]) -> tuple[float, float]:
    if not 0 < values[0] <= values[1] < math.inf:
        raise ValueError(f"must be [smallest, largest], above 0, got {list(values)}")
    return values


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
Size = tuple[Annotated[int, Field(ge=1, le=8192)], Annotated[int, Field(ge=1, le=8192)]]
"""Height and width in pixels."""


class Strict(BaseModel):
    """Part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class TeacherSpec(Strict):
    """One of several networks that label frames together.

    Attributes:
        bundle: path or shipped name; or
        onnx: a file with one output of class logits `[1, K, h, w]` or probabilities, and what it must be told:
        labels, input: the label set of its classes (its first K are taken), and how an image becomes its input.
    """

    bundle: str = ""
    onnx: str = ""
    labels: str = ""
    input: InputSpec | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> TeacherSpec:
        if bool(self.bundle) == bool(self.onnx):
            raise ValueError("a teacher is either a `bundle` or an `onnx` file")
        if self.onnx and not (self.labels and self.input):
            raise ValueError(
                "an `onnx` teacher needs `labels` (its label set) and `input` (mean, std, pixels, multiple)"
            )
        return self


class DataSpec(Strict):
    """Frames of one dataset.

    Attributes:
        dataset: a name of `datasets.registry`; `scenes` for procedural ones; `frames` for a folder, video or bag of
            driving without unknowns and without labels (only unknown-object objectives use them, unless a `teacher`
            labels them); `reviewed` for a corrected collection of `oodseg collect`; `generated_pairs` for originals
            with a generated counterpart (`outliers.coherent_generation`).
        root: where it is; `$NAME` is taken from the environment. Not used by `scenes`.
        split: split of the dataset, where it has several.
        labels: label set of the stored ids, where the dataset does not know it itself (`folder`).
        match: glob on the frame ids, e.g. `00*`, to keep some frames out of training.
        part: share of the listed frames, from and to, e.g. `[0, 0.8]` to train and `[0.8, 1]` to calibrate. Frames
            follow each other in time, so a part is a piece of the drive and not every fifth frame.
        weight: how often its frames are drawn, relative to the number of frames.
        outlier_values: values of its label files that mark unknowns which somebody annotated, e.g. `[254]`.
        categories: `reviewed` only: category of its annotations → class of the recipe, `unknown`, `negative` or
            `ignored`; needed where a category's name is none of these.
        rest: `reviewed` only: what lies outside of every annotation is `ignored`, or `known` where whole pictures were
            looked through.
        count, seed: number of procedural scenes and their first seed.
        teacher, teacher_confidence: `frames` only: a bundle, or several teachers (`TeacherSpec`), that label them where
            the largest of their (geometric) mean class probabilities is above the confidence; elsewhere they stay
            known, of unknown class.
        originals, originals_dataset: `generated_pairs` only: root and name of the dataset that was varied; `root` then
            holds the generated pictures, `split`, `labels` and `match` go for the originals.
    """

    dataset: str
    root: str = ""
    split: str | None = None
    labels: str | None = None
    match: str = "*"
    part: tuple[float, float] = (0.0, 1.0)
    weight: float = Field(1.0, gt=0)
    outlier_values: list[Annotated[int, Field(ge=0, le=255)]] = []
    categories: dict[str, str] = {}
    rest: Literal["ignored", "known"] = "ignored"
    count: int = Field(0, ge=0)
    seed: int = 0
    teacher: str | list[TeacherSpec] = ""
    teacher_confidence: float = Field(0.9, ge=0, lt=1)
    originals: str = ""
    originals_dataset: str = "cityscapes"

    @field_validator("part")
    @classmethod
    def _is_a_part(cls, part: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= part[0] < part[1] <= 1:
            raise ValueError(f"must be [from, to], shares between 0 and 1, got {list(part)}")
        return part


class CutoutSpec(Strict):
    """Where photographs of unknown objects come from.

    Attributes:
        root: a folder of RGBA cut-outs (`kind: cutouts`), or a COCO folder.
        kind: `cutouts`; `coco` reads `instances` (COCO json) and the pictures in `images`; `coco_proxy` reads prepared
            masks (0 / 254) in `masks` and the pictures in `images`; `reviewed` takes what a corrected collection of
            `oodseg collect` calls `unknown`.
        exclude: classes or kinds that are not pasted, e.g. against overlap with a test set.
        drop_images_with: `coco` only: a picture with any object of these classes is not used at all.
        min_side: `coco` only: smallest height and width of a picture.
        unit: `coco`, `coco_proxy`: what is pasted at once, all objects of a `picture` or one `instance`.
        most: a random subset of at most so many pictures; 0 = all.
        weight: how often its objects are drawn, relative to their number.
        categories: `reviewed` only: as in `data`; what it calls `unknown` is pasted too.
        instances, images, masks: below `root`.
    """

    root: str
    kind: Literal["cutouts", "coco", "coco_proxy", "reviewed"] = "cutouts"
    exclude: list[str] = []
    drop_images_with: list[str] = list(KNOWN_IN_CITYSCAPES)
    min_side: int = Field(480, ge=0)
    unit: Literal["picture", "instance"] = "picture"
    most: int = Field(0, ge=0)
    weight: float = Field(1.0, gt=0)
    categories: dict[str, str] = {}
    instances: str = "annotations/instances_train2017.json"
    images: str = "train2017"
    masks: str = "annotations/ood_seg_train2017"


_ONLY = {
    "road_paste": ("shapes", "clean", "most", "known_classes", "on_ground", "markings", "sizes"),
    "anomaly_mix": ("variant", "probability", "scales", "copy_mask_values", "context"),
    "patch_paste": ("patches", "patch_sides", "overlap"),
}
"""Options that have no effect with another method; who gives one is told, instead of training without it."""


class OutlierSpec(Strict):
    """How unknowns get into training images.

    Attributes:
        method: `road_paste` (objects where a driver would meet them), `anomaly_mix` (hard paste as published),
            `patch_paste` (pieces of other frames, DRL) or `none`.
        cutouts: photographs of objects, for `road_paste` and `anomaly_mix`.
        shapes: road_paste: share of pasted unknowns that are procedural shapes instead of photographs.
        clean: road_paste: share of images without any unknown.
        most: road_paste: most unknowns per image.
        known_classes: road_paste: class names whose instances are cut out of other frames and pasted as what they are.
        ground_classes: what objects stand on; none = the `ground` of the label set, else its road and sidewalk.
        on_ground: road_paste: share of objects that stand on them.
        markings: road_paste: share of images whose ground gets paint, patches, cracks or covers, which stay ground.
        sizes: road_paste: smallest and largest side of an object as a fraction of the crop height.
        variant: anomaly_mix: which publication's rules (`uem`, `rpl`, `mss`).
        probability, scales: anomaly_mix: instead of the variant's.
        copy_mask_values: anomaly_mix: as the released MultiShiftSeg code, values of a mask other than 0 and 255 become
            labels as they are.
        context: anomaly_mix: a sample is a pair; its second picture is the object's own, at its own scale (RPL).
        patches, patch_sides: patch_paste: patches per image, and their smallest and largest side in pixels.
        overlap: patch_paste: a sample is a pair of overlapping crops.
        mixup: generated pairs: largest share of the original in the generated picture.
        style: `none`, or how pasted objects are drawn towards the scene: `reinhard` (Lab mean and spread), `fourier`
            (amplitudes of low frequencies), `adain` (channel statistics of the surroundings), or `external`.
        style_strength: range from which the strength is drawn, 0 = unchanged, 1 = aligned.
        style_function: `external` only: `module:function`, see `outliers.style_alignment`.
    """

    method: Literal["road_paste", "anomaly_mix", "patch_paste", "none"] = "road_paste"
    cutouts: list[CutoutSpec] = []
    shapes: float = Field(0.4, ge=0, le=1)
    clean: float = Field(0.15, ge=0, le=1)
    most: int = Field(4, ge=1, le=32)
    known_classes: list[str] = []
    ground_classes: list[str] = []
    on_ground: float = Field(0.6, ge=0, le=1)
    markings: float = Field(0.0, ge=0, le=1)
    sizes: Range = (0.02, 0.45)
    variant: Literal["uem", "rpl", "mss"] = "uem"
    probability: float | None = Field(None, ge=0, le=1)
    scales: list[Annotated[float, Field(gt=0)]] | None = None
    copy_mask_values: bool = False
    context: bool = False
    patches: int = Field(10, ge=0, le=100)
    patch_sides: tuple[Annotated[int, Field(ge=8)], Annotated[int, Field(ge=8)]] = (32, 256)
    overlap: bool = False
    mixup: float = Field(0.3, ge=0, le=1)
    style: Literal["none", "reinhard", "fourier", "adain", "external"] = "none"
    style_strength: tuple[float, float] = (1.0, 1.0)
    style_function: str = ""

    @model_validator(mode="after")
    def _fits(self) -> OutlierSpec:
        if self.method == "anomaly_mix" and not self.cutouts:
            raise ValueError("method anomaly_mix needs `cutouts`: there is nothing to paste")
        defaults = type(self).model_fields
        for method, names in _ONLY.items():
            given = [f"`{name}`" for name in names if getattr(self, name) != defaults[name].default]
            if given and self.method != method:
                raise ValueError(f"{', '.join(given)}: only for method {method}, and the method is {self.method}")
        if self.style != "none" and self.method not in ("road_paste", "anomaly_mix"):
            raise ValueError("`style` is for methods road_paste and anomaly_mix, which paste foreign objects")
        if self.style == "external" and ":" not in self.style_function:
            raise ValueError("`style: external` needs `style_function: module:function`")
        if not 0 <= self.style_strength[0] <= self.style_strength[1] < math.inf:
            raise ValueError("`style_strength` must be [smallest, largest], from 0 on")
        if self.patch_sides[0] > self.patch_sides[1]:
            raise ValueError("`patch_sides` must be [smallest, largest]")
        return self


class AugmentSpec(Strict):
    """What happens to a frame besides unknowns; the defaults are those of the shipped bundle.

    Attributes:
        scale: range of one factor for both sides, drawn uniformly; None = the width is drawn from the recipe's
            `widths`; `[1, 1]` = native.
        enlarge: largest factor by which a frame is enlarged where its width is drawn. Small pictures that the node
            enlarges more are out of the domain.
        pad: (H, W) around the centred crop, black and not counted; None = none.
        mirror: probability of a horizontal flip.
        color: `camera` (what cameras do to a scene), `jitter` (ColorJitter), `shift` (MultiShiftSeg's list for
            Mask2Former, with resize, rotation and flips) or `none`.
        jitter: brightness, contrast, saturation and hue; brightness .2 = a factor in .8 .. 1.2, hue .5 = any.
        jitter_probability: share of images with `jitter`.
        cache: MiB of decoded frames that are kept, over all workers.
    """

    scale: Range | None = None
    enlarge: float = Field(1.6, ge=1)
    pad: Size | None = None
    mirror: float = Field(0.5, ge=0, le=1)
    color: Literal["camera", "jitter", "shift", "none"] = "camera"
    jitter: tuple[float, float, float, float] = (0.2, 0.2, 0.2, 0.5)
    jitter_probability: float = Field(0.5, ge=0, le=1)
    cache: int = Field(768, ge=0)


def expand(root: str) -> Path:
    """A path of a recipe, of data or of a bundle, with `$NAME` taken from the environment.

    Raises:
        ConfigError: the variable is not set.
    """
    path = os.path.expandvars(os.path.expanduser(root))
    if "$" in path:
        raise ConfigError(f"recipe: {root!r}: set the environment variable that it names")
    return Path(path)
