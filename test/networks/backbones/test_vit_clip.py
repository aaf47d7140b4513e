from __future__ import annotations

import torch

from oodseg_ros.networks.backbones.vit_clip import ClipViT


def test_taps_are_the_normed_patch_tokens_of_the_whole_model():
    torch.manual_seed(1)
    network = ClipViT(taps=(0, 1, 2, 3), width=48, depth=4, heads=3, image_size=64).eval()
    images = torch.randn(1, 3, 48, 96)
    with torch.no_grad():
        maps = network(images)
        whole = network.model(images, interpolate_pos_encoding=True, output_hidden_states=True)
        normed = [network.model.post_layernorm(state) for state in whole.hidden_states[1:]]
    for feature, state in zip(maps, normed, strict=True):
        tokens = state[:, 1:]
        torch.testing.assert_close(feature, tokens.transpose(1, 2).reshape(1, 48, 3, 6), atol=2e-5, rtol=1e-5)
