"""UEM on DINOv2: the keys of its checkpoints, and what they compute, key by key."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from released_tensors import Layout, both, norm
from torch import Tensor

TAPS = (1, 4, 8, 11)


def vit_layout(width: int, depth: int, grid: int) -> Layout:
    keys: Layout = {"cls_token": (1, 1, width), "pos_embed": (1, grid * grid + 1, width)}
    keys |= {"register_tokens": (1, 4, width), "mask_token": (1, width)}
    keys |= both("patch_embed.proj", width, 3, 14, 14)
    for block in range(depth):
        name = f"blocks.{block}"
        keys |= norm(f"{name}.norm1", width, False) | norm(f"{name}.norm2", width, False)
        keys |= both(f"{name}.attn.qkv", 3 * width, width) | both(f"{name}.attn.proj", width, width)
        keys |= both(f"{name}.mlp.fc1", 4 * width, width) | both(f"{name}.mlp.fc2", width, 4 * width)
        keys |= {f"{name}.ls1.gamma": (width,), f"{name}.ls2.gamma": (width,)}
    return keys | norm("norm", width, False)


def fpn_layout(width: int, hidden: int, out: int) -> Layout:
    keys = norm("fpn1.0", width, False) | both("fpn1.1", width, width, 2, 2) | norm("fpn1.2", width)
    keys |= both("fpn1.4", width, width, 2, 2) | norm("fpn2.0", width, False) | both("fpn2.1", width, width, 2, 2)
    keys |= norm("fpn3", width, False) | norm("fpn4.0", width, False)
    keys |= both("dino_mlp._layers.0", hidden, width) | both("dino_mlp._layers.2", out, hidden)
    for level, blocks in enumerate((1, 1, 2, 3)):
        keys |= both(f"lateral_convs.{level}", out, width + (out if level == 2 else 0), 1, 1)
        keys |= both(f"fpn_convs.{level}", out, out, 3, 3)
        for block in range(blocks):
            keys[f"heads.{level}.{4 * block}.weight"] = (out, out, 3, 3)
            keys |= norm(f"heads.{level}.{4 * block + 1}", out)
    return keys


def mixture_layout(name: str, classes: int, width: int, memory: int) -> Layout:
    keys: Layout = {f"{name}.means": (classes, 5, width), f"{name}.diagonal": (classes, 5, width)}
    keys |= {f"{name}.eye_matrix": (width,), f"{name}.iteration_counter": (1,)}
    keys |= {f"{name}.queue": (classes * 5, width, memory), f"{name}.queue_ptr": (classes * 5,)}
    return keys | norm(f"{name}.feat_norm", width, False) | norm(f"{name}.mask_norm", classes, False)


def segmentor_layout(
    form: str, width: int = 768, depth: int = 12, grid: int = 37, hidden: int = 512, out: int = 256, memory: int = 8000
) -> Layout:
    keys = {f"backbone.dinov2.{key}": shape for key, shape in vit_layout(width, depth, grid).items()}
    keys |= {f"backbone.learnable_layers.{key}": shape for key, shape in fpn_layout(width, hidden, out).items()}
    if form == "D":
        return keys | both("segmentation_head._head", 19, out)
    return keys | mixture_layout("segmentation_head", 19, out, memory)


def ood_layout(
    forms: str, width: int = 768, hidden: int = 512, out: int = 256, memory: int = 8000, **rest: int
) -> Layout:
    parts = segmentor_layout(forms[0], width, hidden=hidden, out=out, memory=memory, **rest)
    keys: Layout = {f"segmentor.{key}": shape for key, shape in parts.items()}
    for layer, (outputs, inputs) in zip((0, 2, 4), ((hidden, width), (hidden, hidden), (out, hidden)), strict=True):
        keys |= both(f"ood_projector._layers.{layer}", outputs, inputs)
    return keys | (both("ood_head._head", 2, out) if forms[1] == "D" else mixture_layout("ood_head", 2, out, memory))


class Evaluation:
    """What a released state dict computes on one window, with nothing but functional calls on its own keys."""

    def __init__(self, state: dict[str, Tensor], head_width: int = 64) -> None:
        self.state = {key.removeprefix("segmentor."): value for key, value in state.items()}
        self.head_width = head_width

    def part(self, name: str, *keys: str) -> list[Tensor]:
        return [self.state[f"{name}.{key}"] for key in keys or ("weight", "bias")]

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, *self.part(name))

    def layer_norm(self, name: str, x: Tensor, eps: float = 1e-6) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *self.part(name), eps)

    def conv(self, name: str, x: Tensor) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), padding=weight.shape[-1] // 2)

    def batch_norm(self, name: str, x: Tensor) -> Tensor:
        return F.batch_norm(x, *self.part(name, "running_mean", "running_var", "weight", "bias"))

    def group_norm(self, name: str, x: Tensor) -> Tensor:
        return F.group_norm(x, 1, *self.part(name))

    def twice(self, name: str, x: Tensor) -> Tensor:
        return F.conv_transpose2d(x, *self.part(name), stride=2)

    def layers(self, images: Tensor) -> list[Tensor]:
        """Normed patch tokens of the four layers, as maps."""
        root = "backbone.dinov2"
        rows, cols = images.shape[-2] // 14, images.shape[-1] // 14
        x = F.conv2d(images, *self.part(f"{root}.patch_embed.proj"), stride=14).flatten(2).transpose(1, 2)
        table = self.state[f"{root}.pos_embed"]
        side = math.isqrt(table.shape[1] - 1)
        grid = table[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        if (rows, cols) != (side, side):
            grid = F.interpolate(grid, size=(rows, cols), mode="bicubic", antialias=True)
        x = torch.cat([self.state[f"{root}.cls_token"].expand(len(x), -1, -1), x], dim=1)
        x = x + torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
        x = torch.cat([x[:, :1], self.state[f"{root}.register_tokens"].expand(len(x), -1, -1), x[:, 1:]], dim=1)
        kept = []
        for block in range(12):
            name = f"{root}.blocks.{block}"
            y = self.attention(f"{name}.attn", self.layer_norm(f"{name}.norm1", x))
            x = x + self.state[f"{name}.ls1.gamma"] * y
            y = F.gelu(self.linear(f"{name}.mlp.fc1", self.layer_norm(f"{name}.norm2", x)))
            x = x + self.state[f"{name}.ls2.gamma"] * self.linear(f"{name}.mlp.fc2", y)
            if block in TAPS:
                kept.append(self.layer_norm(f"{root}.norm", x)[:, 5:].transpose(1, 2).unflatten(2, (rows, cols)))
        return kept

    def attention(self, name: str, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        heads = max(1, width // self.head_width)
        q, k, v = self.linear(f"{name}.qkv", x).reshape(batch, tokens, 3, heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        return self.linear(f"{name}.proj", (weights @ v).transpose(1, 2).reshape(batch, tokens, width))

    def pyramid(self, maps: list[Tensor]) -> Tensor:
        root = "backbone.learnable_layers"
        x = self.twice(f"{root}.fpn1.1", self.group_norm(f"{root}.fpn1.0", maps[0]))
        levels = [self.twice(f"{root}.fpn1.4", F.gelu(self.batch_norm(f"{root}.fpn1.2", x)))]
        levels.append(self.twice(f"{root}.fpn2.1", self.group_norm(f"{root}.fpn2.0", maps[1])))
        tokens = maps[3].permute(0, 2, 3, 1)
        mlp = self.linear(f"{root}.dino_mlp._layers.2", self.linear(f"{root}.dino_mlp._layers.0", tokens).relu())
        levels.append(torch.cat([self.group_norm(f"{root}.fpn3", maps[2]), mlp.permute(0, 3, 1, 2)], dim=1))
        levels.append(F.max_pool2d(self.group_norm(f"{root}.fpn4.0", maps[3]), 2))
        laterals = [self.conv(f"{root}.lateral_convs.{i}", level) for i, level in enumerate(levels)]
        for i in (3, 2, 1):
            laterals[i - 1] = laterals[i - 1] + F.interpolate(laterals[i], size=laterals[i - 1].shape[-2:])
        total = None
        for i, blocks in enumerate((1, 1, 2, 3)):
            x = self.conv(f"{root}.fpn_convs.{i}", laterals[i])
            for block in range(blocks):
                y = self.conv(f"{root}.heads.{i}.{4 * block}", x)
                x = self.batch_norm(f"{root}.heads.{i}.{4 * block + 1}", y).relu()
                if i > 0:
                    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            if total is not None:
                x = F.interpolate(x, size=total.shape[-2:], mode="bilinear", align_corners=True)
            total = x if total is None else total + x
        return total

    def classes(self, name: str, x: Tensor) -> Tensor:
        """Linear head, or mixture: best component, then layer norm over classes. `[B, C, h, w]` → `[B, K, h, w]`."""
        tokens = x.permute(0, 2, 3, 1)
        if f"{name}._head.weight" in self.state:
            return self.linear(f"{name}._head", tokens).permute(0, 3, 1, 2)
        unit = F.normalize(self.layer_norm(f"{name}.feat_norm", tokens, 1e-5), dim=-1)
        means = F.normalize(self.state[f"{name}.means"], dim=-1)
        gaussians = torch.distributions.Normal(means, self.state[f"{name}.diagonal"])
        best = gaussians.log_prob(unit[..., None, None, :]).sum(-1).amax(-1)
        return self.layer_norm(f"{name}.mask_norm", best, 1e-5).permute(0, 3, 1, 2)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """(inlier logits, U) at input size."""
        size = images.shape[-2:]
        maps = self.layers(images)
        inlier = self.classes("segmentation_head", self.pyramid(maps))
        inlier = F.interpolate(inlier, size=size, mode="bilinear", align_corners=False)
        if "ood_projector._layers.0.weight" not in self.state:
            return inlier, None
        x = maps[3].permute(0, 2, 3, 1)
        for layer in (0, 2):
            x = self.linear(f"ood_projector._layers.{layer}", x).relu()
        x = self.linear("ood_projector._layers.4", x).permute(0, 3, 1, 2)
        unknown = self.classes("ood_head", x)
        return inlier, F.interpolate(unknown, size=size, mode="bilinear", align_corners=False)
