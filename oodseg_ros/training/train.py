"""Run a recipe: load frames, train its stages with Lightning, calibrate, write the bundle."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from ..bundle import Bundle, ModelCard, save_bundle
from ..errors import ConfigError
from ..inference.graph import DeployGraph
from ..labels import load_labels
from ..networks.backbones.efficientnet_lite import imagenet_weights
from ..networks.build import build_segmentor
from ..networks.segmentor import Segmentor
from .calibration import calibrate
from .frames import TrainingFrame, load_frames
from .recipe import Recipe
from .samples import Samples
from .stages import STAGES

SAVE_EVERY = 100
GOLDEN_SIZE = (192, 320)


@dataclass(frozen=True)
class TrainingPlan:
    """What a run would do; printed by `--dry-run`.

    Attributes:
        frames: number of training frames.
        parameters: part → number of parameters.
        stages: per stage (method, steps, images).
    """

    frames: int
    parameters: dict[str, int]
    stages: list[tuple[str, int, int]]


def plan(recipe: Recipe) -> TrainingPlan:
    """The run that `recipe` describes, without running it (datasets are read)."""
    segmentor = build_segmentor(recipe.network)
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in segmentor.named_children()}
    frames = load_frames(recipe.data, load_labels(recipe.label_set))
    return TrainingPlan(len(frames), parts, [(s.method, s.steps, s.steps * s.batch) for s in recipe.stages])


def train(recipe: Recipe, out: Path, resume: bool = False, threads: int = 0) -> Bundle:
    """Train and write `out/<name>` as a bundle; logs, curves and checkpoints go to `out/run`.

    Args:
        resume: go on from the newest checkpoints in `out/run`; stages that are done are not run again.
        threads: CPU threads, 0 = torch's default.

    Raises:
        ConfigError, DatasetError: the recipe asks for what is not there.
    """
    if threads:
        torch.set_num_threads(threads)
    lightning.seed_everything(recipe.seed, verbose=False)
    labels = load_labels(recipe.label_set)
    segmentor = build_segmentor(recipe.network)
    if segmentor.classes != len(labels):
        raise ConfigError(
            f"recipe {recipe.name}: classifier has {segmentor.classes} classes, {labels.name} has {len(labels)}"
        )
    _load_pretrained(segmentor, recipe)
    frames = load_frames(recipe.data, labels)
    seconds = [_run_stage(recipe, index, segmentor, frames, out / "run", resume) for index in range(len(recipe.stages))]
    return _write_bundle(recipe, segmentor, out / recipe.name, seconds, len(frames))


def _load_pretrained(segmentor: Segmentor, recipe: Recipe) -> None:
    if recipe.network["backbone"]["name"] == "efficientnet_lite":
        segmentor.backbone.load_imagenet(imagenet_weights(recipe.network["backbone"].get("variant", 0)))


def _run_stage(
    recipe: Recipe, index: int, segmentor: Segmentor, frames: list[TrainingFrame], folder: Path, resume: bool
) -> float:
    stage = recipe.stages[index]
    name = f"stage{index + 1}_{stage.method}"
    done = folder / f"{name}.pt"
    if resume and done.is_file():
        segmentor.load_state_dict(torch.load(done, weights_only=True))
        return 0.0
    checkpoint = folder / name / "last.ckpt"
    start = _finished_steps(checkpoint) if resume and checkpoint.is_file() else 0
    samples = Samples(
        frames,
        recipe.outliers,
        load_labels(recipe.label_set),
        recipe.crop,
        recipe.widths,
        seed=recipe.seed + index,
        start=start * stage.batch,
        stop=stage.steps * stage.batch,
    )
    loader = DataLoader(samples, stage.batch, num_workers=recipe.workers, persistent_workers=recipe.workers > 0)
    module = STAGES[stage.method](segmentor, recipe.input, stage).to(memory_format=torch.channels_last)
    # Written under a temporary name and renamed by Lightning: a crash in the middle of a save loses nothing.
    saver = ModelCheckpoint(
        folder / name, filename="step", every_n_train_steps=SAVE_EVERY, save_last=True, save_top_k=1
    )
    trainer = lightning.Trainer(
        max_steps=stage.steps,
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
        logger=[CSVLogger(folder, name=name, version=""), TensorBoardLogger(folder, name=name, version="")],
        callbacks=[saver, RichProgressBar()],
        log_every_n_steps=20,
        enable_model_summary=False,
    )
    began = time.monotonic()
    trainer.fit(module, loader, ckpt_path=str(checkpoint) if start else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    part = done.with_suffix(".part")
    torch.save(segmentor.state_dict(), part)
    part.replace(done)
    return time.monotonic() - began


def _finished_steps(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])


def _write_bundle(recipe: Recipe, segmentor: Segmentor, path: Path, seconds: list[float], count: int) -> Bundle:
    segmentor = segmentor.cpu().float().eval().to(memory_format=torch.contiguous_format)
    labels = load_labels(recipe.label_set)

    def predict(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        graph = DeployGraph(segmentor, recipe.input, *image.shape[:2]).eval()
        with torch.inference_mode():
            label, score = graph(torch.from_numpy(image)[None])
        return label[0].numpy(), score[0].numpy()

    held_out = load_frames(recipe.calibration.data, labels)
    samples = Samples(
        held_out,
        recipe.outliers,
        labels,
        recipe.crop,
        recipe.widths,
        recipe.seed + 10_000,
        0,
        recipe.calibration.frames,
    )
    pairs = [
        (image.permute(1, 2, 0).contiguous().numpy(), target.numpy())
        for image, target in (samples[i] for i in range(len(samples)))
    ]
    calibration = calibrate(
        lambda image: predict(image)[1],
        pairs,
        recipe.calibration.false_positive_rate,
        f"{len(pairs)} crops of held-out frames with pasted unknowns; {recipe.calibration.false_positive_rate:.2%} of known pixels above",
    )
    golden = np.ascontiguousarray(pairs[0][0][: GOLDEN_SIZE[0], : GOLDEN_SIZE[1]])
    label, score = predict(golden)
    card = ModelCard(
        name=recipe.name,
        description=recipe.description,
        label_set=recipe.label_set,
        network=recipe.network,
        input=recipe.input,
        calibration=calibration,
        training={
            "recipe": recipe.model_dump(mode="json", exclude={"network", "input", "licence"}),
            "frames": count,
            "seconds_per_stage": [round(s) for s in seconds],
            "torch": torch.__version__,
            "machine": platform.machine(),
        },
        licence=recipe.licence,
    )
    return save_bundle(path, card, segmentor.state_dict(), {"image": golden, "labels": label, "score": score})
