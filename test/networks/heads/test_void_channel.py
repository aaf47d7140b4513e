from __future__ import annotations

import torch


def test_the_score_is_the_log_odds_of_void(small_specs, build):
    network, images = build(small_specs["espnetv2"])
    with torch.inference_mode():
        logits, void = network.evidence(images)
        score = network(images).score
    probability = torch.cat([logits, void], dim=1).double().softmax(dim=1)[:, -1]
    expected = (probability / (1 - probability)).log()
    torch.testing.assert_close(score.double(), expected, atol=1e-4, rtol=1e-4)
