"""Features of a frozen backbone, computed once for a fixed set of samples and kept on disk."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..errors import ConfigError
from ..paths import cache_dir
from .methods import StageSpec
from .recipe import Recipe
from .samples import Samples


class Recorded(nn.Module):
    """Stands in for a backbone whose maps are the batch itself: `[B, sum of channels, h, w]` → its maps."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.channels, self.strides, self.multiple = backbone.channels, backbone.strides, backbone.multiple

    def forward(self, maps: Tensor) -> list[Tensor]:
        return list(maps.split(self.channels, dim=1))


class FeatureSamples(Dataset):
    """`[i]` → (features float16 `[C, h, w]`, target uint8 `[H, W]`) of one of the kept samples, a function of
    (seed, i).
    """

    def __init__(self, folder: Path, seed: int, stop: int) -> None:
        self._maps = np.load(folder / "features.npy", mmap_mode="r")
        self._targets = np.load(folder / "targets.npy", mmap_mode="r")
        self._seed, self._stop = seed, stop

    def __len__(self) -> int:
        return self._stop

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        number = int(np.random.default_rng([self._seed, index]).integers(len(self._maps)))
        return torch.from_numpy(self._maps[number].copy()), torch.from_numpy(self._targets[number].copy())


def record_features(
    samples: Samples, backbone: nn.Module, recipe: Recipe, stage: StageSpec, normalize: Callable[[Tensor], Tensor]
) -> Path:
    """The folder with features and targets of `samples`; made once per backbone, data and number of samples.

    Args:
        backbone: frozen; its maps have one size.
        recipe: what of it decides on samples is part of the folder's name.
        normalize: uint8 `[B, 3, H, W]` → what the backbone takes.

    Raises:
        ConfigError: the stage trains the backbone, or its maps have several sizes, or samples are pairs.
    """
    if stage.backbone_lr or stage.adapt_norm or any(part.split(".")[0] == "backbone" for part in stage.rates):
        raise ConfigError(f"stage {stage.method}: `cached` features are those of a frozen backbone, this one learns")
    folder = cache_dir() / "features" / _identity(backbone, recipe, stage)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        _record(samples, backbone, part, normalize)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


@torch.inference_mode()
def _record(samples: Samples, backbone: nn.Module, folder: Path, normalize: Callable[[Tensor], Tensor]) -> None:
    features = targets = None
    for index in track(range(len(samples)), "features", console=Console(stderr=True)):
        image, target, *_ = samples[index]
        if image.dim() != 3:
            raise ConfigError("`cached` features are of single pictures; this recipe's samples are pairs")
        maps = backbone(normalize(image[None]))
        if len({tuple(one.shape[-2:]) for one in maps}) > 1:
            raise ConfigError("`cached` features need a backbone whose maps have one size (a vision transformer)")
        found = torch.cat(maps, dim=1)[0].half().numpy()
        if features is None:
            shapes = (len(samples), *found.shape), (len(samples), *target.shape)
            features = np.lib.format.open_memmap(folder / "features.npy", "w+", np.float16, shapes[0])
            targets = np.lib.format.open_memmap(folder / "targets.npy", "w+", np.uint8, shapes[1])
        features[index], targets[index] = found, target.numpy()
    features.flush()
    targets.flush()


def _identity(backbone: nn.Module, recipe: Recipe, stage: StageSpec) -> str:
    told = hashlib.sha256(
        recipe.model_dump_json(exclude={"name", "description", "stages", "calibration", "licence"}).encode()
    )
    told.update(f"{stage.cached} {stage.unknowns}".encode())
    for name, value in sorted(backbone.state_dict().items()):
        told.update(name.encode())
        told.update(value.detach().cpu().float().numpy().tobytes())
    return told.hexdigest()[:24]
