"""A threshold with a finite-sample guarantee on a risk, from losses of exchangeable frames.

Two guarantees, both for any distribution of scores and any number n of frames, as long as a new frame comes from the
same distribution as the calibration frames (the assumption to doubt: another camera, town or weather breaks it):

- in expectation, by conformal risk control (Angelopoulos et al., arXiv 2208.02814): the expected loss of the next
  frame is at most α; needs n ≥ 1/α - 1 frames;
- with confidence 1 - δ, by risk-controlling prediction sets (Bates et al., arXiv 2101.02703) with the
  Hoeffding-Bentkus bound: with probability 1 - δ over the calibration frames, the true risk at the threshold is at
  most α.

Losses lie in [0, 1] and are monotone in the threshold, so the grid may be made from the data: a coarser grid errs to
the safe side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from ...errors import ConfigError


@dataclass(frozen=True)
class Choice:
    """A chosen threshold.

    Attributes:
        threshold: value of the grid.
        risk: mean loss of the calibration frames there.
        bound: what is guaranteed not to be exceeded: the α that was asked for.
        frames: number of calibration frames.
        confidence: 1 - δ, or None for the guarantee in expectation.
    """

    threshold: float
    risk: float
    bound: float
    frames: int
    confidence: float | None


def choose_threshold(
    losses: np.ndarray, grid: np.ndarray, alpha: float, rising: bool, confidence: float | None = None
) -> Choice:
    """The threshold nearest to the unsafe side whose risk is still controlled.

    Args:
        losses: float `[n, m]` in [0, 1]: loss of frame i at threshold grid[j]; monotone in j for every frame.
        grid: float `[m]`, rising thresholds.
        alpha: wanted bound of the risk, in (0, 1).
        rising: losses rise with the threshold (misses); False: they fall (false alarms).
        confidence: 1 - δ in (0, 1), or None for the guarantee in expectation.

    Raises:
        ConfigError: too few frames for α, or no threshold of the grid is safe.
    """
    frames = len(losses)
    refuse_too_few(frames, alpha, confidence)
    risk = losses.mean(axis=0)
    if confidence is None:
        safe = (frames * risk + 1) / (frames + 1) <= alpha
    else:
        safe = hoeffding_bentkus(risk, frames, alpha) <= 1 - confidence
    # From the safe end up to the first threshold that is not safe.
    order = np.arange(grid.size) if rising else np.arange(grid.size)[::-1]
    walk = np.cumprod(safe[order]).astype(bool)
    if not walk.any():
        raise ConfigError(f"no threshold keeps the bound {alpha:g} on these {frames} frames; use a looser target")
    place = int(order[np.flatnonzero(walk)[-1]])
    return Choice(float(grid[place]), float(risk[place]), alpha, frames, confidence)


def refuse_too_few(frames: int, alpha: float, confidence: float | None = None) -> None:
    """Refuse a bound that this many frames cannot prove; call it before the work, too, when fewer may count.

    Raises:
        ConfigError: with as many frames nothing can prove the bound, or it is no bound.
    """
    if not 0 < alpha < 1 or (confidence is not None and not 0 < confidence < 1):
        raise ConfigError(f"the target {alpha} and the confidence {confidence} must lie between 0 and 1")
    needed = least_frames(alpha, confidence)
    if frames < needed:
        loose = 1 / (frames + 1) if confidence is None else 1 - (1 - confidence) ** (1 / max(1, frames))
        proven = f" or a looser target: so many can prove at best {math.ceil(1000 * loose) / 1000:g}" if frames else ""
        raise ConfigError(
            f"a bound of {alpha:g} needs at least {needed} frames that count, there are at most {frames}; use more "
            f"data{proven}"
        )


def least_frames(alpha: float, confidence: float | None = None) -> int:
    """Fewest frames with which a loss of zero everywhere proves the bound α."""
    if confidence is None:
        return math.ceil(1 / alpha - 1 - 1e-9)
    return math.ceil(math.log(1 - confidence) / math.log(1 - alpha) - 1e-9)


def hoeffding_bentkus(risk: np.ndarray, frames: int, alpha: float) -> np.ndarray:
    """P-values `[m]` of "the true risk is above α" given mean losses of that many frames."""
    risk = np.asarray(risk, np.float64)
    low = np.minimum(risk, alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(low > 0, low * np.log(low / alpha), 0) + (1 - low) * np.log((1 - low) / (1 - alpha))
    hoeffding = np.exp(-frames * divergence)
    bentkus = np.e * binom.cdf(np.ceil(frames * risk - 1e-9), frames, alpha)
    return np.where(risk < alpha, np.minimum(hoeffding, bentkus), 1.0)
