"""A bundle as a teacher: its standardised score and its classes on the pictures that a student learns from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...bundle import load_bundle
from ...errors import ConfigError
from ...labels import LabelSet
from ...model_card import Histogram, InputSpec
from ...networks.segmentor import Segmentor, resize
from ..data_recipe import Strict, expand


class ScoreTeacher(Strict):
    """A bundle (shipped name or folder) and the weight of its score and classes in the mean of all.

    `scales`: its score is the mean of those of the picture at these scales, its classes are those of the first one.
    """

    bundle: str
    weight: float = Field(1.0, gt=0)
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field((1.0,), min_length=1)


class Teachers:
    """The teachers of a stage, each with its share of all weights.

    They are loaded when they are asked for the first time, to where the student is then, and are no part of the stage's
    parameters and checkpoints.

    Attributes:
        labels: the student's, where its classes are learnt from the teachers'; None = they are not compared.
    """

    labels: LabelSet | None = None

    def __init__(self, asked: Sequence[ScoreTeacher], spec: InputSpec, student: Segmentor, scored: bool) -> None:
        """`spec` is the student's; `scored`: the teachers' scores are learnt, not their classes alone."""
        self._asked, self._spec, self._student, self._scored = asked, spec, student, scored
        self._loaded: list[Teacher] | None = None

    def all(self) -> list[Teacher]:
        """The teachers.

        Raises:
            BundleError, ConfigError: see `Teacher`; or its classes are not those of `labels`.
        """
        if self._loaded is None:
            total = sum(each.weight for each in self._asked)
            loaded = [
                Teacher(each, each.weight / total, self._spec, self._student.backbone, self._scored)
                for each in self._asked
            ]
            if self.labels is not None:
                for asked, teacher in zip(self._asked, loaded, strict=True):
                    _same_classes(asked.bundle, teacher.labels, self.labels)
            self._loaded = loaded
        return self._loaded

    def told(self, pixels: Tensor, features: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """What each says of RGB in [0, 1] `[B, 3, H, W]`: see `Teacher`."""
        return [teacher(pixels, features) for teacher in self.all()]

    @property
    def identity(self) -> list[str]:
        """Changes with whatever they say depends on, beside the pictures."""
        return [f"{each.identity} {asked!r}" for each, asked in zip(self.all(), self._asked, strict=True)]


class _Recalled(nn.Module):
    """Stands in for a backbone: the maps that another one made of the same images."""

    maps: list[Tensor]

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.maps


class Teacher:
    """Score of a bundle, standardised, and its class probabilities; both times `weight`.

    Attributes:
        identity: changes with whatever its answers depend on, beside the pictures.
        labels: its classes.
    """

    def __init__(
        self, asked: ScoreTeacher, weight: float, spec: InputSpec, backbone: nn.Module, scored: bool = True
    ) -> None:
        """Raises BundleError, or ConfigError for a bundle that does not say how the scores that are asked of it are
        distributed.

        Args:
            weight: its share of all teachers.
            spec, backbone: of the student.
            scored: False = only its classes are used; its score has no unit then where the bundle tells none.
        """
        name, self._scales = asked.bundle, asked.scales
        bundle = load_bundle(expand(name) if "$" in name else name)
        histogram = bundle.card.calibration.inlier_histogram
        if histogram is None and scored:
            raise ConfigError(
                f"teacher {name} has no histogram of normal scores, in whose deviations its score is learnt; "
                "`oodseg calibrate` makes one"
            )
        self.labels, self._weight = bundle.labels, weight
        self._mean, self._deviation = (0.0, 1.0) if histogram is None else _moments(histogram)
        card = bundle.card
        self.identity = f"{bundle.weights_hash} {card.network} {card.input!r} {self._mean} {self._deviation}"
        self._spec, own = bundle.card.input, backbone.state_dict()
        self._segmentor = bundle.segmentor().to(next(backbone.parameters()).device)
        others = self._segmentor.backbone.state_dict()
        normal = ("mean", "std", "channel_order")
        if (
            self._scales == (1.0,)
            and all(getattr(spec, key) == getattr(self._spec, key) for key in normal)
            and own.keys() == others.keys()
            and all(torch.equal(own[key], others[key]) for key in own)
        ):
            self._segmentor.backbone = _Recalled()

    def __call__(self, pixels: Tensor, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """RGB in [0, 1] `[B, 3, H, W]`, and what the student's backbone makes of it → float32 `[B, 1, h, w]` and
        `[B, K, h, w]`.
        """
        if isinstance(self._segmentor.backbone, _Recalled):
            self._segmentor.backbone.maps = features
        pixels = pixels.flip(-3) if self._spec.channel_order == "bgr" else pixels
        mean, std = (pixels.new_tensor(value)[:, None, None] for value in (self._spec.mean, self._spec.std))
        images = ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)
        first, *others = (self._segmentor(self._at(images, scale), self._spec.output_stride) for scale in self._scales)
        score = first.score[:, None].float()
        for other in others:
            score = score + resize(other.score[:, None].float(), score.shape[-2:])
        standard = (score / len(self._scales) - self._mean) / self._deviation
        return self._weight * standard, self._weight * first.logits.softmax(dim=1)

    def _at(self, images: Tensor, scale: float) -> Tensor:
        """`images` at that scale, each side rounded to what the network divides by."""
        if scale == 1:
            return images
        step = self._spec.multiple
        size = [max(1, round(side * scale / step)) * step for side in images.shape[-2:]]
        scaled = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=scale < 1)
        return scaled.contiguous(memory_format=torch.channels_last)


def _same_classes(bundle: str, own: LabelSet, wanted: LabelSet) -> None:
    """Raises ConfigError where the classes of a teacher are not `wanted`, those of the recipe, in the same order."""
    if own.names == wanted.names:
        return
    pairs = zip(own.names, wanted.names, strict=False)
    other = next((f"class {index} is {a} there and {b} here" for index, (a, b) in enumerate(pairs) if a != b), "")
    raise ConfigError(
        f"teacher {bundle} has the classes of label set {own.name}, the recipe those of {wanted.name} "
        f"({other or f'{len(own)} there and {len(wanted)} here'}); its classes cannot be learnt: name a bundle with "
        f"the classes of {wanted.name}"
    )


def _moments(histogram: Histogram) -> tuple[float, float]:
    counts = np.array(histogram.counts, np.float64)
    edges = np.linspace(histogram.low, histogram.high, len(counts) + 1)
    values = (edges[1:] + edges[:-1]) / 2
    mean = float(np.average(values, weights=counts))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
