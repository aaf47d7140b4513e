"""Islands of full precision inside of mixed-precision networks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def full_precision(device: torch.device) -> AbstractContextManager:
    """Autocast off on this device: without it, matrix products of float32 tensors are still rounded to half.

    Nothing at all where autocast is off already, so that exported graphs hold no trace of it.
    """
    if not torch.amp.is_autocast_available(device.type) or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
