from __future__ import annotations

import torch

from oodseg_ros.networks.heads.drl import DrlReconstruction, SimilarityCalibration


def test_the_score_is_high_where_the_classifiers_disagree_or_say_outlier():
    head = DrlReconstruction(decoded=8, inlier_classes=2)
    frozen = torch.tensor([[9.0, -9.0]]).reshape(1, 2, 1, 1)
    agree, disagree, outlier = ([0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.01, 0.01, 0.98])
    score = [head.score(frozen, torch.tensor(p).reshape(1, 3, 1, 1)).item() for p in (agree, disagree, outlier)]
    assert score[0] < 0.05 < 0.95 < min(score[1:])


def test_training_and_inference_mix_the_similarities_differently():
    torch.manual_seed(0)
    calibration = SimilarityCalibration(8, heads=2, reduction=2)
    x, frozen = torch.randn(1, 8, 6, 8), torch.randn(1, 8, 6, 8)
    with torch.no_grad():
        train, test = calibration.train()(x, frozen), calibration.eval()(x, frozen)
        other = calibration(x, -frozen.flip(-1))
    assert not torch.allclose(train, test)
    assert not torch.allclose(test, other)


def test_training_gets_its_three_outputs_and_a_reconstruction_in_range():
    head = DrlReconstruction(decoded=8, inlier_classes=3, reduction=2).eval()
    with torch.inference_mode():
        auxiliary, related, unrelated = head.disentangle(torch.randn(2, 8, 6, 8))
        image = head.reconstruct(related, unrelated)
    assert auxiliary.shape == (2, 4, 6, 8)
    assert image.shape == (2, 3, 6, 8)
    assert image.abs().max() <= 1
