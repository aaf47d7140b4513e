"""How near a network comes to overflowing, measured before an engine is made of it.

Some runtimes turn the NaN of an overflow into an ordinary number (`findings/openvino_nan_in_relu.sh`), so nobody behind
them could see it. A NaN needs a value that is out of range first, and values grow over layers: what is measured is the
largest one that any layer hands on for the golden frame. It costs nothing while driving.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import EngineError
from ..model_card import InputSpec
from ..networks.segmentor import Segmentor
from .graph import DeployGraph
from .precision import FULL, half_parts

LARGEST = {"fp32": 1e15, "bf16": 1e15, "fp16": 65504 / 2}
"""Largest value on the golden frame. FP32 and BF16 end at 3e38, and norms square what they read; frames that drive a
layer a thousand times higher than the golden one still pass. FP16 ends at 65504, which networks do come near."""


def check_headroom(segmentor: Segmentor, spec: InputSpec, image: np.ndarray, precision: str, where: str) -> float:
    """Largest magnitude that a layer hands on for `image` (RGB uint8 `[H, W, 3]`); in FP16 of the parts that run in it.

    Raises:
        EngineError: it is not finite, or too near to where `precision` ends; names the layer.
    """
    kind = precision if precision in LARGEST else "fp32"
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
    if not value <= LARGEST[kind]:
        what = "the weights are damaged or the training diverged: see what engine torch answers"
        raise EngineError(
            f"{where}: layer {name} reaches {value:.3g} on the golden frame; {kind} engines are made of networks that "
            f"stay below {LARGEST[kind]:.3g}, because a brighter frame can overflow and the runtime may hide it; "
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
