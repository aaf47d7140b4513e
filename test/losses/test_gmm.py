"""Mixture objective: hand value, and what the targets of the EM step mean to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodseg_ros.losses.gmm import gmm_loss, gmm_terms
from oodseg_ros.networks.classifiers.gmm import GmmClassifier
from oodseg_ros.networks.classifiers.gmm_em import FeatureMemory, assign


def test_equals_numpy(random_batch) -> None:
    logits, target = random_batch(1, (2, 4, 5, 6))
    rows = torch.randn(60, 12, generator=torch.Generator().manual_seed(2)) * 5
    components = torch.arange(60) % 14  # 12 and 13 are not counted
    ce = []
    for b, y, x in np.ndindex(2, 5, 6):
        if target[b, y, x] < 4:
            row = logits[b, :, y, x].double().numpy()
            ce.append(np.log(np.exp(row).sum()) - row[target[b, y, x]])
    contrast = [
        np.log(np.exp(row).sum()) - row[component]
        for row, component in zip(rows.double().numpy(), components.tolist(), strict=True)
        if component < 12
    ]
    terms = gmm_terms(logits, rows, components, target)
    assert terms["ce"].item() == pytest.approx(np.mean(ce), rel=1e-5)
    assert terms["contrast"].item() == pytest.approx(0.01 * np.mean(contrast), rel=1e-5)
    assert gmm_loss(logits, rows, components, target).item() == pytest.approx(np.mean(ce) + 0.01 * np.mean(contrast))


def test_unlabelled_rows_of_the_assignment_are_left_out() -> None:
    torch.manual_seed(0)
    classifier = GmmClassifier(6, 3, 2)
    decoded, labels = torch.randn(1, 6, 4, 4), torch.randint(0, 3, (1, 4, 4))
    labels[0, 0] = 255
    components = assign(classifier, FeatureMemory(classifier, size=8), decoded, labels)
    rows = classifier.log_likelihoods(classifier.normalized(decoded)).flatten(1)
    rows = rows.detach().requires_grad_()
    gmm_terms(classifier(decoded), rows, components, labels)["contrast"].backward()
    touched = rows.grad.abs().sum(dim=1) > 0
    assert torch.equal(touched, labels.flatten() != 255)
