"""A linear map reads fewer channels and answers nearly the same (He et al. 2017, arXiv 1707.06168).

The moments of the channels tell what of the answer is lost without some of them: the weakest go, and the weights of
those that stay are fitted again to the same answer, by least squares.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

RIDGE = 1e-2
"""Of the mean variance, added to that of channels that stay: what is fitted to channels that hardly vary is wrong on
other frames. On road_lite and 61 frames 168 to 180 channels of block 13 went with 1e-4 to 1e-2, 124 with 1e-8."""


class Spread(NamedTuple):
    """Mean `[C]` and covariance `[C, C]`, float64, of `count` vectors."""

    count: int
    mean: Tensor
    covariance: Tensor

    def with_(self, other: Spread) -> Spread:
        """Of both together."""
        part, shift = other.count / (self.count + other.count), other.mean - self.mean
        covariance = (1 - part) * self.covariance + part * other.covariance
        covariance += part * (1 - part) * torch.outer(shift, shift)
        return Spread(self.count + other.count, self.mean + part * shift, covariance)


class Moments:
    """First two moments of vectors `[n, C]`, in float64."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.sums = torch.zeros(channels, dtype=torch.float64)
        self.products = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Count vectors `[n, C]`."""
        values = values.double()
        self.count += len(values)
        self.sums = self.sums + values.sum(0)
        self.products = self.products + values.T @ values

    def spread(self) -> Spread:
        """What they say of all that was counted."""
        mean = self.sums / self.count
        return Spread(self.count, mean, self.products / self.count - torch.outer(mean, mean))


def chosen(weight: Tensor, one: Spread, other: Spread, error: float) -> tuple[list[int], float]:
    """The fewest channels of a projection `weight` (`[O, C]`, float64) that leave its relative RMS error at most
    `error`, and that error.
    """
    total = sum(float(_energy(weight, half.covariance)) for half in (one, other))
    # Weakest first. Choosing each next one by what is lost after a new fit removed no more on road_lite.
    order = (weight.square().sum(0) * one.with_(other).covariance.diagonal()).argsort().tolist()

    def reached(count: int) -> tuple[list[int], float]:
        kept = sorted(set(range(weight.shape[1])) - set(order[:count]))
        lost = _lost(weight, one, other, kept) + _lost(weight, other, one, kept)
        return kept, (max(lost, 0.0) / total) ** 0.5 if total > 0 else 0.0

    fits, too_many = 0, len(order)  # removing none is no error at all; one always stays
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if reached(middle)[1] <= error else (fits, middle)
    return reached(fits)


def refitted(weight: Tensor, seen: Spread, kept: list[int]) -> tuple[Tensor, Tensor]:
    """Weights float64 `[O, K]` of the channels that stay, by least squares, and the constant `[O]` of those that go."""
    gone = sorted(set(range(weight.shape[1])) - set(kept))
    among = seen.covariance[kept][:, kept]
    among.diagonal().add_(max(RIDGE * float(among.diagonal().mean()), 1e-12))
    # What those that go had to say, as far as those that stay can say it: the ridge holds on to the weights of before.
    said = seen.covariance[kept][:, gone] @ weight[:, gone].T
    found = weight[:, kept] + torch.cholesky_solve(said, torch.linalg.cholesky(among)).T
    return found, weight @ seen.mean - found @ seen.mean[kept]


def _lost(weight: Tensor, fitted: Spread, seen: Spread, kept: list[int]) -> float:
    """Mean square of the output's error on `seen` of what was fitted on `fitted`."""
    if len(kept) == weight.shape[1]:
        return 0.0
    difference = weight.clone()
    difference[:, kept] -= refitted(weight, fitted, kept)[0]
    shift = difference @ (seen.mean - fitted.mean)
    return float(_energy(difference, seen.covariance) + shift.square().sum())


def _energy(weight: Tensor, covariance: Tensor) -> Tensor:
    return ((weight @ covariance) * weight).sum()
