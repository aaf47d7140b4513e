from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.networks.decoders.resized_conv import conv3x3_of_resized


@pytest.mark.parametrize("size", [(36, 60), (33, 58), (9, 15), (12, 15)])
def test_it_is_the_convolution_of_the_resized_map(size):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 7, 9, 15), torch.randn(5, 7, 3, 3)
    resized = F.interpolate(x, size=size, mode="bilinear", align_corners=True)
    expected = F.conv2d(resized, weight, padding=1)
    torch.testing.assert_close(conv3x3_of_resized(x, weight, size), expected, atol=2e-5, rtol=1e-5)


def test_gradients_are_the_same_too():
    torch.manual_seed(0)
    x = torch.randn(1, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    resized = F.interpolate(x, size=(20, 24), mode="bilinear", align_corners=True)
    expected = torch.autograd.grad(F.conv2d(resized, weight, padding=1).square().sum(), (x, weight))
    actual = torch.autograd.grad(conv3x3_of_resized(x, weight, (20, 24)).square().sum(), (x, weight))
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_it_saves_the_factor_between_the_sizes():
    with torch.device("meta"):
        x, weight = torch.zeros(1, 256, 32, 64), torch.zeros(256, 256, 3, 3)
        with FlopCounterMode(display=False) as ours:
            conv3x3_of_resized(x, weight, (128, 256))
        with FlopCounterMode(display=False) as plain:
            F.conv2d(F.interpolate(x, size=(128, 256), mode="bilinear", align_corners=True), weight, padding=1)
    assert plain.get_total_flops() == 16 * ours.get_total_flops()
