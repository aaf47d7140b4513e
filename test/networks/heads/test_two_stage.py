from __future__ import annotations

import pytest
import torch

from oodseg_ros import scores
from oodseg_ros.errors import BundleError
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.segmentor import resize


def test_it_starts_as_the_energy_of_the_inlier_logits(small_specs, build):
    network, images = build(small_specs["two_stage"])
    network.head.initialize_from(network.classifier)
    with torch.inference_mode():
        output = network(images)
        decoded = network.decoder(network.backbone(images))
        low = -network.classifier(decoded).logsumexp(dim=1, keepdim=True)
        expected = torch.nn.functional.interpolate(low, size=images.shape[-2:], mode="bilinear", align_corners=True)
    torch.testing.assert_close(output.score, expected[:, 0], atol=1e-5, rtol=1e-5)
    # The other order, logits upsampled first, is close but not the same.
    assert (output.score - scores.energy(output.logits)).abs().max() < 0.2


def test_it_starts_as_the_energy_of_the_inlier_logits_of_a_block(small_specs, build):
    network, images = build(small_specs["two_stage_espnetv2"])
    network.decoder.bu_dec_l4.merge_layer[3].bias.data.normal_()
    network.head.initialize_from(network.decoder)
    with torch.inference_mode():
        output = network(images)
        low = scores.energy(network.classifier(network.extract(images).decoded))[:, None]
    torch.testing.assert_close(output.score, resize(low, images.shape[-2:], True)[:, 0])


def test_other_decoders_are_refused(small_specs):
    with pytest.raises(BundleError, match="use learnable_uncertainty"):
        build_segmentor({**small_specs["two_stage"], "head": {"name": "learnable_block"}})


def test_with_the_inlier_embedding_it_is_one_minus_the_largest_semantic_map(small_specs, build):
    network, images = build(small_specs["mask2former"])
    network.head.initialize_from(network.classifier)
    with torch.inference_mode():
        output = network(images)
    torch.testing.assert_close(output.score, 1 - output.logits.max(dim=1).values)
