"""The two-stage objective against numpy with the same draws; both signs of λ3; selection; targets left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodseg_ros.losses.relative_contrastive import relative_contrastive_terms


def case(seed: int = 11) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(4, 19, 12, 14, generator=generator)
    uncertainty = 5 * torch.randn(4, 12, 14, generator=generator)
    target = torch.randint(0, 23, (4, 12, 14), generator=generator)
    target = torch.where(target == 19, 254, target)
    return logits, uncertainty, torch.where((target > 19) & (target < 254), 255, target)


def by_hand(logits, uncertainty, target, permutations, margins, weights, share, sign) -> float:
    logits, u = logits.double().numpy(), uncertainty.double().numpy()
    target, half = target.numpy(), len(target) // 2
    ce = np.zeros(target.shape)
    inlier, unknown = target < 99, (target > 99) & (target != 255)
    for place in np.argwhere(inlier):
        row = logits[place[0], :, place[1], place[2]]
        ce[tuple(place)] = np.log(np.exp(row).sum()) - row[target[tuple(place)]]
    ce0 = ce[:half].mean()
    second = np.sort(ce[half:][inlier[half:]])
    ce1 = second[: int(share * len(second))].mean()
    a, b, c = u[:half][inlier[:half]], u[half:][inlier[half:]], u[unknown]
    n = min(len(a), len(b), len(c))
    a, b, c = (values[np.asarray(order)[:n]] for values, order in zip((a, b, c), permutations, strict=True))
    both = inlier[:half] & inlier[half:]
    gap = (u[half:] - u[:half])[both]
    third = np.maximum(gap - margins[2], 0) if sign == "code" else np.maximum(margins[2] + gap, 0)
    contrast = np.maximum(a + margins[0] - c, 0).mean() + np.maximum(b + margins[1] - c, 0).mean() + third.mean()
    return weights[0] * ce0 + weights[1] * ce1 + contrast


@pytest.mark.parametrize("sign", ["code", "paper"])
def test_equals_numpy_with_the_same_draws(sign: str) -> None:
    logits, uncertainty, target = case()
    counts = [(target[:2] < 99).sum(), (target[2:] < 99).sum(), (target == 254).sum()]
    draws = torch.Generator().manual_seed(5)
    permutations = [torch.randperm(int(count), generator=draws).tolist() for count in counts]
    hand = by_hand(logits, uncertainty, target, permutations, (10, 5, 5), (50, 10), 0.8, sign)
    value = sum(
        relative_contrastive_terms(
            logits, uncertainty, target, sign=sign, generator=torch.Generator().manual_seed(5)
        ).values()
    )
    assert value.item() == pytest.approx(hand, rel=1e-5)


def test_the_signs_agree_when_the_third_margin_is_negated() -> None:
    logits, uncertainty, target = case(3)
    code = relative_contrastive_terms(logits, uncertainty, target, sign="code", margins=(10, 5, -5))["pair"]
    paper = relative_contrastive_terms(logits, uncertainty, target, sign="paper", margins=(10, 5, 5))["pair"]
    assert torch.equal(code, paper)
    assert code > relative_contrastive_terms(logits, uncertainty, target, sign="code")["pair"]


def test_only_trusted_generated_pixels_are_learned_from() -> None:
    logits, uncertainty, target = case()
    logits.requires_grad_()
    terms = relative_contrastive_terms(logits, uncertainty, target)
    terms["ce_generated"].backward()
    touched = logits.grad.abs().sum(dim=1) > 0
    assert touched[:2].sum() == 0
    assert touched[2:].sum() == int(0.8 * (target[2:] < 99).sum())


def test_selection_reaches_the_contrast_when_asked() -> None:
    logits, uncertainty, target = case()
    uncertainty.requires_grad_()
    for chosen, allowed in ((False, 1.0), (True, 0.8)):
        terms = relative_contrastive_terms(logits, uncertainty, target, select_contrast=chosen, margins=(99, 99, -99))
        (gradient,) = torch.autograd.grad(terms["pair"], uncertainty)
        share = (gradient[2:] != 0).sum() / ((target[2:] < 99) & (target[:2] < 99)).sum()
        assert share <= allowed
        assert share > allowed - 0.1


def test_the_target_is_not_written_to() -> None:
    logits, uncertainty, target = case()
    before = target.clone()
    sum(relative_contrastive_terms(logits, uncertainty, target).values())
    assert torch.equal(before, target)


def test_without_weights_there_is_no_cross_entropy() -> None:
    terms = relative_contrastive_terms(*case(), ce_weights=(0, 0), margins=(0.7, 0.5, 0.2))
    assert set(terms) == {"inlier", "generated", "pair"}
