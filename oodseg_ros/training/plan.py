"""What a run would do, without running it."""

from __future__ import annotations

from dataclasses import dataclass

from ..labels import load_labels
from .frames import load_frames
from .recipe import Recipe
from .stages import STAGES
from .train import segmentor_of


@dataclass(frozen=True)
class StagePlan:
    """One stage of a plan: optimiser steps, images seen, parameters that get gradients."""

    method: str
    steps: int
    images: int
    trained: int


@dataclass(frozen=True)
class TrainingPlan:
    """What a run would do: number of frames and parameters, and its stages."""

    frames: int
    parameters: int
    stages: list[StagePlan]


def plan(recipe: Recipe) -> TrainingPlan:
    """The run that `recipe` describes, without running it; its datasets are read, so their errors show here."""
    labels = load_labels(recipe.label_set)
    segmentor = segmentor_of(recipe, labels)
    stages = []
    for stage in recipe.stages:
        module = STAGES[stage.method](segmentor, recipe.input, stage)
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        stages.append(StagePlan(stage.method, stage.steps, stage.steps * stage.batch, trained))
    return TrainingPlan(len(load_frames(recipe.data, labels)), sum(p.numel() for p in segmentor.parameters()), stages)
