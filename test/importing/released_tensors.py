"""Random tensors of a given layout, of sizes at which signals neither die nor explode."""

from __future__ import annotations

import torch
from torch import Tensor

Layout = dict[str, tuple[int, ...]]


def norm(name: str, width: int, running: bool = True) -> Layout:
    """Keys of a batch norm (`running`) or layer norm."""
    keys: Layout = {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    if running:
        keys |= {f"{name}.running_mean": (width,), f"{name}.running_var": (width,), f"{name}.num_batches_tracked": ()}
    return keys


def both(name: str, outputs: int, *inputs: int) -> Layout:
    """Weight and bias of a linear layer or convolution."""
    return {f"{name}.weight": (outputs, *inputs), f"{name}.bias": (outputs,)}


def random_state(layout: Layout, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in layout.items():
        values = torch.randn(shape, generator=generator)
        if key.endswith(("num_batches_tracked", "queue_ptr", "iteration_counter")):
            values = torch.zeros(shape, dtype=torch.long)
        elif key.endswith(("running_var", "diagonal")):
            values = 0.5 + values.abs()
        elif len(shape) == 1:
            values = 0.3 * values + (1.0 if key.endswith(("weight", "gamma")) else 0.0)
        elif key.endswith("weight"):
            values = values * (1.5 / max(1, values[0].numel())) ** 0.5
        state[key] = values
    return state


def meta_state(layout: Layout) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in layout.items()}
