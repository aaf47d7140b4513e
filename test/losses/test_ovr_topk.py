"""Top-k OvR: BCE against zero on the k largest logits, exactly k gradients per unknown pixel."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from oodseg_ros.losses.exposure import ovr_topk_terms


@pytest.mark.parametrize(("k", "scale"), [(3, 1.0), (5, 1.0), (5, 0.5), (19, 2.0), (40, 1.0)])
def test_equals_bce_against_zero(random_batch, k: int, scale: float) -> None:
    logits, target = random_batch(1, (2, 19, 7, 9))
    rows = logits.permute(0, 2, 3, 1)[target == 254]
    largest = rows.sort(dim=1, descending=True).values[:, :k]
    hand = F.binary_cross_entropy_with_logits(scale * largest, torch.zeros_like(largest))
    torch.testing.assert_close(sum(ovr_topk_terms(logits, target, k=k, scale=scale).values()), hand)


def test_hand_value() -> None:
    logits = torch.tensor([2.0, -1.0, 0.5])[None, :, None, None]
    expected = (math.log(1 + math.exp(2.0)) + math.log(1 + math.exp(0.5))) / 2
    assert sum(ovr_topk_terms(logits, torch.tensor([[[254]]]), k=2).values()).item() == pytest.approx(
        expected, rel=1e-6
    )


@pytest.mark.parametrize("k", [1, 5])
def test_exactly_k_classes_of_an_unknown_get_a_gradient(random_batch, k: int) -> None:
    logits, target = random_batch(2, (2, 19, 7, 9))
    sum(ovr_topk_terms(logits.requires_grad_(), target, k=k).values()).backward()
    touched = (logits.grad != 0).sum(dim=1)
    assert (touched == torch.where(target == 254, k, 0)).all()


def test_the_inlier_term_is_plain_cross_entropy(random_batch) -> None:
    logits, target = random_batch(3, (2, 5, 7, 9))
    expected = F.cross_entropy(logits, torch.where(target < 5, target, 255), ignore_index=255)
    torch.testing.assert_close(ovr_topk_terms(logits, target, ce_weight=2.0)["ce"], 2.0 * expected)


def test_the_largest_logit_of_inliers_is_held_above_zero() -> None:
    """With and without a class (200), never where it is void or unknown."""
    logits = torch.tensor([[3.0, -1.0], [-2.0, -4.0], [5.0, 5.0], [1.0, 0.0]]).T[None, :, None]
    target = torch.tensor([[[1, 200, 255, 254]]])
    expected = 0.5 * (math.log(1 + math.exp(-3.0)) + math.log(1 + math.exp(2.0))) / 2
    terms = ovr_topk_terms(logits, target, inlier_weight=0.5)
    assert terms["inlier"].item() == pytest.approx(expected, rel=1e-6)
    assert sum(ovr_topk_terms(logits, target, inlier_weight=0.5).values()).item() == pytest.approx(
        sum(terms.values()).item()
    )
    assert "inlier" not in ovr_topk_terms(logits, target)
