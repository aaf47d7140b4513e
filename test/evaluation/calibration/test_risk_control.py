import numpy as np
import pytest
from scipy.stats import binom

from oodseg_ros.errors import ConfigError
from oodseg_ros.evaluation.calibration.risk_control import choose_threshold, hoeffding_bentkus, least_frames

GRID = np.linspace(0, 1, 201)


def random_losses(rng: np.random.Generator, frames: int, rising: bool) -> np.ndarray:
    """Frames whose loss steps at random thresholds, more or less steeply; true risk known only by simulation."""
    center = rng.beta(2, 3, (frames, 1))
    width = rng.uniform(0.01, 0.2, (frames, 1))
    losses = np.clip((GRID - center) / width + 0.5, 0, 1)
    return losses if rising else 1 - losses


@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize(("alpha", "frames"), [(0.1, 20), (0.2, 60), (0.05, 100)])
def test_the_expected_loss_of_a_new_frame_is_below_the_bound(rising, alpha, frames):
    rng = np.random.default_rng(0)
    population = random_losses(rng, 20000, rising)
    true_risk = population.mean(axis=0)
    risks = []
    for _ in range(300):
        chosen = population[rng.integers(0, len(population), frames)]
        choice = choose_threshold(chosen, GRID, alpha, rising)
        risks.append(true_risk[np.searchsorted(GRID, choice.threshold)])
    assert np.mean(risks) <= alpha
    assert np.mean(risks) >= alpha - 2.5 / (frames + 1)  # and not needlessly careful


@pytest.mark.parametrize("rising", [True, False])
def test_with_confidence_the_bound_is_broken_no_more_often_than_said(rising):
    rng = np.random.default_rng(1)
    population = random_losses(rng, 20000, rising)
    true_risk = population.mean(axis=0)
    broken = 0
    for _ in range(400):
        chosen = population[rng.integers(0, len(population), 80)]
        choice = choose_threshold(chosen, GRID, 0.15, rising, confidence=0.9)
        broken += true_risk[np.searchsorted(GRID, choice.threshold)] > 0.15
    assert broken <= binom.ppf(0.999, 400, 0.1)


def test_p_values_are_valid_for_coin_tosses():
    for n in (10, 50, 200):
        for alpha in (0.05, 0.2, 0.4):
            counts = np.arange(n + 1)
            p = hoeffding_bentkus(counts / n, n, alpha)
            for delta in (0.01, 0.1, 0.3):  # the chance of a p-value below delta when the risk is alpha
                assert binom.pmf(counts, n, alpha)[p <= delta].sum() <= delta
            assert np.all(np.diff(p) >= -1e-12)


def test_least_frames_are_the_least():
    for alpha, confidence in ((0.1, None), (0.01, None), (0.1, 0.9), (0.05, 0.95)):
        n = least_frames(alpha, confidence)
        zero = np.zeros((n, GRID.size))
        assert choose_threshold(zero, GRID, alpha, True, confidence).threshold == 1.0
        with pytest.raises(ConfigError, match=f"at least {n} frames") as refused:
            choose_threshold(zero[1:], GRID, alpha, True, confidence)
        looser = float(str(refused.value).rsplit(" ", 1)[1])
        assert choose_threshold(zero[1:], GRID, looser, True, confidence).threshold == 1.0


def test_the_walk_starts_at_the_safe_end():
    losses = np.tile((GRID > 0.5).astype(float), (99, 1))  # misses above 0.5
    assert choose_threshold(losses, GRID, 0.1, rising=True).threshold == 0.5
    assert choose_threshold(1 - losses, GRID, 0.1, rising=False).threshold == pytest.approx(0.505)
    with pytest.raises(ConfigError, match="no threshold"):
        choose_threshold(np.ones((99, GRID.size)), GRID, 0.1, rising=True)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        choose_threshold(losses, GRID, 1.5, rising=True)
