from __future__ import annotations

import torch

from oodseg_ros.networks.backbones.resnet import WideResNet38


def test_maps_have_the_published_strides_and_channels():
    with torch.device("meta"):
        network = WideResNet38().eval()
        fine, coarse = network(torch.zeros(1, 3, 64, 96))
    assert fine.shape == (1, 128, 32, 48)
    assert coarse.shape == (1, 4096, 8, 12)


def test_any_size_is_taken():
    network = WideResNet38(divisor=16).eval()
    with torch.inference_mode():
        fine, coarse = network(torch.randn(1, 3, 65, 99))
    assert fine.shape[-2:] == (33, 50)
    assert coarse.shape[-2:] == (9, 13)


def test_dropout_elsewhere_is_left_as_it_is():
    WideResNet38(divisor=16)
    assert torch.nn.Dropout is not torch.nn.Dropout2d
