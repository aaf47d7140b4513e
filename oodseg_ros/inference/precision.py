"""Mixed precision by module: what may round, rounds; what decides between likelihoods, does not.

Runtimes that compile strongly typed networks (TensorRT) take every type from the graph, so the types are put into the
network before it is exported. Backbone and decoder compute in half precision; their layer norms, the classifier, the
anomaly head and everything behind them (log-sum-exp, ratios, the score) in float32.

How near a network comes to overflowing is measured before an engine is made of it: some runtimes turn the NaN of an
overflow into an ordinary number (`findings/openvino_nan_in_relu.sh`), so nobody behind them could see it. A NaN needs a
value that is out of range first, and values grow over layers: what is measured is the largest one that any layer hands
on for the golden frame. It costs nothing while driving.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import EngineError
from ..model_card import InputSpec
from ..networks.heads.drl import DrlReconstruction
from ..networks.heads.residual import ResidualFeature, ResidualPattern
from ..networks.segmentor import Segmentor
from .graph import DeployGraph

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


MAX_VALUE = {"fp32": 1e15, "bf16": 1e15, "fp16": 65504 / 2}
"""Largest value on the golden frame. FP32 and BF16 end at 3e38, and norms square what they read; frames that drive a
layer a thousand times higher than the golden one still pass. FP16 ends at 65504, which networks do come near."""


def check_headroom(segmentor: Segmentor, spec: InputSpec, image: np.ndarray, precision: str, where: str) -> float:
    """Largest magnitude that a layer hands on for `image` (RGB uint8 `[H, W, 3]`); in FP16 of the parts that run in it.

    Raises:
        EngineError: it is not finite, or too near to where `precision` ends; names the layer.
    """
    kind = precision if precision in MAX_VALUE else "fp32"
    parts = half_parts(segmentor) if kind == "fp16" else {"": segmentor}
    measured: dict[str, float] = {}
    hooks = []
    for part, root in parts.items():
        for name, module in root.named_modules():
            if any(True for _ in module.children()) or (kind == "fp16" and isinstance(module, FULL["fp16"])):
                continue
            hooks.append(module.register_forward_hook(_Largest(measured, f"{part}.{name}".strip("."))))
    try:
        with torch.inference_mode():
            DeployGraph(segmentor, spec, *image.shape[:2]).eval()(torch.from_numpy(np.ascontiguousarray(image))[None])
    finally:
        for hook in hooks:
            hook.remove()
    name, value = max(measured.items(), key=lambda item: item[1], default=("", 0.0))
    if not value <= MAX_VALUE[kind]:
        what = "the weights are damaged or the training diverged: see what engine torch answers"
        raise EngineError(
            f"{where}: layer {name} reaches {value:.3g} on the golden frame; {kind} engines are made of networks that "
            f"stay below {MAX_VALUE[kind]:.3g}, because a brighter frame can overflow and the runtime may hide it; "
            + ("use bf16 or fp32" if kind == "fp16" else what)
        )
    return value


class _Largest:
    """Hook: keeps the largest magnitude of a module's output; NaN counts as infinite."""

    def __init__(self, into: dict[str, float], name: str) -> None:
        self.into, self.name = into, name

    def __call__(self, module: nn.Module, arguments: object, output: object) -> None:
        if isinstance(output, Tensor) and output.is_floating_point() and output.numel():
            largest = float(output.detach().abs().amax())
            self.into[self.name] = max(self.into.get(self.name, 0.0), largest if largest == largest else float("inf"))
