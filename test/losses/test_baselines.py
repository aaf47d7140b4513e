"""PEBAL-style, entropy maximisation, outlier exposure and the DRL reconstruction against hand values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oodseg_ros.losses.drl import drl_terms
from oodseg_ros.losses.exposure import entropy_max_terms, outlier_exposure_terms
from oodseg_ros.losses.pebal import pebal_terms


def log_softmax(row: np.ndarray) -> np.ndarray:
    return row - np.log(np.exp(row).sum())


def test_uniform_targets_on_unknowns(random_batch) -> None:
    logits, target = random_batch(1, (2, 4, 5, 6))
    rows = logits.permute(0, 2, 3, 1).double().numpy()
    hand = np.mean([-log_softmax(row).mean() for row in rows[(target == 254).numpy()]])
    ce = np.mean([-log_softmax(rows[tuple(at)])[target[tuple(at)]] for at in np.argwhere((target < 4).numpy())])
    terms = entropy_max_terms(logits, target)
    assert terms["uniform"].item() == pytest.approx(0.9 * hand, rel=1e-5)
    assert terms["ce"].item() == pytest.approx(0.1 * ce, rel=1e-5)
    terms = outlier_exposure_terms(logits, target)
    assert terms["exposure"].item() == pytest.approx(0.5 * hand, rel=1e-5)
    assert terms["ce"].item() == pytest.approx(ce, rel=1e-5)


def test_uniform_predictions_are_the_minimum() -> None:
    flat, target = torch.zeros(1, 4, 1, 1), torch.tensor([[[254]]])
    assert outlier_exposure_terms(flat, target, weight=1.0)["exposure"].item() == pytest.approx(math.log(4))


def test_pebal_hinges_start_at_their_margins() -> None:
    """Energies -20, -8 | -8, -2: only the weak inlier and the confident unknown cost anything."""
    logits = torch.tensor([[20.0, 8.0], [8.0, 2.0]])[None, None].repeat(1, 2, 1, 1) - math.log(2)
    target = torch.tensor([[[0, 0], [254, 254]]])
    terms = pebal_terms(logits, target, energy_weight=1.0, smoothness=1.0, sparsity=1.0)
    assert terms["energy"].item() == pytest.approx((0 + 4**2) / 2 + (2**2 + 0) / 2, rel=1e-5)
    assert terms["sparsity"].item() == pytest.approx((8 + 2) / 2, rel=1e-5)
    assert terms["smoothness"].item() == pytest.approx((12**2 + 6**2) / 2 + (12**2 + 6**2) / 2, rel=1e-5)
    assert terms["class"].item() == pytest.approx(math.log(2), rel=1e-5)


def test_pebal_abstention_by_hand(random_batch) -> None:
    logits, target = random_batch(2, (1, 3, 4, 4))
    target = torch.where(target == 3, 2, target)
    abstention = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    known, unknown = [], []
    for y, x in np.ndindex(4, 4):
        row = logits[0, :, y, x].double().numpy()
        log_p = log_softmax(np.append(row, abstention[0, 0, y, x].item()))
        label = target[0, y, x].item()
        if label < 3:
            penalty = max(np.log(np.exp(row).sum()) ** 2, 1.0)
            known.append(-np.log(np.exp(log_p[label]) + np.exp(log_p[-1]) / penalty))
        elif label == 254:
            unknown.append(-log_p[-1])
    expected = np.mean(known) + np.mean(unknown)
    assert pebal_terms(logits, target, abstention)["class"].item() == pytest.approx(expected, rel=1e-5)


def test_drl_terms_by_hand(random_batch) -> None:
    new, target = random_batch(3, (1, 5, 4, 4))  # four classes and the unknown
    frozen, _ = random_batch(4, (1, 4, 4, 4))
    ce, bce = [], []
    for y, x in np.ndindex(4, 4):
        log_p = log_softmax(new[0, :, y, x].double().numpy())
        log_q = log_softmax(frozen[0, :, y, x].double().numpy())
        agreement = float((np.exp(log_p[:-1]) * np.exp(log_q)).sum())
        label = target[0, y, x].item()
        if label == 254 or label < 4:
            ce.append(-log_p[4 if label == 254 else label])
        if label != 255:
            bce.append(-math.log(1 - agreement) if label == 254 else -math.log(agreement))
    rebuilt, images = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), -0.25)
    terms = drl_terms(frozen, new, new, target, rebuilt, images, auxiliary_weight=0.4)
    assert terms["ce"].item() == pytest.approx(np.mean(ce), rel=1e-5)
    assert terms["auxiliary"].item() == pytest.approx(0.4 * np.mean(ce), rel=1e-5)
    assert terms["discrepancy"].item() == pytest.approx(np.mean(bce), rel=1e-4)
    assert terms["reconstruction"].item() == pytest.approx(0.75)
