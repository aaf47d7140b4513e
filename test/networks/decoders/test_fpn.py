from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.networks.decoders.fpn import DinoFpn, Fpn, LightFpn

ROAD_LITE = (24, 40, 112, 192)


def _pyramid(height: int, width: int, **options: object) -> list[torch.Tensor]:
    """Maps for a picture of this size."""
    return [torch.randn(1, count, height // 4 >> k, width // 4 >> k, **options) for k, count in enumerate(ROAD_LITE)]


@pytest.mark.parametrize("separable", [False, True])
def test_the_light_pyramid_answers_at_the_finest_stride_for_odd_sizes_too(separable):
    decoder = LightFpn(ROAD_LITE, separable=separable).eval()
    with torch.inference_mode():
        assert decoder(_pyramid(96, 160)).shape == (1, 32, 24, 40)
        assert decoder(
            [torch.randn(1, n, *size) for n, size in zip(ROAD_LITE, ((25, 41), (13, 21), (7, 11), (4, 6)), strict=True)]
        ).shape == (1, 32, 25, 41)


def test_the_light_pyramid_takes_less_than_half_of_the_work():
    with torch.device("meta"):
        work = {}
        kinds = {"full": Fpn(ROAD_LITE, 64), "light": LightFpn(ROAD_LITE), "least": LightFpn(ROAD_LITE, separable=True)}
        for kind, decoder in kinds.items():
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                decoder.eval()(_pyramid(544, 960))
            work[kind] = counter.get_total_flops()
    assert work["light"] < 0.5 * work["full"]
    assert work["least"] < 0.6 * work["light"]


def test_every_level_moves_the_light_pyramids_answer():
    torch.manual_seed(0)
    decoder = LightFpn(ROAD_LITE, channels=8, width=16).eval()
    maps = _pyramid(64, 96, requires_grad=True)
    gradients = torch.autograd.grad(decoder(maps).square().sum(), maps)
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def test_four_by_six_tokens_become_sixteen_by_twenty_four():
    with torch.device("meta"):
        decoder = DinoFpn((768,) * 4)
        assert sum(parameter.numel() for parameter in decoder.parameters()) == 14_958_592
        assert decoder([torch.zeros(1, 768, 4, 6)] * 4).shape == (1, 256, 16, 24)


def test_odd_token_grids_keep_four_times_the_size():
    decoder = DinoFpn((12,) * 4, channels=8, hidden=10).eval()
    with torch.inference_mode():
        assert decoder([torch.randn(1, 12, 5, 9)] * 4).shape == (1, 8, 20, 36)


def test_each_level_reads_its_own_map_and_the_third_also_the_last():
    torch.manual_seed(0)
    decoder = DinoFpn((12,) * 4, channels=8, hidden=10).eval()
    maps = [torch.randn(1, 12, 4, 6, requires_grad=True) for _ in range(4)]
    lateral = []
    decoder.lateral[2].register_forward_hook(lambda module, inputs, output: lateral.append(output))
    decoder(maps)
    used = torch.autograd.grad(lateral[0].sum(), maps, allow_unused=True)
    assert [gradient is not None for gradient in used] == [False, False, True, True]
