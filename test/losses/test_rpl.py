"""RPL's three terms against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodseg_ros.losses.rpl import rpl_loss, rpl_terms


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


def by_hand(z: np.ndarray, v: np.ndarray, target: np.ndarray, outlier: int) -> dict[str, float]:
    terms = {"entropy": [], "reg": [], "energy": []}
    for b, y, x in np.ndindex(target.shape):
        zi, vi = z[b, :, y, x].astype(np.float64), v[b, :, y, x].astype(np.float64)
        if target[b, y, x] == outlier:
            terms["energy"].append(max(np.log(np.exp(zi).sum()), 0.0))
        elif target[b, y, x] != 255:
            p, q = softmax(zi), softmax(vi)
            terms["entropy"].append(-np.log(p[vi.argmax()]))
            terms["reg"].append((-(p * np.log(p)).sum() + (q * np.log(q)).sum()) ** 2)
    return {name: float(np.mean(values)) for name, values in terms.items()}


@pytest.mark.parametrize("outlier", [254, 19])
def test_terms_equal_numpy(random_batch, outlier: int) -> None:
    z, target = random_batch(1, (2, 19, 8, 8), outlier)
    v, _ = random_batch(2, (2, 19, 8, 8))
    hand = by_hand(z.numpy(), v.numpy(), target.numpy(), outlier)
    terms = rpl_terms(z, v, target, outlier=outlier)
    assert terms["entropy"].item() == pytest.approx(hand["entropy"], rel=1e-5)
    assert terms["reg"].item() == pytest.approx(hand["reg"], rel=1e-4)
    assert terms["energy"].item() == pytest.approx(0.05 * hand["energy"], rel=1e-5)
    assert rpl_loss(z, v, target, outlier=outlier).item() == pytest.approx(sum(t.item() for t in terms.values()))


def test_logits_of_a_hundred_do_not_overflow() -> None:
    z = torch.full((1, 19, 2, 2), 100.0)
    terms = rpl_terms(z, z, torch.full((1, 2, 2), 254), energy_weight=1.0)
    assert terms["energy"].item() == pytest.approx(100 + np.log(19))


def test_the_frozen_logits_get_no_gradient(random_batch) -> None:
    z, target = random_batch(3, (1, 5, 4, 4))
    v = torch.randn(1, 5, 4, 4, requires_grad=True)
    rpl_loss(z.requires_grad_(), v, target).backward()
    assert v.grad is None
    assert z.grad.abs().sum() > 0
