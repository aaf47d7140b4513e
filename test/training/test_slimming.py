from __future__ import annotations

import torch

from oodseg_ros.networks.backbones.efficientnet_lite import EfficientNetLite
from oodseg_ros.training.slimming import fewest_lost, slimmed


def test_columns_that_others_can_make_go_first() -> None:
    torch.manual_seed(0)
    free = torch.randn(500, 4, dtype=torch.float64)
    inputs = torch.stack([free[:, 0], free[:, 0] + free[:, 1], free[:, 1], free[:, 2], 0.01 * free[:, 3]], dim=1)
    outputs = torch.stack([inputs[:, 0] + inputs[:, 1] + inputs[:, 2], 3 * inputs[:, 3] + 5 + inputs[:, 4]], dim=1)
    kept, weight, constant = fewest_lost(inputs, outputs, 2)
    assert kept.tolist() == [1, 3]  # twice the second column is the first output
    assert (inputs[:, kept] @ weight + constant - outputs).abs().max() < 0.1
    kept, _, constant = fewest_lost(inputs, outputs, 1)
    assert kept.tolist() == [3]
    assert abs(constant[1] - 5) < 0.1


def test_a_block_with_channels_to_spare_answers_as_before() -> None:
    torch.manual_seed(1)
    wide = EfficientNetLite(0).eval()
    with torch.no_grad():
        block = wide._blocks[2]  # half of its channels twice: nothing needs them
        for name in ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1"):
            for value in getattr(block, name).state_dict().values():
                if value.ndim:
                    value[72:] = value[:72]
    slim = EfficientNetLite(0, hidden={2: 80}).eval()
    images = torch.randn(4, 3, 64, 96)
    state = wide.state_dict()
    slim.load_state_dict(slimmed(slim, state, lambda: images))
    with torch.inference_mode():
        for expected, found in zip(wide(images), slim(images), strict=True):
            assert (expected - found).abs().max() < 2e-2 * expected.std()
    assert slimmed(EfficientNetLite(0), state, lambda: 1 / 0) is state
