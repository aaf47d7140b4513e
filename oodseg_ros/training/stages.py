"""Lightning modules, one per stage: what is trained, with which objective. All else is frozen and in eval mode."""

from __future__ import annotations

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses.llr import llr_loss
from ..model_card import InputSpec
from ..networks.segmentor import Segmentor
from .recipe import StageSpec

IGNORE = 255


class Stage(lightning.LightningModule):
    """What all stages share: normalisation, AdamW with linear warm-up and decay, frozen parts kept in eval mode."""

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec, trained: dict[str, float]) -> None:
        """`trained`: part of the segmentor (`backbone`, `decoder`, `classifier`, `head`) → factor on its rate."""
        super().__init__()
        self.segmentor = segmentor
        self.stage = stage
        self.trained = {part: factor for part, factor in trained.items() if factor > 0}
        self.register_buffer("mean", torch.tensor(spec.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(spec.std)[:, None, None], persistent=False)
        segmentor.requires_grad_(False)
        for part in self.trained:
            getattr(segmentor, part).requires_grad_(True)
        self.train()  # Lightning leaves the modes as it finds them

    def normalize(self, images: Tensor) -> Tensor:
        """uint8 `[B, 3, H, W]` → normalised float32, channels last."""
        return ((images.float() / 255.0 - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> Stage:
        """Frozen means frozen: only trained parts enter train mode, so no batch-norm statistics drift."""
        super().train(mode)
        for name, part in self.segmentor.named_children():
            part.train(mode and name in self.trained)
        # A pretrained backbone keeps its batch statistics even while its weights move, unless asked otherwise.
        self.segmentor.backbone.train(mode and self.stage.adapt_norm)
        return self

    def configure_optimizers(self) -> dict[str, object]:
        """AdamW, one group per part."""
        groups = [
            {"params": list(getattr(self.segmentor, part).parameters()), "lr": self.stage.lr * factor}
            for part, factor in self.trained.items()
        ]
        optimizer = torch.optim.AdamW(groups, lr=self.stage.lr, weight_decay=self.stage.weight_decay)
        warmup, steps = self.stage.warmup, self.stage.steps

        def factor(step: int) -> float:
            return min((step + 1) / max(1, warmup), max(0.0, (steps - step) / max(1, steps - warmup)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class InlierStage(Stage):
    """Cross-entropy of the inlier classes; pasted unknowns and pixels without a class are ignored."""

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec) -> None:
        super().__init__(segmentor, spec, stage, {"backbone": stage.backbone_lr, "decoder": 1.0, "classifier": 1.0})

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """CE over the counted pixels, scalar."""
        images, target = batch
        target = subsample(target, self.stage.loss_stride)
        segmentor = self.segmentor
        logits = resize(segmentor.classifier(segmentor.decoder(segmentor.backbone(self.normalize(images)))), target)
        target = torch.where(target < segmentor.classes, target, IGNORE).long()
        counted = (target != IGNORE).sum().clamp(min=1)
        loss = F.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum") / counted
        self.log("loss", loss, prog_bar=True)
        return loss


class UemStage(Stage):
    """Likelihood ratio of the unknown estimation module; segmentor frozen, so inlier logits stay bit-identical."""

    def __init__(self, segmentor: Segmentor, spec: InputSpec, stage: StageSpec) -> None:
        super().__init__(segmentor, spec, stage, {"head": 1.0})

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """LLR loss over the counted pixels, scalar."""
        images, target = batch
        target = subsample(target, self.stage.loss_stride)
        segmentor = self.segmentor
        with torch.no_grad():
            features = segmentor.backbone(self.normalize(images))
            inlier = resize(segmentor.classifier(segmentor.decoder(features)), target)
        loss = llr_loss(inlier, resize(segmentor.head(features), target), target)
        self.log("loss", loss, prog_bar=True)
        return loss


def subsample(target: Tensor, stride: int) -> Tensor:
    """Every `stride`-th row and column of `[B, H, W]`, from the middle of each cell."""
    return target[:, stride // 2 :: stride, stride // 2 :: stride]


def resize(logits: Tensor, target: Tensor) -> Tensor:
    """Logits `[B, C, h, w]` in float32 at the size of `target` `[B, H, W]`."""
    if logits.shape[-2:] == target.shape[-2:]:
        return logits.float()
    return F.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)


STAGES: dict[str, type[nn.Module]] = {"inlier": InlierStage, "uem": UemStage}
