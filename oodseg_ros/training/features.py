"""What frozen networks make of a fixed set of samples, computed once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..errors import ConfigError
from ..networks.heads.other_network import OtherNetwork
from ..paths import cache_dir
from .recipe import Recipe
from .samples import Samples
from .stages.stage import Stage

SIZES = "sizes.json"
"""The last file of a recording: how long the others are."""
TOLD_BY = 8
"""So many samples tell one set of data from another with the same names."""


class Recorded(nn.Module):
    """Stands in for a backbone whose maps are the batch itself, packed into the shape of a picture:
    `[B, planes, H, W]` → its maps `[B, C, h, w]`.
    """

    def __init__(self, backbone: nn.Module, folder: Path) -> None:
        super().__init__()
        self.channels, self.strides, self.multiple = backbone.channels, backbone.strides, backbone.multiple
        self._shapes = [tuple(shape) for shape in json.loads((folder / "shapes.json").read_text())]

    def forward(self, packed: Tensor) -> list[Tensor]:
        counts = [math.prod(shape) for shape in self._shapes]
        parts = packed.flatten(1)[:, : sum(counts)].split(counts, dim=1)
        maps = [part.unflatten(1, shape) for part, shape in zip(parts, self._shapes, strict=True)]
        return [each.contiguous(memory_format=torch.channels_last) for each in maps]


class FeatureSamples(Dataset):
    """`[i]` → packed features float16 `[planes, H, W]`, target uint8 `[H, W]`, and where the stage has some
    `Stage.answers` float16 `[C, h, w]`, of one of the kept samples, a function of (seed, i).
    """

    def __init__(self, folder: Path, seed: int, stop: int) -> None:
        names = [name for name in ("features", "targets", "answers") if (folder / f"{name}.npy").is_file()]
        self._kept = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in names]
        self._seed, self._stop = seed, stop

    def __len__(self) -> int:
        return self._stop

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        number = int(np.random.default_rng([self._seed, index]).integers(len(self._kept[0])))
        return tuple(torch.from_numpy(kept[number].copy()) for kept in self._kept)


def record_features(samples: Samples, bare: Samples | None, module: Stage, recipe: Recipe) -> Path:
    """The folder with what `Recorded` and `FeatureSamples` read; made once per backbone, teachers, data and number of
    samples, and anew where it is damaged.

    Args:
        bare: the same samples without paint on the ground, where `samples` have some.
        recipe: what of it decides on samples is part of the folder's name.

    Raises:
        ConfigError: the stage trains the backbone, or a part reads pictures beside it, or samples are pairs, or what
            networks make of them is no number in half precision, or the disk is full.
    """
    stage = module.stage
    trained = {part.split(".")[0] for part, factor in module.trained.items() if factor}
    if stage.adapt_norm or "backbone" in trained:
        raise ConfigError(f"stage {stage.method}: `cached` features are those of a frozen backbone, this one learns")
    if any(isinstance(part, OtherNetwork) for part in module.segmentor.modules()):
        raise ConfigError(
            f"stage {stage.method}: `cached` keeps no pictures, which another network reads; name a `member`"
        )
    folder = cache_dir() / "features" / _identity(samples, module, recipe)
    if _whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        _record(samples, bare, module, part)
        _give(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _whole(folder: Path) -> bool:
    """Whether all of a recording is there, and as long as it was."""
    try:
        sizes = json.loads((folder / SIZES).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def _give(part: Path, folder: Path) -> None:
    """`part` becomes `folder`, unless another training has made the same meanwhile; what is damaged goes."""
    for _ in range(3):
        try:
            part.rename(folder)
            return
        except OSError:
            if _whole(folder):
                return
            shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


@torch.no_grad()
def _record(samples: Samples, bare: Samples | None, module: Stage, folder: Path) -> None:
    kept: dict[str, np.ndarray] = {}
    for index in track(range(len(samples)), "features", console=Console(stderr=True)):
        image, target, *_ = samples[index]
        images = module.normalize(image[None])
        maps = module.features(images)
        plain = images
        if bare is not None and module.answers_from() and not torch.equal(image, unpainted := bare[index][0]):
            plain = module.normalize(unpainted[None])
        answers = module.answers(images, plain, maps, target[None])
        found = {"features": _packed(maps, target), "targets": target}
        if answers is not None:
            found["answers"] = answers[0].half()
        if wrong := [name for name, value in found.items() if not value.isfinite().all()]:
            raise ConfigError(
                f"`cached` keeps half precision; {wrong[0]} of sample {index} are NaN, infinite or above 65504 in it"
            )
        if not kept:
            (folder / "shapes.json").write_text(json.dumps([list(each.shape[1:]) for each in maps]))
            kept = {name: _array(folder / f"{name}.npy", len(samples), value) for name, value in found.items()}
        for name, value in found.items():
            kept[name][index] = value.numpy()
    for array in kept.values():
        array.flush()
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    (folder / SIZES).write_text(json.dumps(sizes))


def _array(file: Path, count: int, like: Tensor) -> np.ndarray:
    array = np.lib.format.open_memmap(file, "w+", like.numpy().dtype, (count, *like.shape))
    try:
        # Now, for on a full disk writing to memory that stands for a file ends the process.
        with file.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, file.stat().st_size)
    except OSError as error:
        raise ConfigError(
            f"`cached` samples cannot be kept in {file.parent.parent}, the {file.stem} take {array.nbytes >> 20} MiB: "
            f"{error.strerror}; $OODSEG_CACHE names another folder"
        ) from error
    return array


def _packed(maps: list[Tensor], target: Tensor) -> Tensor:
    """Maps of one picture as float16 `[planes, H, W]` of the size of `target`, so that a batch of them has the size of
    its pictures for all that asks.
    """
    flat = torch.cat([each.flatten() for each in maps]).half()
    planes = math.ceil(len(flat) / target.numel())
    packed = flat.new_zeros(planes * target.numel())
    packed[: len(flat)] = flat
    return packed.view(planes, *target.shape)


def _identity(samples: Samples, module: Stage, recipe: Recipe) -> str:
    told = hashlib.sha256(
        recipe.model_dump_json(exclude={"name", "description", "stages", "calibration", "licence"}).encode()
    )
    # What lies in the folders that the recipe names: which frames, and a few samples of what is made of them.
    told.update("\n".join(frame.id for frame in samples.frames).encode())
    for index in range(min(TOLD_BY, len(samples))):
        image, target, *_ = samples[index]
        if image.dim() != 3:
            raise ConfigError("`cached` features are of single pictures; this recipe's samples are pairs")
        told.update(image.numpy().tobytes() + target.numpy().tobytes())
    stage = module.stage
    told.update(f"{stage.cached} {stage.unknowns} {module.answers_from()}".encode())
    for name, value in sorted(module.segmentor.backbone.state_dict().items()):
        told.update(name.encode())
        told.update(value.detach().cpu().float().numpy().tobytes())
    return told.hexdigest()[:24]
