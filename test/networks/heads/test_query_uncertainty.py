from __future__ import annotations

import torch


def test_with_the_inlier_embedding_it_is_one_minus_the_largest_semantic_map(small_specs, build):
    network, images = build(small_specs["mask2former"])
    network.head.initialize_from(network.classifier)
    with torch.inference_mode():
        output = network(images)
    torch.testing.assert_close(output.score, 1 - output.logits.max(dim=1).values)
