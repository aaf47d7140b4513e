from __future__ import annotations

import torch
import torch.nn.functional as F

from oodseg_ros.networks.backbones.vit import ClipViT, DinoV2, resized_grid

SIZE = (56, 98)


def small() -> DinoV2:
    torch.manual_seed(3)
    network = DinoV2(variant="s", width=48, depth=4, heads=3, taps=(0, 1, 2, 3), image_size=70).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            # Layer scales and tokens start near zero or constant, which would hide mistakes.
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_taps_are_the_normed_patch_tokens_of_the_whole_model():
    network = small()
    images = torch.randn(2, 3, *SIZE)
    with torch.no_grad():
        maps = network(images)
        whole = network.model(images, output_hidden_states=True)
        normed = [network.model.layernorm(state) for state in whole.hidden_states[1:]]
    for feature, state in zip(maps, normed, strict=True):
        tokens = state[:, 5:]
        expected = tokens.transpose(1, 2).reshape(2, 48, SIZE[0] // 14, SIZE[1] // 14)
        torch.testing.assert_close(feature, expected, atol=2e-5, rtol=1e-5)
    last = whole.last_hidden_state[:, 5:].transpose(1, 2).reshape(maps[-1].shape)
    torch.testing.assert_close(maps[-1], last, atol=2e-5, rtol=1e-5)


def test_prepared_positions_give_the_same_maps_and_leave_the_state_dict_alone():
    network = small()
    keys = set(network.state_dict())
    images = torch.randn(1, 3, *SIZE)
    with torch.inference_mode():
        free = network(images)
        network.prepare(*SIZE)
        fixed = network(images)
        other = network(torch.randn(1, 3, 70, 70))
    assert set(network.state_dict()) == keys
    assert all(torch.equal(a, b) for a, b in zip(free, fixed, strict=True))
    assert other[0].shape[-2:] == (5, 5)


def test_training_sees_moved_position_embeddings_not_prepared_ones():
    network = small()
    images = torch.randn(1, 3, *SIZE)
    network.prepare(*SIZE)
    network.train()
    before = network(images)[0]
    with torch.no_grad():
        network.model.embeddings.position_embeddings.add_(1.0)
    assert not torch.allclose(before, network(images)[0])


def test_the_pinned_interpolation_is_antialiased_to_a_size():
    torch.manual_seed(0)
    table = torch.randn(1, 37 * 37, 8)
    rows, cols = 28, 56
    image = table.reshape(1, 37, 37, 8).permute(0, 3, 1, 2)
    pinned = resized_grid(table, rows, cols, antialias=True).reshape(rows, cols, 8).permute(2, 0, 1)[None]
    wanted = F.interpolate(image, size=(rows, cols), mode="bicubic", align_corners=False, antialias=True)
    torch.testing.assert_close(pinned, wanted)
    # The variant of the models without registers: a scale factor with an offset. It differs by far more than rounding.
    scales = ((rows + 0.1) / 37, (cols + 0.1) / 37)
    offset = F.interpolate(image, scale_factor=scales, mode="bicubic", antialias=False)
    assert offset.shape == wanted.shape
    assert (offset - wanted).abs().max() > 0.1


def test_a_grid_of_the_stored_size_is_untouched():
    table = torch.randn(1, 25, 4)
    assert resized_grid(table, 5, 5, antialias=True) is table


def test_taps_are_the_normed_patch_tokens_of_the_whole_model_of_clip():
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
