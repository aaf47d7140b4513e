"""A network learns the anomaly score of others, mended by what the training pictures tell, and their classes."""

from __future__ import annotations

import numpy as np
import torch
import torch.distributed as distributed
from pydantic import Field
from torch import Tensor

from ...errors import ConfigError
from ...frame import OUTLIER, UNLABELED
from ...labels import LabelSet
from ...losses.distilled_score import class_divergence, distilled_terms
from ...losses.masks import class_cross_entropy, inliers
from ...model_card import InputSpec
from ...networks.heads.two_stage import LearnableUncertainty, QueryUncertainty
from ...networks.segmentor import Segmentor, align_corners, resize
from ..data_recipe import Strict
from ..methods import StageSpec
from .stage import Stage, flat_pairs
from .teacher_bundle import ScoreTeacher, Teachers


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
        """Raises ConfigError for a network without a head, or one that cannot start or learn classes as asked."""
        head, options = segmentor.head, stage.settings
        if head is None:
            raise ConfigError("stage distil: the network needs a `head` that learns the score")
        if options.initialize:
            if not isinstance(head, (LearnableUncertainty, QueryUncertainty)):
                raise ConfigError("stage distil: `initialize` is for heads that can start as the inlier classifier")
            head.initialize_from(segmentor.classifier)
        super().__init__(segmentor, spec, stage, dict.fromkeys(options.trained, 1.0), seed, train_mode=())
        if options.class_weight or options.label_weight:
            read = segmentor.backbone, segmentor.decoder, segmentor.classifier
            if not any(parameter.requires_grad for part in read for parameter in part.parameters()):
                raise ConfigError(
                    f"stage distil: what it trains ({', '.join(self.trained)}) does not move the classes; leave out "
                    "class_weight and label_weight, or train classifier, decoder or backbone too (`trained`)"
                )
        self._spec = spec
        self._teachers = Teachers(options.teachers, spec, segmentor, scored=True)
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

    def name_classes(self, labels: LabelSet) -> None:
        if self.options.class_weight:
            self._teachers.labels = labels

    def answers_from(self) -> str:
        return f"{self._teachers.identity} {bool(self.options.class_weight)} {self.stage.loss_stride}"

    @torch.no_grad()
    def _answers(self, images: Tensor, features: list[Tensor], target: Tensor) -> Tensor:
        """Standardised score of all teachers, and class probabilities where they are learnt, `[B, 1 + K, h, w]` at the
        size of `target`.

        Raises:
            ConfigError: the teachers have different numbers of classes.
        """
        each = [torch.cat(told, dim=1) for told in self._teachers.told(self.pixels(images), features)]
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
