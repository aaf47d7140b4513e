"""What a run would do, without training: parameters, steps, and time and memory of a step, measured on real samples
where the network is small, else estimated from its FLOPs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ..inference.graph import predict
from ..labels import load_labels
from ..networks.build import build_segmentor
from ..networks.heads.ensemble import with_member
from ..networks.segmentor import Segmentor
from ..process import keep_freed_memory
from .finish import check_held_out
from .frames import load_frames
from .recipe import Recipe
from .run_stage import make_stage, seen_by
from .samples import Samples
from .stages.stage import Stage
from .start import load_start
from .train import notes_on, segmentor_of

MEASURABLE = 2e11
"""FLOPs of the largest step that a dry run executes."""
STEPS = 6
"""Optimiser steps that are measured."""
CONVOLUTION_BACKWARD = torch.ops.aten.convolution_backward
EFFICIENCY = 0.3
"""Share of the device's matrix-product rate that convolutional networks reach, roughly."""


@dataclass(frozen=True)
class StepEstimate:
    """Seconds and bytes of one step of one process, and how they were found (a short sentence)."""

    seconds: float
    memory: int
    how: str


def estimate_step(module: Stage, recipe: Recipe, samples: Any) -> StepEstimate:
    """One step of `module` with the batch of its stage; `samples` are indexed from 0."""
    per_image, activations = step_cost(recipe, module.trained, module.stage.member)
    count = min(module.stage.batch, int(MEASURABLE / max(1.0, per_image)))
    if count >= 1:
        batch = [torch.stack(values) for values in zip(*(samples[index] for index in range(count)), strict=True)]
        seconds, memory = measure_step(module, batch, precision=recipe.precision)
        scale = module.stage.batch / count
        fixed = state_bytes(module)
        return StepEstimate(seconds * scale, round((memory - fixed) * scale) + fixed, f"measured, {count} images")
    seconds = per_image * module.stage.batch / (EFFICIENCY * device_rate())
    memory = activations * module.stage.batch + state_bytes(module)
    return StepEstimate(seconds, memory, f"from {per_image / 1e12:.2g} TFLOP per image")


def measure_step(
    module: Stage, batch: Sequence[Tensor], steps: int = STEPS, precision: str = "fp32"
) -> tuple[float, int]:
    """Median seconds of `steps` optimiser steps on `batch`, of all but the first two, which warm up; and bytes: state,
    gradients and kept activations. `precision` is the recipe's: fp32, or bf16 where autocast takes it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keep_freed_memory()  # as `run_stage` does, and its memory format
    module.to(device, memory_format=torch.channels_last)
    batch = [values.to(device) for values in batch]
    optimizer = module.configure_optimizers()["optimizer"]
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    seconds = []
    for _ in range(steps):
        kept.clear()
        _wait(device)
        began = time.perf_counter()
        half = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")  # as Lightning's bf16-mixed
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), half:
            terms = module.terms(module.normalize(batch[0]), batch[1], batch[2] if len(batch) > 2 else None)
        optimizer.zero_grad()
        module.total(terms).backward()
        optimizer.step()
        _wait(device)
        seconds.append(time.perf_counter() - began)
    taken = float(np.median(seconds[2:] or seconds[-1:]))
    if device.type == "cuda":
        return taken, torch.cuda.max_memory_allocated(device)
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    activations = sum(size for pointer, size in kept.items() if pointer not in weights)
    return taken, state_bytes(module) + activations + sum(values.nbytes for values in batch)


def state_bytes(module: nn.Module) -> int:
    """Weights and buffers, and for what is trained a gradient and two moments."""
    fixed = sum(values.nbytes for values in (*module.parameters(), *module.buffers()))
    return fixed + 3 * sum(p.nbytes for p in module.parameters() if p.requires_grad)


def step_cost(recipe: Recipe, trained: Mapping[str, float], member: int | None = None) -> tuple[float, int]:
    """FLOPs and kept activations in bytes of one image, forward and backward, without the loss. Nothing is computed.

    `trained`: parts that get gradients, as in `Stage.trained`; `member`: as in `StageSpec`.
    """
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.device("meta"):
        segmentor = build_segmentor(recipe.network, recipe.input)
        segmentor = (segmentor if member is None else with_member(segmentor, member)).eval().requires_grad_(False)
        for part in sorted(trained, key=len):
            segmentor.get_submodule(part).requires_grad_(trained[part] > 0)
        images = torch.zeros(1, 3, *crop_size(recipe, segmentor.multiple))
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with FlopCounterMode(display=False, custom_mapping={CONVOLUTION_BACKWARD: backward_flops}) as counter:
            with hooks:
                outputs = [maps for maps in segmentor.evidence(images) if maps is not None and maps.requires_grad]
            sum(maps.sum() for maps in outputs).backward()
    weights = {p.untyped_storage()._cdata for p in segmentor.parameters()}
    return float(counter.get_total_flops()), sum(size for key, size in kept.items() if key not in weights)


def backward_flops(gradient: Sequence[int], inputs: Sequence[int], weight: Sequence[int], *more: Any, **_: Any) -> int:
    """FLOPs of a convolution's backward pass; torch's own count forgets groups (depthwise ones)."""
    transposed, wanted = more[4], more[7]
    places = inputs if transposed else gradient
    return (int(wanted[0]) + int(wanted[1])) * 2 * math.prod(places) * math.prod(weight[1:])


def crop_size(recipe: Recipe, multiple: int) -> tuple[int, int]:
    """(H, W) that the network sees, rounded up to what it takes."""
    height, width = recipe.augment.pad or recipe.crop
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def device_rate() -> float:
    """FLOP/s of a float32 matrix product on the device that training would use."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = 4096 if device.type == "cuda" else 1024
    x = torch.randn(side, side, device=device)
    best = float("inf")
    for _ in range(3):
        _wait(device)
        began = time.perf_counter()
        x @ x
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best


def _answer_seconds(segmentor: Segmentor, recipe: Recipe) -> float:
    """Of one picture of the crop's size; the first of two warms up."""
    for _ in range(2):
        began = time.perf_counter()
        predict(segmentor, recipe.input, np.zeros((*recipe.crop, 3), np.uint8))
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
    `notes`: what a person should know before it starts, a sentence each.
    """

    frames: int
    parameters: int
    start: str
    stages: list[StagePlan]
    start_seconds: float = 0.0
    calibration_seconds: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
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
    check_held_out(recipe, labels)
    notes = tuple(notes_on(recipe, labels, frames))
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
    if stages:  # backward takes about twice as long as forward
        per_image = max(stage.step.seconds / spec.batch for stage, spec in zip(stages, recipe.stages, strict=True)) / 3
    else:
        per_image = _answer_seconds(segmentor.eval(), recipe)
    parameters = sum(p.numel() for p in segmentor.parameters())
    return TrainingPlan(len(frames), parameters, start, stages, start_seconds, held_out * per_image, notes)
