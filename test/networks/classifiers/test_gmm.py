from __future__ import annotations

import torch
from torch.distributions import Independent, Normal

from oodseg_ros.networks.classifiers.gmm import GmmClassifier


def mixture(classes: int = 19, width: int = 256) -> GmmClassifier:
    torch.manual_seed(0)
    classifier = GmmClassifier(width, classes)
    classifier.diagonal.uniform_(0.117, 0.245)  # what an update leaves
    return classifier


def test_log_likelihoods_are_those_of_diagonal_gaussians():
    classifier = mixture()
    unit = torch.nn.functional.normalize(torch.randn(50, 256), dim=-1)
    means = torch.nn.functional.normalize(classifier.means, dim=-1)
    expected = Independent(Normal(means.double(), classifier.diagonal.double()), 1).log_prob(
        unit[:, None, None].double()
    )
    actual = classifier.log_likelihoods(unit)
    assert expected.abs().max() > 100  # the range in which half precision fails
    assert (actual.double() - expected).abs().max() < 2e-4


def test_the_largest_component_counts_and_classes_are_layer_normed():
    classifier = mixture(5, 16)
    decoded = torch.randn(2, 16, 3, 4)
    with torch.no_grad():
        out = classifier(decoded)
        unit = classifier.normalized(decoded)
        best = classifier.log_likelihoods(unit).max(dim=-1).values.reshape(2, 3, 4, 5).permute(0, 3, 1, 2)
    assert out.shape == (2, 5, 3, 4)
    centred = best - best.mean(dim=1, keepdim=True)
    expected = centred / (best.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)
    assert out.amax() <= 4**0.5 + 1e-4  # a layer norm of five values cannot exceed it


def test_two_classes_saturate():
    classifier = mixture(2, 256)
    with torch.no_grad():
        out = classifier(torch.randn(1, 256, 20, 20))
    difference = (out[:, 1] - out[:, 0]).abs()
    assert abs(difference.median().item() - 2.0) < 1e-2


def test_half_precision_around_it_does_not_reach_it():
    classifier = mixture(5, 256)
    decoded = torch.randn(1, 256, 4, 4)
    with torch.no_grad():
        expected = classifier(decoded)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (decoded[0, :, 0] @ decoded[0, :, 0].T).dtype == torch.bfloat16
            actual = classifier(decoded)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected)
