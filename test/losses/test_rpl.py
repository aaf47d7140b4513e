"""RPL's three terms against numpy.

CoroCL against an explicit double loop in numpy; who is drawn and who is compared with whom.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from oodseg_ros.losses.rpl import corocl_loss, info_nce, rpl_terms


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
    assert sum(rpl_terms(z, v, target, outlier=outlier).values()).item() == pytest.approx(
        sum(t.item() for t in terms.values())
    )


def test_logits_of_a_hundred_do_not_overflow() -> None:
    z = torch.full((1, 19, 2, 2), 100.0)
    terms = rpl_terms(z, z, torch.full((1, 2, 2), 254), energy_weight=1.0)
    assert terms["energy"].item() == pytest.approx(100 + np.log(19))


def test_the_frozen_logits_get_no_gradient(random_batch) -> None:
    z, target = random_batch(3, (1, 5, 4, 4))
    v = torch.randn(1, 5, 4, 4, requires_grad=True)
    sum(rpl_terms(z.requires_grad_(), v, target).values()).backward()
    assert v.grad is None
    assert z.grad.abs().sum() > 0


def nce_by_hand(anchors: np.ndarray, contrasts: np.ndarray, a: list, c: list, temperature: float) -> float:
    """anchors `[A, C]` are the first rows of contrasts `[N, C]`; labels a, c."""

    def unit(row: np.ndarray) -> np.ndarray:
        return row / math.sqrt(float((row**2).sum()))

    per_anchor = []
    for i, anchor in enumerate(anchors.astype(np.float64)):
        s = [float(unit(anchor) @ unit(row)) / temperature for row in contrasts.astype(np.float64)]
        negatives = sum(math.exp(s[j]) for j in range(len(s)) if c[j] != a[i])
        losses = [-(s[j] - math.log(math.exp(s[j]) + negatives)) for j in range(len(s)) if c[j] == a[i] and j != i]
        per_anchor.append(sum(losses) / len(losses))
    return sum(per_anchor) / len(per_anchor)


def test_info_nce_equals_the_double_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    contrasts = torch.randn(24, 16, generator=generator)
    labels = torch.tensor([1] * 6 + [0] * 6 + [1] * 6 + [0] * 6)
    value = info_nce(contrasts[:12], contrasts, labels[:12], labels, 0.1)
    hand = nce_by_hand(contrasts[:12].numpy(), contrasts.numpy(), labels[:12].tolist(), labels.tolist(), 0.1)
    assert value.item() == pytest.approx(hand, rel=1e-5)


def test_with_one_pixel_of_each_kind_the_loss_is_the_hand_value() -> None:
    """No draw is left: four pixels, one per kind; labels at a larger size, read at the embeddings' cells."""
    generator = torch.Generator().manual_seed(1)
    embeddings, context = (torch.randn(1, 8, 1, 2, generator=generator) for _ in range(2))
    target = torch.tensor([[[254, 254, 255, 255]] * 2, [[0, 0, 3, 3]] * 2])[:, None].reshape(2, 2, 4)
    target[0, :, 2:] = 3
    target[1, :, :2], target[1, :, 2:] = 254, 0
    value = corocl_loss(embeddings, target[:1], context, target[1:])
    rows = torch.cat([embeddings[0, :, 0].T, context[0, :, 0].T]).numpy()
    assert value.item() == pytest.approx(nce_by_hand(rows[:2], rows, [1, 0], [1, 0, 1, 0], 0.1), rel=1e-5)


def test_draws_are_balanced_and_seeded() -> None:
    torch.manual_seed(0)
    embeddings = torch.randn(2, 8, 6, 6, requires_grad=True)
    target = torch.zeros(2, 6, 6, dtype=torch.long)
    target[0, :2] = 254  # 12 unknowns, 60 inliers
    context = torch.full((1, 4, 4), 254)
    context[0, 2:] = 0  # 8 of each
    context_embeddings = torch.randn(1, 8, 4, 4)

    def value(seed: int) -> torch.Tensor:
        return corocl_loss(
            embeddings, target, context_embeddings, context, generator=torch.Generator().manual_seed(seed)
        )

    assert torch.equal(value(1), value(1))
    assert not torch.equal(value(1), value(2))
    value(1).backward()
    touched = embeddings.grad.abs().sum(dim=1) > 0
    assert touched[target == 254].sum() == 8
    assert touched[target == 0].sum() == 8


def test_separated_embeddings_score_better_than_mixed_ones() -> None:
    target = torch.tensor([[[254, 0]]])
    good = torch.tensor([[1.0, 0.0], [0.0, 1.0]])[None, :, None]
    bad = torch.tensor([[1.0, 1.0], [0.1, 0.0]])[None, :, None]
    assert corocl_loss(good, target, good, target) < corocl_loss(bad, target, bad, target)


def test_without_unknowns_in_the_context_it_is_zero_with_a_graph() -> None:
    embeddings = torch.randn(1, 4, 2, 2, requires_grad=True)
    loss = corocl_loss(embeddings, torch.full((1, 2, 2), 254), embeddings, torch.zeros(1, 2, 2))
    loss.backward()
    assert loss == 0
    assert embeddings.grad is not None
