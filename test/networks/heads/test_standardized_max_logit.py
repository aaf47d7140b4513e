from __future__ import annotations

import torch

from oodseg_ros.networks.heads.standardized_max_logit import StandardizedMaxLogit


def test_scores_of_the_images_it_was_fitted_on_are_standard():
    torch.manual_seed(0)
    logits = torch.randn(4, 3, 20, 20) * torch.tensor([1.0, 3.0, 6.0])[:, None, None]
    head = StandardizedMaxLogit(4)
    head.fit([torch.cat([logits, torch.full((4, 1, 20, 20), -99.0)], dim=1)])
    score = head.score(torch.cat([logits, torch.full((4, 1, 20, 20), -99.0)], dim=1), None)
    classes = logits.argmax(dim=1)
    for k in range(3):
        assert abs(score[classes == k].mean()) < 1e-4
        assert abs(score[classes == k].std(unbiased=False) - 1) < 1e-3
    # The class that was never predicted keeps the neutral statistics.
    assert head.mean[3] == 0
    assert head.deviation[3] == 1
