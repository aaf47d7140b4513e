"""The mixture's component contrast: hand value, and what the targets of the EM step mean to it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oodseg_ros.losses.masks import component_contrast
from oodseg_ros.networks.classifiers import FeatureMemory, GmmClassifier, assign


def test_equals_numpy() -> None:
    rows = torch.randn(60, 12, generator=torch.Generator().manual_seed(2)) * 5
    components = torch.arange(60) % 14  # 12 and 13 are not counted
    contrast = [
        np.log(np.exp(row).sum()) - row[component]
        for row, component in zip(rows.double().numpy(), components.tolist(), strict=True)
        if component < 12
    ]
    assert component_contrast(rows, components).item() == pytest.approx(np.mean(contrast), rel=1e-5)


def test_unlabelled_rows_of_the_assignment_are_left_out() -> None:
    torch.manual_seed(0)
    classifier = GmmClassifier(6, 3, 2)
    decoded, labels = torch.randn(1, 6, 4, 4), torch.randint(0, 3, (1, 4, 4))
    labels[0, 0] = 255
    components = assign(classifier, FeatureMemory(classifier, size=8), decoded, labels)
    rows = classifier.log_likelihoods(classifier.normalized(decoded)).flatten(1)
    rows = rows.detach().requires_grad_()
    component_contrast(rows, components).backward()
    touched = rows.grad.abs().sum(dim=1) > 0
    assert torch.equal(touched, labels.flatten() != 255)
