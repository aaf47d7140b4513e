"""A network learns the anomaly score of others, mended by what the training pictures tell, and their classes."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
import torch.distributed as distributed
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ...bundle import load_bundle
from ...errors import ConfigError
from ...frame import OUTLIER, UNLABELED
from ...losses.distilled_score import class_divergence, distilled_terms
from ...losses.masks import class_cross_entropy, inliers
from ...model_card import Histogram, InputSpec
from ...networks.heads.two_stage import LearnableUncertainty, QueryUncertainty
from ...networks.segmentor import Segmentor, align_corners, resize
from ..data_recipe import Strict, expand
from ..methods import StageSpec
from .stage import Stage, flat_pairs


class ScoreTeacher(Strict):
    """A bundle (shipped name or folder) and the weight of its score and classes in the mean of all.

    `scales`: its score is the mean of those of the picture at these scales, its classes are those of the first one.
    """

    bundle: str
    weight: float = Field(1.0, gt=0)
    scales: tuple[Annotated[float, Field(gt=0, le=4)], ...] = Field((1.0,), min_length=1)


class DistilOptions(Strict):
    """Stage `distil`.

    Attributes:
        teachers: their scores count in their own standard deviations on normal pixels, from the histogram in the
            bundle.
        trained: parts of the network that learn. A decoder that the inlier classifier reads moves the classes with it:
        class_weight: of the divergence of the classes from the teachers' (`class_divergence`), which holds them.
        label_weight: of the cross-entropy of the pictures' own labels.
        initialize: the head starts as the inlier classifier where it can.
        cap, caps, cap_weight, floor, delta, unknown_weight, small_weight, alarm_weight: see `distilled_terms`.
    """

    teachers: list[ScoreTeacher] = Field(min_length=1)
    trained: list[str] = Field(default=["head"], min_length=1)
    class_weight: float = Field(0.0, ge=0)
    label_weight: float = Field(0.0, ge=0)
    initialize: bool = False
    cap: float = 2.0
    caps: dict[int, float] = Field(default_factory=dict)
    cap_weight: float = Field(1.0, gt=0)
    floor: float = 3.0
    delta: float = Field(1.0, gt=0)
    unknown_weight: float = Field(0.3, ge=0)
    small_weight: float = Field(1.0, ge=1)
    alarm_weight: float = Field(1.0, ge=1)


class DistilStage(Stage):
    """The network's score, and its classes where asked, follow the weighted mean of the teachers' on the same samples.

    A score has a unit of its own: the known pixels of the first batch say what shift and scale lay it over the taught
    one, and there it stays. Batch norm stays in eval mode. The teachers are read in the first step and are no part of a
    checkpoint; one whose backbone is the student's reads the same features.
    """

    Options = DistilOptions

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, seed: int = 0) -> None:
        """Raises ConfigError for a network without a head, or one that cannot start as asked."""
        head, options = segmentor.head, stage.settings
        if head is None:
            raise ConfigError("stage distil: the network needs a `head` that learns the score")
        if options.initialize:
            if not isinstance(head, (LearnableUncertainty, QueryUncertainty)):
                raise ConfigError("stage distil: `initialize` is for heads that can start as the inlier classifier")
            head.initialize_from(segmentor.classifier)
        super().__init__(segmentor, spec, stage, dict.fromkeys(options.trained, 1.0), seed, train_mode=())
        self._spec = spec
        self._teachers: list[_Teacher] = []
        self.register_buffer("unit", torch.zeros(2))  # scale, shift; no scale yet

    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        images, target = flat_pairs(images, 4), self.subsample(flat_pairs(target, 3))
        segmentor, stride, options = self.segmentor, self._spec.output_stride, self.options
        given = segmentor.extract(images, stride, self.features(images))
        logits = resize(segmentor.classifier(given.decoded).float(), given.size, align_corners(segmentor.decoder))
        score = self.fit(segmentor.judge(logits, segmentor.head.evidence(given), stride)[:, None], target)[:, 0]
        if extra is not None and extra.is_floating_point():  # recorded; an overlap of crops is of integers
            answers = extra.float()
        else:
            answers = self._answers(images, given.features, target)
        taught, shares = self.fit(answers[:, :1], target)[:, 0], answers[:, 1:]
        if not self.unit[0]:
            known = inliers(target, OUTLIER, UNLABELED)
            self.unit.copy_(_unit(score.detach()[known], taught[known].clamp(max=options.cap)))
        values = options.model_dump(exclude={"teachers", "trained", "class_weight", "label_weight", "initialize"})
        terms = distilled_terms(score * self.unit[0] + self.unit[1], taught, target, **values)
        if options.class_weight:
            if shares.shape[1] != logits.shape[1]:
                raise ConfigError(
                    f"stage distil: `class_weight` needs teachers of this network's {logits.shape[1]} classes, not "
                    f"{shares.shape[1]}"
                )
            terms["classes"] = options.class_weight * class_divergence(
                self.fit(logits, target), self.fit(shares, target), target
            )
        if options.label_weight:
            terms["labels"] = options.label_weight * class_cross_entropy(self.fit(logits, target), target)
        return terms

    def answers(self, images: Tensor, plain: Tensor, features: list[Tensor], target: Tensor) -> Tensor:
        """The teachers' score and classes `[B, 1 + K, h, w]`; known pixels at most as anomalous as without paint."""
        target = self.subsample(target)
        answers = self._answers(images, features, target)
        if plain is not images:
            bare = self._answers(plain, self.features(plain), target)
            known = inliers(target, OUTLIER, UNLABELED)[:, None]
            answers[:, :1] = torch.where(known, torch.minimum(answers[:, :1], bare[:, :1]), answers[:, :1])
        return answers

    def answers_from(self) -> str:
        told = [f"{each.told} {asked!r}" for each, asked in zip(self._read(), self.options.teachers, strict=True)]
        return f"{told} {bool(self.options.class_weight)} {self.stage.loss_stride}"

    def _read(self) -> list[_Teacher]:
        if not self._teachers:
            total, backbone = sum(each.weight for each in self.options.teachers), self.segmentor.backbone
            for each in self.options.teachers:
                self._teachers.append(_Teacher(each, each.weight / total, self._spec, backbone))
        return self._teachers

    @torch.no_grad()
    def _answers(self, images: Tensor, features: list[Tensor], target: Tensor) -> Tensor:
        """Standardised score of all teachers, and class probabilities where they are learnt, `[B, 1 + K, h, w]` at the
        size of `target`.

        Raises:
            ConfigError: the teachers have different numbers of classes.
        """
        pixels = images * self.std + self.mean
        pixels = pixels.flip(-3) if self.reversed else pixels
        each = [torch.cat(teacher(pixels, features), dim=1) for teacher in self._read()]
        if not self.options.class_weight:
            each = [answer[:, :1] for answer in each]
        if len(counts := {answer.shape[1] - 1 for answer in each}) > 1:
            raise ConfigError(
                f"stage distil: `class_weight` needs teachers of one number of classes, not {sorted(counts)}"
            )
        return sum(self.fit(answer, target) for answer in each)


