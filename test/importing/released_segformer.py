"""SegFormer as mmsegmentation and as its original repository save it: the keys, and what they compute, key by key."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from released_tensors import Layout, both, norm
from torch import Tensor

HEADS, REDUCTIONS = (1, 2, 5, 8), (8, 4, 2, 1)


def block_layout(form: str, name: str, width: int, reduction: int) -> Layout:
    hidden = 4 * width
    keys = norm(f"{name}.norm1", width, False) | norm(f"{name}.norm2", width, False)
    if form == "mmseg":
        keys |= {f"{name}.attn.attn.in_proj_weight": (3 * width, width), f"{name}.attn.attn.in_proj_bias": (3 * width,)}
        keys |= both(f"{name}.attn.attn.out_proj", width, width)
        keys |= both(f"{name}.ffn.layers.0", hidden, width, 1, 1) | both(f"{name}.ffn.layers.1", hidden, 1, 3, 3)
        keys |= both(f"{name}.ffn.layers.4", width, hidden, 1, 1)
    else:
        keys |= both(f"{name}.attn.q", width, width) | both(f"{name}.attn.kv", 2 * width, width)
        keys |= both(f"{name}.attn.proj", width, width) | both(f"{name}.mlp.dwconv.dwconv", hidden, 1, 3, 3)
        keys |= both(f"{name}.mlp.fc1", hidden, width) | both(f"{name}.mlp.fc2", width, hidden)
    if reduction > 1:
        keys |= both(f"{name}.attn.sr", width, width, reduction, reduction) | norm(f"{name}.attn.norm", width, False)
    return keys


def segformer_layout(
    form: str, widths: tuple[int, ...], depths: tuple[int, ...], channels: int, classes: int = 19
) -> Layout:
    keys: Layout = {}
    inputs = 3
    for stage, (width, depth, reduction) in enumerate(zip(widths, depths, REDUCTIONS, strict=True)):
        kernel = 7 if stage == 0 else 3
        embed = f"backbone.layers.{stage}.0" if form == "mmseg" else f"backbone.patch_embed{stage + 1}"
        keys |= both(f"{embed}.{'projection' if form == 'mmseg' else 'proj'}", width, inputs, kernel, kernel)
        keys |= norm(f"{embed}.norm", width, False)
        for block in range(depth):
            name = f"backbone.layers.{stage}.1.{block}" if form == "mmseg" else f"backbone.block{stage + 1}.{block}"
            keys |= block_layout(form, name, width, reduction)
        end = f"backbone.layers.{stage}.2" if form == "mmseg" else f"backbone.norm{stage + 1}"
        keys |= norm(end, width, False)
        if form == "mmseg":
            keys |= {f"decode_head.convs.{stage}.conv.weight": (channels, width, 1, 1)}
            keys |= norm(f"decode_head.convs.{stage}.bn", channels)
        else:
            keys |= both(f"decode_head.linear_c{stage + 1}.proj", channels, width)
        inputs = width
    if form == "mmseg":
        keys |= {"decode_head.fusion_conv.conv.weight": (channels, 4 * channels, 1, 1)}
        keys |= norm("decode_head.fusion_conv.bn", channels)
        return keys | both("decode_head.conv_seg", classes, channels, 1, 1)
    keys |= {"decode_head.linear_fuse.conv.weight": (channels, 4 * channels, 1, 1)}
    keys |= norm("decode_head.linear_fuse.bn", channels) | both("decode_head.linear_pred", classes, channels, 1, 1)
    return keys | both("decode_head.conv_seg", classes, 128, 1, 1)


class Evaluation:
    """What a released state dict computes, with nothing but functional calls on its own keys."""

    def __init__(self, form: str, state: dict[str, Tensor], depths: tuple[int, ...]) -> None:
        self.form, self.state, self.depths = form, state, depths
        self.inner_epsilon = 1e-6 if form == "mmseg" else 1e-5

    def part(self, name: str) -> tuple[Tensor, Tensor]:
        return self.state[f"{name}.weight"], self.state[f"{name}.bias"]

    def norm(self, name: str, x: Tensor, epsilon: float = 1e-6) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *self.part(name), epsilon)

    def linear(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self.part(name)
        return F.linear(x, weight.flatten(1), bias)

    def batch_norm(self, name: str, x: Tensor) -> Tensor:
        keys = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.state[f"{name}.{key}"] for key in keys))

    def projections(self, name: str) -> list[tuple[Tensor, Tensor]]:
        if self.form == "mmseg":
            weight, bias = (self.state[f"{name}.attn.in_proj_{key}"] for key in ("weight", "bias"))
            return list(zip(weight.chunk(3), bias.chunk(3), strict=True))
        kv = [part.chunk(2) for part in self.part(f"{name}.kv")]
        return [self.part(f"{name}.q"), *zip(*kv, strict=True)]

    def attention(self, name: str, x: Tensor, size: tuple[int, int], heads: int, reduction: int) -> Tensor:
        source = x
        if reduction > 1:
            grid = x.transpose(1, 2).unflatten(2, size)
            source = F.conv2d(grid, *self.part(f"{name}.sr"), stride=reduction).flatten(2).transpose(1, 2)
            source = self.norm(f"{name}.norm", source, self.inner_epsilon)
        parts = zip((x, source, source), self.projections(name), strict=True)
        q, k, v = (F.linear(y, *weights).unflatten(2, (heads, -1)).transpose(1, 2) for y, weights in parts)
        weights = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).softmax(dim=-1)
        mixed = (weights @ v).transpose(1, 2).flatten(2)
        return self.linear(f"{name}.attn.out_proj" if self.form == "mmseg" else f"{name}.proj", mixed)

    def mlp(self, name: str, x: Tensor, size: tuple[int, int]) -> Tensor:
        mm = self.form == "mmseg"
        names = ("ffn.layers.0", "ffn.layers.1", "ffn.layers.4") if mm else ("mlp.fc1", "mlp.dwconv.dwconv", "mlp.fc2")
        first, depthwise, last = names
        x = self.linear(f"{name}.{first}", x).transpose(1, 2).unflatten(2, size)
        x = F.conv2d(x, *self.part(f"{name}.{depthwise}"), padding=1, groups=x.shape[1])
        return self.linear(f"{name}.{last}", F.gelu(x).flatten(2).transpose(1, 2))

    def maps(self, x: Tensor) -> list[Tensor]:
        mm = self.form == "mmseg"
        kept = []
        for stage, depth in enumerate(self.depths):
            embed = f"backbone.layers.{stage}.0" if mm else f"backbone.patch_embed{stage + 1}"
            stride, padding = (4, 3) if stage == 0 else (2, 1)
            x = F.conv2d(x, *self.part(f"{embed}.{'projection' if mm else 'proj'}"), stride=stride, padding=padding)
            size = x.shape[-2:]
            x = self.norm(f"{embed}.norm", x.flatten(2).transpose(1, 2), self.inner_epsilon)
            for block in range(depth):
                name = f"backbone.layers.{stage}.1.{block}" if mm else f"backbone.block{stage + 1}.{block}"
                y = self.norm(f"{name}.norm1", x)
                x = x + self.attention(f"{name}.attn", y, size, HEADS[stage], REDUCTIONS[stage])
                x = x + self.mlp(name, self.norm(f"{name}.norm2", x), size)
            x = self.norm(f"backbone.layers.{stage}.2" if mm else f"backbone.norm{stage + 1}", x)
            x = x.transpose(1, 2).unflatten(2, size)
            kept.append(x)
        return kept

    def __call__(self, images: Tensor) -> Tensor:
        """Logits at input size."""
        maps = self.maps(images)
        projected = []
        for stage, x in enumerate(maps):
            if self.form == "mmseg":
                x = F.conv2d(x, self.state[f"decode_head.convs.{stage}.conv.weight"])
                x = self.batch_norm(f"decode_head.convs.{stage}.bn", x).relu()
            else:
                x = self.linear(f"decode_head.linear_c{stage + 1}.proj", x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            projected.append(F.interpolate(x, size=maps[0].shape[-2:], mode="bilinear", align_corners=False))
        if self.form == "mmseg":
            fuse, classify, joined = "decode_head.fusion_conv", "decode_head.conv_seg", projected
        else:
            fuse, classify, joined = "decode_head.linear_fuse", "decode_head.linear_pred", projected[::-1]
        x = F.conv2d(torch.cat(joined, dim=1), self.state[f"{fuse}.conv.weight"])
        x = F.conv2d(self.batch_norm(f"{fuse}.bn", x).relu(), *self.part(classify))
        return F.interpolate(x, size=images.shape[-2:], mode="bilinear", align_corners=False)
