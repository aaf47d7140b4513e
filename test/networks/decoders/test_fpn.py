from __future__ import annotations

import torch

from oodseg_ros.networks.decoders.fpn import DinoFpn


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
