from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.networks.decoders.deeplab import DeepLab, conv3x3_of_resized


def straightforward(decoder: DeepLab, fine: torch.Tensor, coarse: torch.Tensor, residual: torch.Tensor | None = None):
    """The decoder as published: pool, branches, concatenate, project, resize, concatenate, two 3x3."""
    pooled = decoder.aspp.img_conv(F.adaptive_avg_pool2d(coarse, 1))
    pooled = F.interpolate(pooled, size=coarse.shape[-2:], mode="bilinear", align_corners=True)
    context = decoder.bot_aspp(torch.cat([pooled, *(branch(coarse) for branch in decoder.aspp.features)], dim=1))
    context = F.interpolate(context, size=fine.shape[-2:], mode="bilinear", align_corners=True)
    merged = torch.cat([decoder.bot_fine(fine), context], dim=1)
    return decoder.final(merged if residual is None else merged + residual)


def decoder_and_maps(ratio: int):
    torch.manual_seed(0)
    decoder = DeepLab((12, 40), channels=16, fine=6, rates=(2, 4, 6)).eval()
    for module in decoder.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    return decoder, [torch.randn(2, 12, 9 * ratio, 14 * ratio), torch.randn(2, 40, 9, 14)]


def test_wide_resnet_strides_take_the_short_way_to_the_same_answer():
    decoder, maps = decoder_and_maps(4)
    with torch.inference_mode():
        torch.testing.assert_close(decoder(maps), straightforward(decoder, *maps), atol=1e-4, rtol=1e-4)


def test_resnet_strides_too():
    decoder, maps = decoder_and_maps(2)
    with torch.inference_mode():
        torch.testing.assert_close(decoder(maps), straightforward(decoder, *maps), atol=1e-4, rtol=1e-4)


def test_the_concatenation_starts_with_the_pooled_image():
    decoder, maps = decoder_and_maps(2)
    with torch.inference_mode():
        out = decoder.aspp(maps[1])
    assert out.shape[1] == 5 * 16
    assert torch.equal(out[:, :16, :1, :1].expand_as(out[:, :16]), out[:, :16])
    torch.testing.assert_close(out[:, 16:32], decoder.aspp.features[0](maps[1]))


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