def _unit(score: Tensor, taught: Tensor) -> Tensor:
    """Scale and shift that give `score` `[N]` mean and deviation of `taught`, of all processes together.

    Raises:
        ConfigError: one of them is the same everywhere.
    """
    moments = torch.stack([moment for each in (score, taught) for moment in (each.mean(), each.square().mean())])
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(moments)
        moments /= distributed.get_world_size()
    own, own_square, other, other_square = moments.tolist()
    variances = own_square - own**2, other_square - other**2
    if not all(variance > 0 for variance in variances):
        raise ConfigError(
            "stage distil: on the known pixels of the first batch the network's score or the teachers' (cut at `cap`) "
            "is the same everywhere; check the data, the start weights and `cap`"
        )
    scale = float(np.sqrt(variances[1] / variances[0]))
    return torch.tensor([scale, other - scale * own])


class _Recalled(nn.Module):
    """Stands in for a backbone: the maps that another one made of the same images."""

    maps: list[Tensor]

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.maps


class _Teacher:
    """Score of a bundle, standardised, and its class probabilities; both times `weight`."""

    def __init__(self, asked: ScoreTeacher, weight: float, spec: InputSpec, backbone: nn.Module) -> None:
        """Raises BundleError, or ConfigError for a bundle that does not say how its scores are distributed.

        Args:
            weight: its share of all teachers.
            spec, backbone: of the student.
        """
        name, self._scales = asked.bundle, asked.scales
        bundle = load_bundle(expand(name) if "$" in name else name)
        histogram = bundle.card.calibration.inlier_histogram
        if histogram is None:
            raise ConfigError(
                f"stage distil: teacher {name} has no histogram of normal scores; `oodseg calibrate` makes one"
            )
        self._weight, (self._mean, self._deviation) = weight, _moments(histogram)
        card = bundle.card
        self.told = f"{bundle.weights_hash} {card.network} {card.input!r} {self._mean} {self._deviation}"
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


def _moments(histogram: Histogram) -> tuple[float, float]:
    counts = np.array(histogram.counts, np.float64)
    edges = np.linspace(histogram.low, histogram.high, len(counts) + 1)
    values = (edges[1:] + edges[:-1]) / 2
    mean = float(np.average(values, weights=counts))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=counts)))
