"""NVIDIA's DeepLabV3+ on WiderResNet38, RPL and the two-stage head: their keys, and what they compute, key by key."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from released_tensors import Layout, norm
from torch import Tensor

BLOCKS = (3, 3, 6, 3, 1, 1)
WIDTHS = ((128, 128), (256, 256), (512, 512), (512, 1024), (512, 1024, 2048), (1024, 2048, 4096))
RATES = (12, 24, 36)


def trunk_layout(divisor: int = 1) -> Layout:
    keys: Layout = {"mod1.conv1.weight": (64 // divisor, 3, 3, 3)}
    inputs = 64 // divisor
    for stage, (count, widths) in enumerate(zip(BLOCKS, WIDTHS, strict=True), start=2):
        widths = [width // divisor for width in widths]
        for block in range(1, count + 1):
            name = f"mod{stage}.block{block}"
            keys |= norm(f"{name}.bn1.0", inputs)
            kernels = (3, 3) if len(widths) == 2 else (1, 3, 1)
            before = inputs
            for index, (width, kernel) in enumerate(zip(widths, kernels, strict=True), start=1):
                if index > 1:
                    keys |= norm(f"{name}.convs.bn{index}.0", before)
                keys[f"{name}.convs.conv{index}.weight"] = (width, before, kernel, kernel)
                before = width
            if block == 1:
                keys[f"{name}.proj_conv.weight"] = (widths[-1], inputs, 1, 1)
            inputs = widths[-1]
    return keys


def aspp_layout(name: str, inputs: int, width: int) -> Layout:
    keys: Layout = {}
    for index, kernel in enumerate((1, 3, 3, 3)):
        keys[f"{name}.features.{index}.0.weight"] = (width, inputs, kernel, kernel)
        keys |= norm(f"{name}.features.{index}.1", width)
    keys[f"{name}.img_conv.0.weight"] = (width, inputs, 1, 1)
    return keys | norm(f"{name}.img_conv.1", width)


def deeplab_layout(divisor: int = 1, classes: int = 19) -> Layout:
    width, fine, top = 256 // divisor, 48 // divisor, 4096 // divisor
    keys = trunk_layout(divisor) | aspp_layout("aspp", top, width)
    keys |= {"bot_fine.weight": (fine, 128 // divisor, 1, 1), "bot_aspp.weight": (width, 5 * width, 1, 1)}
    keys |= {"final.0.weight": (width, fine + width, 3, 3)} | norm("final.1", width)
    keys |= {"final.3.weight": (width, width, 3, 3)} | norm("final.4", width)
    return keys | {"final.6.weight": (classes, width, 1, 1)}


def residual_layout(divisor: int = 1, projector: bool = True) -> Layout:
    width, joined = 256 // divisor, 304 // divisor
    keys = aspp_layout("residual_block.atten_aspp", 4096 // divisor, width)
    keys["residual_block.bot_atten_aspp.weight"] = (width, 5 * width, 1, 1)
    keys["residual_block.atten_aspp_final.weight"] = (joined, width, 1, 1)
    if projector:
        keys["residual_block.proj_head.proj.0.weight"] = (joined, width, 1, 1)
        keys["residual_block.proj_head.proj.0.bias"] = (joined,)
    return keys


def ood_head_layout(divisor: int = 1, classes: int = 19) -> Layout:
    return {"ood_head.weight": (classes, 256 // divisor, 1, 1)}


def prefixed(prefix: str, layout: Layout) -> Layout:
    return {prefix + key: shape for key, shape in layout.items()}


class Evaluation:
    """What a released state dict computes, with nothing but functional calls on its own keys."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def conv(self, name: str, x: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        padding = dilation if weight.shape[-1] == 3 else 0
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, padding, dilation)

    def norm_relu(self, name: str, x: Tensor) -> Tensor:
        part = [self.state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.relu(F.batch_norm(x, *part))

    def trunk(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv("mod1.conv1", images)
        fine = None
        for stage, count in enumerate(BLOCKS, start=2):
            if stage in (2, 3):
                x = F.max_pool2d(x, 3, 2, 1)
            dilation = {5: 2, 6: 4, 7: 4}.get(stage, 1)
            for block in range(1, count + 1):
                x = self.block(f"mod{stage}.block{block}", x, 2 if (stage, block) == (4, 1) else 1, dilation)
            fine = x if stage == 2 else fine
        return fine, x

    def block(self, name: str, x: Tensor, stride: int, dilation: int) -> Tensor:
        y = self.norm_relu(f"{name}.bn1.0", x)
        skip = self.conv(f"{name}.proj_conv", y, stride) if f"{name}.proj_conv.weight" in self.state else x
        y = self.conv(f"{name}.convs.conv1", y, stride, dilation)
        y = self.conv(f"{name}.convs.conv2", self.norm_relu(f"{name}.convs.bn2.0", y), 1, dilation)
        if f"{name}.convs.conv3.weight" in self.state:
            y = self.conv(f"{name}.convs.conv3", self.norm_relu(f"{name}.convs.bn3.0", y))
        return y + skip

    def aspp(self, name: str, x: Tensor) -> Tensor:
        pooled = self.norm_relu(f"{name}.img_conv.1", self.conv(f"{name}.img_conv.0", F.adaptive_avg_pool2d(x, 1)))
        branches = [up(pooled, x.shape[-2:])]
        for index, dilation in enumerate((1, *RATES)):
            y = self.conv(f"{name}.features.{index}.0", x, 1, dilation)
            branches.append(self.norm_relu(f"{name}.features.{index}.1", y))
        return torch.cat(branches, dim=1)

    def feature(self, joined: Tensor) -> Tensor:
        x = self.norm_relu("final.1", self.conv("final.0", joined))
        return self.norm_relu("final.4", self.conv("final.3", x))

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        size = images.shape[-2:]
        fine, coarse = self.trunk(images)
        joined = torch.cat(
            [self.conv("bot_fine", fine), up(self.conv("bot_aspp", self.aspp("aspp", coarse)), fine.shape[-2:])], dim=1
        )
        feature = self.feature(joined)
        result = {"logits": up(self.conv("final.6", feature), size)}
        if "ood_head.weight" in self.state:
            u = -self.conv("ood_head", feature).logsumexp(dim=1, keepdim=True)
            result["uncertainty"] = up(u, size)[:, 0]
        if "residual_block.atten_aspp_final.weight" in self.state:
            x = self.conv("residual_block.bot_atten_aspp", self.aspp("residual_block.atten_aspp", coarse))
            residual = self.conv("residual_block.atten_aspp_final", up(x, fine.shape[-2:]))
            second = up(self.conv("final.6", self.feature(joined + residual)), size)
            result["residual_energy"] = blur(-second.logsumexp(dim=1))
        return result


def up(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=True)


def blur(score: Tensor) -> Tensor:
    steps = torch.arange(7.0) - 3
    kernel = torch.exp(-(steps**2) / 2)
    kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
    return F.conv2d(F.pad(score[:, None], (3, 3, 3, 3), mode="reflect"), kernel[None, None])[:, 0]
