"""The likelihood-ratio loss against a hand evaluation in float64, and its behaviour on empty batches."""

from __future__ import annotations

import math

import pytest
import torch

from oodseg_ros.losses.llr import crowding, llr_terms
from oodseg_ros.scores import likelihood_ratio


def hand_value(inlier: torch.Tensor, unknown: torch.Tensor, target: torch.Tensor, outlier: int, weight: float) -> float:
    """Softplus form, pixel by pixel, in Python floats."""
    ratio_sum, ce_sum, count = 0.0, 0.0, 0
    for b, y, x in torch.nonzero(target != 255).tolist():
        u0, u1 = unknown[b, :, y, x].tolist()
        ratio = u1 - u0 - max(inlier[b, :, y, x].tolist())
        truth = target[b, y, x].item() == outlier
        ratio_sum += math.log1p(math.exp(-abs(ratio))) + max(-ratio if truth else ratio, 0.0)
        ce_sum += math.log(math.exp(u0) + math.exp(u1)) - (u1 if truth else u0)
        count += 1
    return ratio_sum / count + weight * ce_sum / count


@pytest.mark.parametrize(("weight", "outlier"), [(0.0, 254), (0.5, 1), (0.5, 19)])
def test_equals_the_hand_value(weight: float, outlier: int) -> None:
    generator = torch.Generator().manual_seed(3)
    unknown = 3 * torch.randn(2, 2, 5, 7, generator=generator)
    inlier = 3 * torch.randn(2, 19, 5, 7, generator=generator)
    target = torch.tensor([0, outlier, 255])[torch.randint(0, 3, (2, 5, 7), generator=generator)]
    loss = sum(llr_terms(inlier, unknown, target, outlier=outlier, ce_weight=weight).values())
    assert loss.item() == pytest.approx(hand_value(inlier, unknown, target, outlier, weight), rel=1e-5)
    terms = llr_terms(inlier, unknown, target, outlier=outlier, ce_weight=weight)
    assert set(terms) == ({"ratio", "ce"} if weight else {"ratio"})


@pytest.mark.parametrize("value", [0, 254, 255])
def test_batches_of_one_kind_give_finite_gradients(value: int) -> None:
    inlier, unknown = torch.randn(1, 3, 4, 4), torch.randn(1, 2, 4, 4, requires_grad=True)
    target = torch.full((1, 4, 4), value)
    loss = sum(llr_terms(inlier, unknown, target, ce_weight=0.5).values())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(unknown.grad).all()
    assert (loss == 0) == (value == 255)


def test_extreme_logits_stay_finite_and_inputs_unchanged() -> None:
    inlier, unknown = torch.full((1, 3, 2, 2), 1000.0), torch.full((1, 2, 2, 2), -1000.0)
    target = torch.tensor([[[0, 254], [255, 1]]])
    before = target.clone()
    assert torch.isfinite(sum(llr_terms(inlier, unknown, target).values()))
    assert torch.equal(target, before)


def test_raising_the_outlier_channel_on_outliers_lowers_the_loss() -> None:
    inlier, target = torch.zeros(1, 3, 2, 2), torch.full((1, 2, 2), 254)
    low, high = (torch.stack([torch.zeros(2, 2), torch.full((2, 2), v)])[None] for v in (0.0, 2.0))
    assert sum(llr_terms(inlier, high, target).values()) < sum(llr_terms(inlier, low, target).values())


def test_pixels_of_small_objects_weigh_more_and_those_inside_large_ones_do_not() -> None:
    truth = torch.zeros(1, 80, 120, dtype=torch.bool)
    truth[0, 10:14, 10:14] = True  # 16 of the 625 pixels around
    truth[0, 30:70, 40:110] = True
    weight = crowding(truth, 8.0)
    assert weight[0, 12, 12] == 8.0
    assert weight[0, 50, 75] == 1.0
    assert weight[0, 45, 40] == pytest.approx(25 / 13)  # on the edge: half of what is around
    assert weight[0, 12, 16] == 2.0
    assert weight[0, 75, 20] == 1.0
    assert weight.max() == 8.0
    assert (crowding(truth, 1.5)[~truth] <= 1.5).all()


def test_small_objects_move_the_loss_only_when_asked() -> None:
    generator = torch.Generator().manual_seed(1)
    inlier, unknown = torch.randn(1, 3, 40, 40, generator=generator), torch.randn(1, 2, 40, 40, generator=generator)
    target = torch.zeros(1, 40, 40, dtype=torch.long)
    target[0, 5:8, 5:8] = 254
    target[0, 20:30] = 255
    plain = llr_terms(inlier, unknown, target)["ratio"]
    assert torch.equal(llr_terms(inlier, unknown, target, small_weight=1.0)["ratio"], plain)
    weighed = llr_terms(inlier, unknown, target, small_weight=6.0)["ratio"]
    ratio = likelihood_ratio(inlier, unknown)
    bce = torch.nn.functional.binary_cross_entropy_with_logits(ratio, (target == 254).float(), reduction="none")
    expected = (bce * crowding(target == 254, 6.0))[target != 255].mean()
    assert weighed.item() == pytest.approx(expected.item(), rel=1e-6)
    assert weighed > plain
