"""What all training methods share: normalisation, optimiser, which parts learn, and the sum of their terms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import ConfigError
from ...labels import LabelSet
from ...losses.masks import counted_over_processes
from ...model_card import InputSpec
from ...networks.segmentor import HeadInput, Segmentor, align_corners
from ..data_recipe import Strict
from ..methods import StageSpec
from .frozen import Frozen


class NoOptions(Strict):
    """A method that has no options."""


class Stage(lightning.LightningModule, ABC):
    """Base of the methods: a subclass names what it trains and gives `terms(batch)`.

    Everything that is not trained is frozen: no gradients, and eval mode, so that no batch-norm statistics drift.
    """

    Options: ClassVar[type[Strict]] = NoOptions
    """What a recipe may say of this method under `options`, with the paper's values as defaults."""

    may_skip_parameters = False
    """Whether a step can leave trained parameters without a gradient (several processes must know)."""

    def __init__(
        self,
        segmentor: Segmentor,
        spec: InputSpec,
        stage: StageSpec,
        trained: Mapping[str, float],
        seed: int = 0,
        train_mode: Sequence[str] | None = None,
    ) -> None:
        """Freeze `segmentor` but for `trained`.

        Args:
            trained: part of the segmentor, as a dotted module name (`head`, `decoder.final`) → factor on its rate.
                Parts inside of parts are allowed; the longest name counts.
            seed: of the draws that a method makes while it trains.
            train_mode: parts that enter train mode (batch-norm statistics, dropout); None = the trained ones.

        Raises:
            ConfigError: a part that this network does not have.
        """
        super().__init__()
        self.segmentor = segmentor
        self.stage = stage
        self.options = stage.settings
        self.seed = seed
        self.trained = {part: factor for part, factor in trained.items() if factor > 0} | dict(stage.rates)
        self._train_mode = tuple(self.trained if train_mode is None else train_mode)
        self.register_buffer("mean", torch.tensor(spec.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(spec.std)[:, None, None], persistent=False)
        self.reversed = spec.channel_order == "bgr"
        self.frozen = Frozen(segmentor)
        segmentor.requires_grad_(False)
        for part in sorted(self.trained, key=len):
            find_part(segmentor, part).requires_grad_(self.trained[part] > 0)
        self.train()  # Lightning leaves the modes as it finds them

    @abstractmethod
    def terms(self, images: Tensor, target: Tensor, extra: Tensor | None) -> dict[str, Tensor]:
        """The weighted terms of this method's loss by name, scalars.

        Args:
            images: normalised float32 `[B, 3, H, W]`; pairs `[B, 2, 3, H, W]` as they come.
            target: uint8 of the same leading shape, `[..., H, W]`.
            extra: what samples carry beside: the overlap of pairs, or recorded `answers`.
        """

    def training_step(self, batch: Sequence[Tensor], index: int) -> Tensor:
        """Sum of the terms, scalar; logs it and them."""
        images, target, *extra = batch
        with counted_over_processes():
            terms = self.terms(self.normalize(images), target, extra[0] if extra else None)
        loss = self.total(terms)
        several = self.trainer.world_size > 1
        self.log("loss", loss, prog_bar=True, sync_dist=several)
        if len(terms) > 1:
            self.log_dict({f"term_{name}": value.detach() for name, value in terms.items()}, sync_dist=several)
        return loss

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """Sum of the terms, scalar.

        Raises:
            ConfigError: nothing that is trained changes it.
        """
        first, *others = terms.values()
        loss = sum(others, first)
        if not loss.requires_grad:
            parts = ", ".join(part for part, factor in self.trained.items() if factor > 0)
            missing = "the head" if self.segmentor.head is not None else "decoder or classifier"
            raise ConfigError(
                f"stage {self.stage.method}: nothing that it trains ({parts}) changes its loss; train {missing}, or "
                "another part that the loss is computed from (`trained` of its options, or `rates`)"
            )
        return loss

    def normalize(self, images: Tensor) -> Tensor:
        """uint8 `[..., 3, H, W]` → normalised float32, channels last where that exists; floats as they are."""
        if images.is_floating_point():
            return images.float()
        if self.reversed:
            images = images.flip(-3)
        images = (images.float() / 255.0 - self.mean) / self.std
        return images.contiguous(memory_format=torch.channels_last) if images.dim() == 4 else images

    def pixels(self, images: Tensor) -> Tensor:
        """What `normalize` was given: RGB in [0, 1] of normalised images `[B, 3, H, W]`."""
        pixels = images * self.std + self.mean
        return pixels.flip(-3) if self.reversed else pixels

    def draw(self) -> torch.Generator:
        """A generator for this step of this process: the same after a resume."""
        number = (self.seed * 1_000_003 + self.global_step) * 1009 + self.global_rank
        return torch.Generator().manual_seed(number % (1 << 63))

    def train(self, mode: bool = True) -> Stage:
        """Only parts that learn enter train mode."""
        super().train(mode)
        self.segmentor.eval()
        if mode:
            for part in sorted(self._train_mode, key=len):
                find_part(self.segmentor, part).train(self.trained.get(part, 1.0) > 0)
        # A pretrained backbone keeps its batch statistics even while its weights move, unless asked otherwise.
        self.segmentor.backbone.train(mode and self.stage.adapt_norm)
        return self

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups, one per trained part, with its rate.

        Raises:
            ConfigError: nothing learns.
        """
        parts = sorted(self.trained, key=len, reverse=True)
        seen: set[int] = set()
        groups = []
        for part, module in [*((part, find_part(self.segmentor, part)) for part in parts), ("training_only", self)]:
            own = [(n, p) for n, p in module.named_parameters() if id(p) not in seen and p.requires_grad]
            seen |= {id(p) for _, p in own}
            lr = self.stage.lr * self.trained.get(part, 1.0)
            plain = [p for n, p in own if not self._undecayed(f"{part}.{n}", p)]
            undecayed = [p for n, p in own if self._undecayed(f"{part}.{n}", p)]
            if plain:
                groups.append({"params": plain, "lr": lr, "name": part})
            if undecayed:
                groups.append({"params": undecayed, "lr": lr, "name": f"{part}, no decay", "weight_decay": 0.0})
        if not groups:
            parts = ", ".join(self.trained) or "nothing"
            raise ConfigError(
                f"stage {self.stage.method}: what it trains ({parts}) has no parameter that learns; train another part "
                "of the network (`trained` of its options, or `rates`)"
            )
        return groups

    def _undecayed(self, name: str, parameter: Tensor) -> bool:
        return any(parameter.dim() <= 1 if key == "norms" else key in name for key in self.stage.no_decay)

    def configure_optimizers(self) -> dict[str, object]:
        """The stage's optimiser and its rate per step."""
        stage = self.stage
        if stage.optimizer == "sgd":
            optimizer: torch.optim.Optimizer = torch.optim.SGD(
                self.groups(), lr=stage.lr, momentum=stage.momentum, weight_decay=stage.weight_decay
            )
        else:
            kind = torch.optim.AdamW if stage.optimizer == "adamw" else torch.optim.Adam
            optimizer = kind(self.groups(), lr=stage.lr, betas=stage.betas, weight_decay=stage.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, stage.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def extract(self, images: Tensor) -> tuple[HeadInput, Tensor]:
        """What the frozen base sees, and its raw inlier logits, at the decoder's resolution; without gradients."""
        return self.frozen.extract(images)

    def features(self, images: Tensor) -> list[Tensor]:
        """What the backbone makes of the images; with a graph where it learns."""
        backbone = self.segmentor.backbone
        learns = any(p.requires_grad for p in backbone.parameters()) or any(m.training for m in backbone.modules())
        return backbone(images) if learns else self.frozen.features(images)

    def answers(self, images: Tensor, plain: Tensor, features: list[Tensor], target: Tensor) -> Tensor | None:
        """What a stage with `cached` samples keeps of each beside the features, `[B, C, h, w]`, and finds in `extra`;
        None = nothing.

        Args:
            images, features: normalised `[B, 3, H, W]`, and what the backbone makes of them.
            plain: the same pictures without paint on the ground.
            target: `[B, H, W]`, not subsampled.
        """
        return None

    def name_classes(self, labels: LabelSet) -> None:
        """What the class ids of the targets mean, for a stage that learns classes of others."""
        return None

    def answers_from(self) -> str:
        """Changes with whatever `answers` depends on, beside the samples and the backbone."""
        return ""

    def fit(self, maps: Tensor, target: Tensor) -> Tensor:
        """Maps `[B, C, h, w]` in float32 at the size of `target` `[B, H, W]`, resized as this network does."""
        if maps.shape[-2:] == target.shape[-2:]:
            return maps.float()
        corners = align_corners(self.segmentor.decoder)
        return F.interpolate(maps.float(), size=target.shape[-2:], mode="bilinear", align_corners=corners)

    def subsample(self, target: Tensor) -> Tensor:
        """Every `loss_stride`-th row and column of `[..., H, W]`, from the middle of each cell."""
        stride = self.stage.loss_stride
        return target[..., stride // 2 :: stride, stride // 2 :: stride]


def find_part(segmentor: Segmentor, part: str) -> nn.Module:
    """A module of the segmentor by its dotted name.

    Raises:
        ConfigError: there is none.
    """
    try:
        module = segmentor.get_submodule(part)
    except AttributeError:
        module = None
    if module is None or getattr(segmentor, part.split(".")[0], None) is None:
        names = [name for name, _ in segmentor.named_modules() if 0 < len(name.split(".")) <= 2 and name]
        raise ConfigError(f"this network has no part {part!r} to train; it has {', '.join(names[:40])}")
    return module


def flat_pairs(values: Tensor, plain: int) -> Tensor:
    """Pairs `[B, 2, ...]` → `[2B, ...]`, pictures of one pair side by side; what has `plain` dimensions stays."""
    return values.flatten(0, 1) if values.dim() > plain else values
