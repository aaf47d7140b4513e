"""The learnt score: a teacher's false alarms are not learnt, and unknowns must stand out all over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodseg_ros.losses.distilled_score import class_divergence, distilled_terms


def maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A taught score `[2, 20, 20]` around 0, and a target with an unknown square of 5 x 5 in each picture."""
    taught = torch.randn(2, 20, 20, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2) * 0.3
    target = torch.zeros(2, 20, 20, dtype=torch.uint8)
    target[:, 5:10, 5:10] = 254
    taught[:, 5:10, 5:10] = 5.0
    return taught, target


def test_what_the_teacher_says_is_without_fault() -> None:
    taught, target = maps()
    terms = distilled_terms(taught, taught, target)
    assert terms["known"] == terms["unknown"] == 0


def test_a_false_alarm_of_the_teacher_is_not_learnt() -> None:
    taught, target = maps()
    alarm = taught.clone()
    alarm[0, 15, 15] = 6.0
    quiet = taught.clone()
    quiet[0, 15, 15] = 2.0
    assert distilled_terms(quiet, alarm, target, cap=2.0)["known"] == 0
    score = alarm.clone().requires_grad_()
    plain, heavy = (distilled_terms(score, alarm, target, cap=2.0, alarm_weight=w)["known"] for w in (1.0, 6.0))
    torch.testing.assert_close(heavy, 6 * plain)
    plain.backward()
    assert score.grad[0, 15, 15] > 0


def test_an_unknown_that_the_teacher_overlooks_must_stand_out_all_over() -> None:
    taught, target = maps()
    taught[0, 5:10, 5:8] = 0.0
    score = taught.clone().requires_grad_()
    terms = distilled_terms(score, taught, target, floor=4.0, unknown_weight=1.0)
    # 15 of 50 pixels lack 4 deviations; Huber of an error e above 1 is e - 1/2.
    torch.testing.assert_close(terms["unknown"], torch.tensor(3.5 * 15 / 50))
    terms["unknown"].backward()
    assert (score.grad[0, 5:10, 5:8] < 0).all()
    assert (score.grad[1] == 0).all()


def test_nothing_is_rewarded_beyond_the_mended_score() -> None:
    taught, target = maps()
    score = torch.where(target == 254, 50.0, taught)
    assert distilled_terms(score, taught, target)["unknown"] > 1


def test_small_unknowns_weigh_more() -> None:
    taught, target = maps()
    score = torch.where(target == 254, 0.0, taught)
    plain, small = (distilled_terms(score, taught, target, small_weight=w)["unknown"] for w in (1.0, 6.0))
    assert small > 3 * plain


def test_the_teacher_gets_no_gradient_and_what_is_ignored_counts_nowhere() -> None:
    taught, target = maps()
    taught.requires_grad_()
    score = torch.zeros(2, 20, 20).normal_(generator=torch.Generator().manual_seed(1)).requires_grad_()
    target[:, :3] = 255
    sum(distilled_terms(score, taught, target).values()).backward()
    assert taught.grad is None
    assert (score.grad[:, :3] == 0).all()
    assert (score.grad[:, 3:] != 0).any()


@pytest.mark.parametrize("fill", [254, 255])
def test_a_batch_without_a_known_pixel_is_finite(fill: int) -> None:
    taught, target = maps()
    score = torch.zeros_like(taught).requires_grad_()
    terms = distilled_terms(score, taught, target.fill_(fill))
    loss = sum(terms.values())
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(score.grad).all()
    assert terms["known"] == 0


def test_classes_diverge_as_numpy_says_on_known_pixels_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    logits, other = torch.randn(2, 5, 20, 20, generator=generator), torch.randn(2, 5, 20, 20, generator=generator)
    shares = other.softmax(dim=1)
    _, target = maps()
    target[0, :4] = 255
    p, q = shares.double().numpy(), logits.double().softmax(dim=1).numpy()
    by_hand = (p * (np.log(p) - np.log(q))).sum(axis=1)[(target < 254).numpy()].mean()
    assert class_divergence(logits, shares, target).item() == pytest.approx(by_hand, rel=1e-5)
    assert class_divergence(other, shares, target).item() == pytest.approx(0, abs=1e-6)


def test_what_the_label_calls_a_rider_is_taught_less_than_the_teacher_says() -> None:
    target = torch.tensor([[[10, 3, 254]]])
    taught = torch.tensor([[[3.0, 1.5, 3.0]]])
    right = torch.tensor([[[1.0, 1.5, 3.0]]])
    assert sum(distilled_terms(right, taught, target, caps={10: 1.0}).values()) == 0
    assert distilled_terms(right, taught, target)["known"] == pytest.approx((1.0 - 0.5) / 2)  # cut at 2: Huber of 1
    plain, heavy = (distilled_terms(taught, taught, target, caps={10: 1.0}, cap_weight=w)["known"] for w in (1.0, 6.0))
    assert heavy == pytest.approx(6 * plain)
