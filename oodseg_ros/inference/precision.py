"""Mixed precision by module: what may round, rounds; what decides between likelihoods, does not.

Runtimes that compile strongly typed networks (TensorRT) take every type from the graph, so the types are put into the
network before it is exported. Backbone and decoder compute in half precision; their layer norms, the classifier, the
anomaly head and everything behind them (log-sum-exp, ratios, the score) in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..networks.heads.drl import DrlReconstruction
from ..networks.heads.residual import ResidualFeature, ResidualPattern
from ..networks.segmentor import Segmentor

HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
HALF_HEADS = (ResidualPattern, DrlReconstruction)
"""Heads that are decoders of their own, convolutions on wide maps. What they hand on is float32."""
NORMS = (nn.LayerNorm, nn.GroupNorm)
"""Sums of squares over hundreds of channels, which overflow in float16."""
FULL = {"fp16": NORMS, "bf16": (*NORMS, nn.ConvTranspose2d)}
"""Layers of half-precision parts that compute in float32 all the same; TensorRT-RTX has no BF16 deconvolution."""


def half_parts(segmentor: Segmentor) -> dict[str, nn.Module]:
    """The parts that compute in half precision, by their attribute's name."""
    parts = {"backbone": segmentor.backbone, "decoder": segmentor.decoder}
    # Where RPL's second logits come out of the decoder's own last block, they round as the first ones do.
    reads_block = isinstance(segmentor.head, ResidualFeature) and hasattr(segmentor.decoder, "last_block")
    if reads_block or isinstance(segmentor.head, HALF_HEADS):
        parts["head"] = segmentor.head
    return parts


@torch.no_grad()
def lower(segmentor: Segmentor, precision: str) -> Segmentor:
    """Change a segmentor in place to `fp16` or `bf16`; call it after `prepare`, whose tables are made in float32.

    Inputs and outputs stay float32. Every layer casts its input to the type of its own weights, so that constants made
    on the way (position codes, grids) do no harm.
    """
    dtype = HALVES[precision]
    for part in half_parts(segmentor).values():
        for module in part.modules():
            if isinstance(module, _BatchNorm):
                _rewrite(module)
            if isinstance(module, FULL[precision]):
                module.register_forward_hook(_Returns(dtype))
            else:
                _cast(module, dtype)
    for module in segmentor.modules():
        weight = next((p for p in module.parameters(recurse=False) if p.is_floating_point()), None)
        if weight is not None:
            module.register_forward_pre_hook(_Takes(weight.dtype), with_kwargs=True)
    return segmentor


class _Takes:
    """Hook: floating tensors among the arguments are cast to `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        return tuple(map(self._cast, arguments)), {key: self._cast(value) for key, value in options.items()}

    def _cast(self, value: Any) -> Any:
        return value.to(self.dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


class _Returns:
    """Hook: the output is cast to `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, module: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
        return output.to(self.dtype)


def _cast(module: nn.Module, dtype: torch.dtype) -> None:
    """Parameters and buffers of this module itself, not of its children."""
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)


def _rewrite(norm: _BatchNorm) -> None:
    """The same affine map with mean 0 and variance 1: a variance can exceed what float16 holds."""
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is None:
        norm.weight, norm.bias = nn.Parameter(torch.ones_like(scale)), nn.Parameter(torch.zeros_like(scale))
    norm.weight.mul_(scale)
    norm.bias.sub_(norm.running_mean * norm.weight)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0)
    norm.eps = 0.0
