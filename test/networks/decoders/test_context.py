from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.errors import BundleError
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.decoders.context import ContextFpn

ROAD_LITE = (24, 40, 112, 192)


def _pyramid(height: int, width: int, **options: object) -> list[torch.Tensor]:
    return [torch.randn(1, count, height // 4 >> k, width // 4 >> k, **options) for k, count in enumerate(ROAD_LITE)]


def test_it_answers_at_the_finest_stride_for_odd_sizes_too():
    decoder = ContextFpn(ROAD_LITE, channels=8, middle=12, width=16).eval()
    odd = [torch.randn(1, n, *size) for n, size in zip(ROAD_LITE, ((25, 41), (13, 21), (7, 11), (4, 6)), strict=True)]
    with torch.inference_mode():
        assert decoder(_pyramid(96, 160)).shape == (1, 8, 24, 40)
        assert decoder(odd).shape == (1, 8, 25, 41)


def test_every_level_moves_its_answer():
    torch.manual_seed(0)
    decoder = ContextFpn(ROAD_LITE, channels=8, middle=12, width=16).eval()
    maps = _pyramid(64, 96, requires_grad=True)
    gradients = torch.autograd.grad(decoder(maps).square().sum(), maps)
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_rates_let_a_place_see_further():
    torch.manual_seed(0)
    seen = {}
    for rates in ((1,), (1, 2, 4)):
        decoder = ContextFpn(ROAD_LITE, channels=8, middle=12, width=16, rates=rates).eval()
        maps = _pyramid(256, 512, requires_grad=True)
        middle = decoder(maps)[0, :, 32, 64].sum()
        seen[rates] = int((torch.autograd.grad(middle, maps[2])[0].abs().sum(1) > 0).sum())
    assert seen[(1,)] < seen[(1, 2, 4)]


def test_it_takes_half_of_the_light_pyramids_work():
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        ContextFpn(ROAD_LITE, middle=40).eval()(_pyramid(544, 960))
    assert counter.get_total_flops() < 0.5e9


def test_a_backbone_with_two_maps_is_refused():
    network = {
        "backbone": {"name": "wide_resnet38"},
        "decoder": {"name": "context_fpn"},
        "classifier": {"name": "linear", "classes": 3},
        "score": "energy",
    }
    with torch.device("meta"), pytest.raises(BundleError, match="four maps, this one has 2"):
        build_segmentor(network)
