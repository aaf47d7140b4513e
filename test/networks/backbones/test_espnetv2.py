from __future__ import annotations

import pytest
import torch

from oodseg_ros.networks.backbones.espnetv2 import EspNetV2
from oodseg_ros.networks.decoders.espnetv2 import EspNetV2Decoder


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "scale", "outputs"),
    [
        ("espnetv2_s_0.5_city_1024x512.pth", 0.5, 20),
        ("espnetv2_s_1.0_city_1024x512.pth", 1.0, 20),
        ("espnetv2_s_2.0_city_1024x512.pth", 2.0, 20),
        ("espnetv2_s_2.0_pascal_384x384.pth", 2.0, 21),
    ],
)
def test_released_weights_load_strictly(shared_data, file, scale, outputs):
    state = torch.load(shared_data / "weights" / file, map_location="cpu", weights_only=True)
    backbone = EspNetV2(scale)
    decoder = EspNetV2Decoder(backbone.channels, outputs)
    prefix = "base_net."
    backbone.load_state_dict({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}, strict=True)
    decoder.load_state_dict({k: v for k, v in state.items() if not k.startswith(prefix)}, strict=True)


def test_strides_and_channels():
    network = EspNetV2(2.0).eval()
    with torch.inference_mode():
        maps = network(torch.randn(1, 3, 64, 128))
    shapes = [(32, 32, 64), (128, 16, 32), (256, 8, 16), (512, 4, 8)]
    assert [tuple(feature.shape[1:]) for feature in maps] == shapes
