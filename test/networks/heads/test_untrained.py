from __future__ import annotations

import numpy as np
import torch

from oodseg_ros.networks.heads.untrained import RIDGE, Mahalanobis, StandardizedMaxLogit


def test_distances_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    features = rng.normal(size=(900, 6)) @ mixing
    labels = rng.integers(0, 3, 900)
    features += 4.0 * labels[:, None]
    labels[:50] = 255
    head = Mahalanobis(6, 3)
    batches = [
        (torch.tensor(f, dtype=torch.float32), torch.tensor(y))
        for f, y in zip(np.split(features, 3), np.split(labels, 3), strict=True)
    ]
    head.fit(batches)

    kept, ids = features[labels < 3], labels[labels < 3]
    means = np.stack([kept[ids == k].mean(axis=0) for k in range(3)])
    centred = kept - means[ids]
    covariance = centred.T @ centred / len(kept)
    covariance += RIDGE * covariance.diagonal().mean() * np.eye(6)
    points = rng.normal(size=(8, 6)) * 5
    differences = points[:, None] - means
    expected = np.einsum("nkc,cd,nkd->nk", differences, np.linalg.inv(covariance), differences).min(axis=1)
    with torch.inference_mode():
        actual = head(torch.tensor(points.T.reshape(1, 6, 2, 4), dtype=torch.float32))
    np.testing.assert_allclose(actual.flatten(), expected, rtol=1e-3)


def test_nothing_is_trained():
    assert list(Mahalanobis(4, 2).parameters()) == []
    assert set(Mahalanobis(4, 2).state_dict()) == {"means", "whitening"}


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


def test_the_score_is_the_log_odds_of_void(small_specs, build):
    network, images = build(small_specs["espnetv2"])
    with torch.inference_mode():
        logits, void = network.evidence(images)
        score = network(images).score
    probability = torch.cat([logits, void], dim=1).double().softmax(dim=1)[:, -1]
    expected = (probability / (1 - probability)).log()
    torch.testing.assert_close(score.double(), expected, atol=1e-4, rtol=1e-4)
