"""What a run would do, without training: parameters, steps, and an estimate of time and memory."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..labels import load_labels
from .estimate import StepEstimate, estimate_step
from .frames import load_frames
from .recipe import Recipe
from .run_stage import make_stage, seen_by
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
    """What a run would do: number of frames and parameters, what it starts from, its stages.

    `start_seconds`: reading lists and weights, as it took now; `calibration_seconds`: held-out frames, forward only.
    """

    frames: int
    parameters: int
    start: str
    stages: list[StagePlan]
    start_seconds: float = 0.0
    calibration_seconds: float = 0.0

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        steps = sum(stage.steps * stage.step.seconds for stage in self.stages)
        return self.start_seconds + steps + self.calibration_seconds


def plan(recipe: Recipe) -> TrainingPlan:
    """The run that `recipe` describes.

    Its datasets and start weights are read and its first samples are made, so their errors show here; where the network
    is small, some steps of every stage are executed.
    """
    began = time.perf_counter()
    labels = load_labels(recipe.label_set)
    segmentor = segmentor_of(recipe, labels)
    start = load_start(segmentor, recipe)
    frames = load_frames(recipe.data, labels)
    start_seconds = time.perf_counter() - began
    stages = []
    for index, spec in enumerate(recipe.stages):
        module = make_stage(recipe, index, segmentor)
        samples = Samples.of(seen_by(recipe, spec), frames, labels, recipe.seed + index, start=0, stop=spec.batch)
        samples[0]  # its errors show here even where no step is executed
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
        step = estimate_step(module, recipe, samples)
        stages.append(StagePlan(spec.method, spec.steps, spec.steps * spec.batch, trained, frozen, step))
    held_out = recipe.calibration.frames
    if recipe.calibration.objects is not None:
        held_out += len(load_frames(recipe.calibration.objects.data, labels))
    # Backward takes about twice as long as forward.
    per_image = max(stage.step.seconds / spec.batch for stage, spec in zip(stages, recipe.stages, strict=True)) / 3
    parameters = sum(p.numel() for p in segmentor.parameters())
    return TrainingPlan(len(frames), parameters, start, stages, start_seconds, held_out * per_image)
