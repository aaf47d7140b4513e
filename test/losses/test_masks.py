"""The mixture's component contrast: hand value, and what the targets of the EM step mean to it. Maps of a softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oodseg_ros.frame import UNLABELED
from oodseg_ros.losses.masks import SoftmaxMaps, class_cross_entropy, component_contrast
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


def test_maps_of_a_softmax_and_their_gradients_are_those_of_plain_torch(random_batch) -> None:
    logits, _ = random_batch(4, (3, 6, 5, 4))
    logits = (2 * logits).double().requires_grad_()  # some probabilities are below 1e-7
    ids = torch.randint(0, 6, (3, 5, 4), generator=torch.Generator().manual_seed(1))

    def plain(z: torch.Tensor) -> tuple[torch.Tensor, ...]:
        shares = z.softmax(dim=1).clamp(min=1e-7)
        return F.cross_entropy(z, ids, reduction="none"), -(shares * shares.log()).sum(dim=1), z.logsumexp(dim=1)

    assert (logits.softmax(dim=1) < 1e-7).any()
    expected, found = plain(logits), SoftmaxMaps.apply(logits, ids)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(3, 3, 5, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for used in ([0, 1, 2], [0], [1], [2], [0, 2]):
        slopes = [
            torch.autograd.grad(sum((weights[i] * maps[i]).sum() for i in used), logits, retain_graph=True)[0]
            for maps in (expected, found)
        ]
        torch.testing.assert_close(slopes[1], slopes[0])


def test_classes_count_as_they_are_weighed() -> None:
    logits = torch.randn(1, 3, 2, 2)
    target = torch.tensor([[[0, 1], [2, UNLABELED]]], dtype=torch.uint8)
    each = F.cross_entropy(logits, target.clamp(max=2).long(), reduction="none")[0]
    weights = torch.tensor([1.0, 4.0, 0.0])
    found = class_cross_entropy(logits, target, weights=weights)
    torch.testing.assert_close(found, (each[0, 0] + 4 * each[0, 1]) / 3)
    torch.testing.assert_close(
        class_cross_entropy(logits, target, weights=torch.ones(3)), class_cross_entropy(logits, target)
    )
