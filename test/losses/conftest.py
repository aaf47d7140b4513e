"""Random logits and targets that every objective is tried on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch


@pytest.fixture
def random_batch() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """`(seed, shape, outlier)` → logits of that shape (times 3) and a target of classes 0 and 3, 253, outlier, 255."""

    def make(seed: int, shape: tuple[int, ...], outlier: int = 254) -> tuple[torch.Tensor, torch.Tensor]:
        generator = torch.Generator().manual_seed(seed)
        logits = 3 * torch.randn(shape, generator=generator)
        values = torch.tensor([0, 3, 253, outlier, 255])
        target = values[torch.randint(0, 5, (shape[0], *shape[2:]), generator=generator)]
        return logits, target

    return make
