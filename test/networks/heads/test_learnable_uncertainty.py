from __future__ import annotations

import torch

from oodseg_ros import scores


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
