from __future__ import annotations

import numpy as np
import pytest
import torch

from oodseg_ros import scores

LOGITS = np.random.default_rng(0).normal(0, 4, (2, 7, 3, 5)).astype(np.float32)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


FORMULAS = {
    "max_logit": lambda x: -x.max(axis=1),
    "max_softmax": lambda x: 1 - softmax(x).max(axis=1),
    "energy": lambda x: -np.log(np.exp(x.astype(np.float64)).sum(axis=1)),
    "entropy": lambda x: -(softmax(x) * np.log(softmax(x))).sum(axis=1),
    "max_min_logit": lambda x: -(x.max(axis=1) - x.min(axis=1)),
    "rejected_by_all": lambda x: -np.tanh(x).sum(axis=1),
    "one_minus_max": lambda x: 1 - x.max(axis=1),
}


@pytest.mark.parametrize("name", sorted(scores.POST_HOC))
def test_each_score_is_its_formula(name):
    actual = scores.POST_HOC[name](torch.from_numpy(LOGITS))
    assert actual.dtype == torch.float32
    np.testing.assert_allclose(actual, FORMULAS[name](LOGITS), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", sorted(scores.POST_HOC))
@pytest.mark.parametrize("value", [1000.0, -1000.0])
def test_each_score_is_finite_at_extreme_logits(name, value):
    logits = torch.zeros(1, 3, 2, 2)
    logits[:, 0] = value
    assert torch.isfinite(scores.POST_HOC[name](logits)).all()


@pytest.mark.parametrize("name", sorted(scores.POST_HOC))
def test_a_sure_pixel_scores_below_an_unsure_one(name):
    sure = torch.tensor([9.0, -1.0, -1.0]).reshape(1, 3, 1)
    unsure = torch.tensor([0.1, -1.0, -1.0]).reshape(1, 3, 1)
    assert scores.POST_HOC[name](sure) < scores.POST_HOC[name](unsure)


def test_standardized_max_logit():
    mean, deviation = np.linspace(1, 4, 7, dtype=np.float32), np.linspace(0.5, 2, 7, dtype=np.float32)
    actual = scores.standardized_max_logit(*(torch.from_numpy(a) for a in (LOGITS, mean, deviation)))
    best = LOGITS.argmax(axis=1)
    np.testing.assert_allclose(actual, -(LOGITS.max(axis=1) - mean[best]) / deviation[best], rtol=1e-5)


def test_half_precision_logits_are_scored_in_float32():
    logits = torch.tensor([300.0, 299.75]).reshape(1, 2, 1).half()
    unknown = torch.tensor([0.1, 0.2]).reshape(1, 2, 1).half()
    assert scores.likelihood_ratio(logits, unknown).dtype == torch.float32


class Linear(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 4, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images)


def test_odin_moves_the_image_towards_confidence():
    network = Linear()
    images = torch.randn(1, 3, 4, 4)
    temperature, step = 2.0, 0.05
    with torch.inference_mode():
        odin = scores.odin(network, images, temperature, step)
        plain = scores.max_softmax(network(images) / temperature)
    assert (odin < plain).all()
    # By hand: for a 1x1 convolution the gradient of log max softmax is W_k* - Σ p_k W_k.
    weight = network.conv.weight[:, :, 0, 0].detach()
    p = (network(images).detach() / temperature).softmax(dim=1)
    best = weight[p.argmax(dim=1)].permute(0, 3, 1, 2)
    gradient = best - torch.einsum("bkhw,kc->bchw", p, weight)
    moved = images + step * gradient.sign()
    expected = 1 - (network(moved).detach() / temperature).softmax(dim=1).amax(dim=1)
    torch.testing.assert_close(odin, expected)
    assert all(parameter.grad is None for parameter in network.parameters())
