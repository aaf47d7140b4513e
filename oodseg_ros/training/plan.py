"""What a run would do, without training: parameters, steps, and an estimate of time and memory."""

from __future__ import annotations

from dataclasses import dataclass

from ..labels import load_labels
from .estimate import StepEstimate, estimate_step
from .frames import load_frames
from .methods import stage_class
from .recipe import Recipe
from .run_stage import seen_by
from .samples import Samples
from .start import load_start
from .train import segmentor_of


@dataclass(frozen=True)
class StagePlan:
    """One stage: optimiser steps, images seen, parameters with and without gradients, one step of it."""

    method: str
    steps: int
    images: int
    trained: int
    frozen: int
    step: StepEstimate


@dataclass(frozen=True)
class TrainingPlan:
    """What a run would do: number of frames and parameters, what it starts from, its stages."""

    frames: int
    parameters: int
    start: str
    stages: list[StagePlan]


def plan(recipe: Recipe) -> TrainingPlan:
    """The run that `recipe` describes.

    Its datasets and start weights are read and its first samples are made, so their errors show here; where the network
    is small, two steps of every stage are executed.
    """
    labels = load_labels(recipe.label_set)
    segmentor = segmentor_of(recipe, labels)
    start = load_start(segmentor, recipe)
    frames = load_frames(recipe.data, labels)
    stages = []
    for index, spec in enumerate(recipe.stages):
        module = stage_class(spec.method)(segmentor, recipe.input, spec, recipe.seed + index)
        samples = Samples.of(seen_by(recipe, spec), frames, labels, recipe.seed + index, start=0, stop=spec.batch)
        samples[0]  # its errors show here even where no step is executed
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
        step = estimate_step(module, recipe, samples)
        stages.append(StagePlan(spec.method, spec.steps, spec.steps * spec.batch, trained, frozen, step))
    return TrainingPlan(len(frames), sum(p.numel() for p in segmentor.parameters()), start, stages)
