"""The training methods by the name that a recipe uses, and a recipe's stages: what is trained, how, and how long.

A new method is a file under `stages/` and a line in `METHODS`.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from .data_recipe import Strict

# name: "module:class" under stages/
METHODS = {
    "distil": "distil:DistilStage",
    "drl": "drl:DrlStage",
    "entropy_max": "tuned:EntropyMaxStage",
    "inlier": "inlier:InlierStage",
    "inlier_gmm": "inlier:InlierGmmStage",
    "joint": "joint:JointStage",
    "outlier_exposure": "tuned:OutlierExposureStage",
    "ovr_topk": "tuned:OvrTopkStage",
    "pebal": "tuned:PebalStage",
    "rpl": "rpl:RplStage",
    "rpl_corocl": "rpl:RplCoroclStage",
    "two_stage_a": "two_stage:TwoStageA",
    "two_stage_b": "two_stage:TwoStageB",
    "uem": "uem:UemStage",
}


def stage_class(method: str) -> type[Any]:
    """The class of a name of `METHODS`, a `stages.stage.Stage`; its `Options` say what a recipe may set."""
    module, name = METHODS[method].split(":")
    return getattr(import_module(f"{__package__}.stages.{module}"), name)


class StageSpec(Strict):
    """One stage of training.

    Attributes:
        method: a name of `methods.METHODS`.
        steps, batch: optimiser steps, and images (or pairs) per step over all processes.
        optimizer, lr, weight_decay, betas: of AdamW (default) or Adam; `momentum` instead of betas with `sgd`.
        no_decay: parts without weight decay: `norms` = all vectors (norms and biases), anything else is found in
            the names of parameters, e.g. `position`.
        schedule: `poly` with `power` from `lr` down to `final_lr`, or `constant`.
        warmup: linear warm-up steps before it.
        clip: gradients are clipped to this norm; 0 = never.
        rates: factors on `lr` by part of the network, e.g. `{backbone: 0.1}`; what is nearest counts.
        backbone_lr: factor on `lr` for the backbone in stages `inlier` and `inlier_gmm`; 0 = frozen.
        adapt_norm: the backbone's batch-norm statistics follow the training frames (its weights may stay frozen).
        loss_stride: the loss is taken at 1/loss_stride of the crop size (labels by nearest); larger is cheaper.
        unknowns: false = this stage sees no pasted unknowns.
        cached: so many samples are made once, and what the frozen backbone and teachers make of them kept on disk; all
            steps draw from these. 0 = every step sees new samples.
        member: which member of the head `ensemble` this stage trains, from 0; its own decoder, if it has one, stands
            for the network's. None = the head itself.
        keep: share of the weights from before this stage in those after it, for what it trained.
        options: of the method: its stage class's `Options`.
    """

    method: str
    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    no_decay: list[str] = Field(default_factory=list)
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["poly", "constant"] = "poly"
    power: float = Field(1.0, gt=0)
    final_lr: float = Field(0.0, ge=0)
    warmup: int = Field(0, ge=0)
    clip: float = Field(0.0, ge=0)
    rates: dict[str, float] = Field(default_factory=dict)
    backbone_lr: float = Field(0.0, ge=0)
    adapt_norm: bool = False
    loss_stride: int = Field(1, ge=1, le=8)
    unknowns: bool = True
    cached: int = Field(0, ge=0)
    member: int | None = Field(None, ge=0)
    keep: float = Field(0.0, ge=0, lt=1)
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        if method not in METHODS:
            raise ValueError(f"no method {method!r}; {_nearest(method, METHODS)}")
        return method

    @model_validator(mode="after")
    def _options_fit(self) -> StageSpec:
        model = stage_class(self.method).Options
        for key in self.options:
            if key not in model.model_fields:
                raise ValueError(f"options: {self.method} has no {key!r}; {_nearest(key, model.model_fields)}")
        try:
            self.settings  # noqa: B018 (validates)
        except ValidationError as error:
            item = error.errors()[0]
            raise ValueError(f"options: {'.'.join(map(str, item['loc']))}: {item['msg']}") from error
        return self

    @property
    def settings(self) -> Any:
        """The options of the method with its defaults, a model of its stage class's `Options`."""
        return stage_class(self.method).Options.model_validate(self.options)

    def rate(self, step: int) -> float:
        """Learning rate at optimiser step `step` (from 0) as a factor on `lr`."""
        if step < self.warmup:
            return step / self.warmup  # 0 in the first step, as in the references
        if self.schedule == "constant":
            return 1.0
        left = max(0.0, (self.steps - step) / max(1, self.steps - self.warmup))
        last = self.final_lr / self.lr
        return last + (1.0 - last) * left**self.power


def _nearest(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
