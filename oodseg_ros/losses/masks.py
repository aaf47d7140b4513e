"""What every objective shares: which pixels count as what, and means over them that are defined for empty sets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
import torch.distributed as distributed
import torch.nn.functional as F
from torch import Tensor

from ..frame import OUTLIER, UNLABELED

_OVER_PROCESSES: ContextVar[bool] = ContextVar("over_processes", default=False)


@contextmanager
def counted_over_processes() -> Iterator[None]:
    """Inside, `masked_mean` divides by the mean count of all processes of a distributed run.

    Gradients are averaged over processes; with this the average is the gradient of the mean over the global batch,
    although the processes hold different numbers of counted pixels. Every process must come through the same calls.
    """
    token = _OVER_PROCESSES.set(True)
    try:
        yield
    finally:
        _OVER_PROCESSES.reset(token)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of float `values` where `mask` is true (same shape), scalar; zero with a graph where it is true nowhere."""
    total = values.where(mask, values.new_zeros(())).sum()
    count = mask.sum()
    if _OVER_PROCESSES.get() and distributed.is_available() and distributed.is_initialized():
        count = count.to(values.dtype)
        distributed.all_reduce(count)
        # Below one only where a process has nothing to add; the sum over all is at least one.
        return total / count.clamp(min=1) * distributed.get_world_size()
    return total / count.clamp(min=1)


def inliers(target: Tensor, outlier: int, ignore: int) -> Tensor:
    """Bool: pixels that are known to be no unknown, with or without a class."""
    return (target != outlier) & (target != ignore)


def classed(target: Tensor, classes: int, outlier: int, ignore: int) -> Tensor:
    """Bool: pixels with one of the `classes` ids."""
    return inliers(target, outlier, ignore) & (target < classes) & (target >= 0)


def cross_entropy_map(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """CE per pixel, float32 `[B, H, W]`, of logits `[B, K, H, W]`; meaningless but finite where not `counted`."""
    return F.cross_entropy(logits.float(), torch.where(counted, target, 0).long(), reduction="none")


def class_cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    weights: Tensor | None = None,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
) -> Tensor:
    """Mean CE over the pixels with a class, scalar; unknowns and pixels without a class are left out.

    Args:
        weights: `[K]`, what a pixel of each class counts; the mean is over pixels, so their scale is that of the loss.
    """
    counted = classed(target, logits.shape[1], outlier, ignore)
    values = cross_entropy_map(logits, target, counted)
    if weights is not None:
        values = values * weights.to(values.device)[torch.where(counted, target, 0).long()]
    return masked_mean(values, counted)


def uniform_cross_entropy(logits: Tensor, target: Tensor, outlier: int) -> Tensor:
    """Mean over the unknown pixels of -1/K Σ_k log p_k, scalar; log K where the prediction is uniform."""
    return masked_mean(-logits.float().log_softmax(dim=1).mean(dim=1), target == outlier)


def drawn(values: Tensor, count: int, generator: torch.Generator | None) -> Tensor:
    """`count` rows of `values`, or all where there are fewer, at random; the generator is on the CPU."""
    return values[torch.randperm(len(values), generator=generator)[:count].to(values.device)]


def log_sum_exp(logits: Tensor) -> Tensor:
    """log Σ_k exp λ_k in float32, `[B, K, ...]` → `[B, ...]`."""
    return logits.float().logsumexp(dim=1)


MIN_LOG_PROBABILITY = math.log(1e-7)


class SoftmaxMaps(torch.autograd.Function):
    """`apply(logits, ids)`: CE, entropy in nats and log Σ exp, float32 `[B, H, W]` each.

    Of logits float32 `[B, K, H, W]` and class ids int64 `[B, H, W]`. Probabilities below 1e-7 count as 1e-7 in the
    entropy. Picture by picture, and computed again on the way back: to write the maps of a whole batch to memory and to
    read them takes longer than the arithmetic.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.save_for_backward(logits, ids)
        ctx.set_materialize_grads(False)
        ce, entropy, total = (logits.new_empty(ids.shape) for _ in range(3))
        for index, picture in enumerate(logits):
            log = picture.log_softmax(dim=0)
            ce[index] = -log.gather(0, ids[index, None])[0]
            total[index] = picture[0] - log[0]
            log.clamp_(min=MIN_LOG_PROBABILITY)
            entropy[index] = -log.exp().mul_(log).sum(dim=0)
        return ce, entropy, total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None]:
        logits, ids = ctx.saved_tensors
        found = torch.empty_like(logits)
        for index, picture in enumerate(logits):
            ce, entropy, total = (None if each is None else each[index] for each in gradients)
            log = picture.log_softmax(dim=0)
            share = log.exp()
            factor = sum(each for each in (ce, total) if each is not None)
            if entropy is not None:
                slope = torch.where(log >= MIN_LOG_PROBABILITY, -share * (1 + log), 0)
                factor = factor - entropy * slope.sum(dim=0)
                torch.addcmul(share * factor, slope, entropy, out=found[index])
            else:
                torch.mul(share, factor, out=found[index])
            if ce is not None:
                found[index].scatter_add_(0, ids[index, None], -ce[None])
        return found, None


def component_contrast(contrast_logits: Tensor, contrast_target: Tensor) -> Tensor:
    """Mean CE of log-likelihoods `[N, K*M]` against components `[N]`; targets outside of 0..K*M-1 are left out.

    GMMSeg's (Liang et al., arXiv 2210.02025): what learns from it is the feature, and the two norms of the classifier;
    means and deviations are moved by `networks.classifiers.assign` and `update`.
    """
    counted = (contrast_target >= 0) & (contrast_target < contrast_logits.shape[1])
    return masked_mean(cross_entropy_map(contrast_logits, contrast_target, counted), counted)
