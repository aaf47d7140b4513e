from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.bundle import load_bundle
from oodseg_ros.evaluation.bundle_info import bundle_info
from oodseg_ros.model_card import Windows


@pytest.fixture(scope="module")
def bundle(tiny_bundle):
    return load_bundle(tiny_bundle)


def test_parameters_are_those_of_the_network(bundle):
    info = bundle_info(bundle, (64, 128))
    segmentor = bundle.segmentor()
    assert sum(part.parameters for part in info.parts) == sum(p.numel() for p in segmentor.parameters())
    assert [(part.part, part.name) for part in info.parts[:4]] == [
        ("backbone", "efficientnet_lite"),
        ("decoder", "fpn"),
        ("classifier", "linear"),
        ("head", "uem"),
    ]
    assert all(part.parameters > 0 and part.flops > 0 for part in info.parts[:4])


def test_flops_are_those_of_a_real_pass(bundle):
    info = bundle_info(bundle, (64, 128))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        bundle.segmentor()(torch.zeros(1, 3, 64, 128))
    assert sum(part.flops for part in info.parts) == counter.get_total_flops()


def test_classifier_by_hand(bundle):
    """A 1x1 convolution of 16 channels to 11 classes at a quarter of 64x128: two operations per weight and pixel."""
    parts = {part.part: part for part in bundle_info(bundle, (64, 128)).parts}
    assert parts["classifier"].parameters == 16 * 11 + 11
    assert parts["classifier"].flops == 2 * 16 * 11 * (64 // 4) * (128 // 4)


def test_network_size_follows_from_the_image_size(bundle):
    large, small = bundle_info(bundle, (1080, 1920)), bundle_info(bundle, (64, 64))
    assert large.image_size == (1080, 1920)
    assert large.network_size == (64, 128)
    assert small.network_size == (64, 64)
    assert sum(p.flops for p in large.parts) == pytest.approx(2 * sum(p.flops for p in small.parts), rel=0.01)
    assert large.file_bytes == sum(file.stat().st_size for file in bundle.path.iterdir())


def test_windows_count_as_often_as_they_run(bundle):
    windows = Windows(height=64, width=64, stride_y=64, stride_x=32)
    spec = bundle.card.input.model_copy(update={"windows": windows})
    windowed = replace(bundle, card=bundle.card.model_copy(update={"input": spec}))
    whole, one = bundle_info(windowed, (64, 128)), bundle_info(bundle, (64, 64))
    # 128 columns in windows of 64 with a stride of 32: three.
    assert sum(p.flops for p in whole.parts) == pytest.approx(3 * sum(p.flops for p in one.parts), rel=0.001)
