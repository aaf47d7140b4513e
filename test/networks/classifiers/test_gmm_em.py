from __future__ import annotations

import torch

from oodseg_ros.networks.classifiers.gmm import GmmClassifier
from oodseg_ros.networks.classifiers.gmm_em import FeatureMemory, assign, sinkhorn, update


def test_sinkhorn_agrees_with_plain_loops():
    torch.manual_seed(0)
    scores = torch.randn(40, 5) * 100 - 200
    plan = torch.exp(scores / scores.abs().max() / 0.05).double().T
    plan = plan / plan.sum()
    for _ in range(3):
        for row in range(5):
            plan[row] = plan[row] / plan[row].sum() / 5
        for column in range(40):
            plan[:, column] = plan[:, column] / plan[:, column].sum() / 40
    one_hot = sinkhorn(scores)
    assert torch.equal(one_hot.argmax(dim=1), plan.argmax(dim=0))
    assert torch.equal(one_hot.sum(dim=1), torch.ones(40))


def test_sinkhorn_spreads_samples_over_components():
    scores = torch.tensor([[-1.0, -1.05]]).repeat(10, 1) + 0.02 * torch.arange(10)[:, None] * torch.tensor(
        [[-1.0, 1.0]]
    )
    shares = sinkhorn(scores).sum(dim=0)
    assert shares.min() >= 3


def test_sinkhorn_of_zeros_is_finite():
    assert torch.equal(sinkhorn(torch.zeros(3, 5)).argmax(dim=1), torch.zeros(3, dtype=torch.long))


def test_means_move_by_the_momentum_and_deviations_are_replaced():
    torch.manual_seed(0)
    classifier = GmmClassifier(8, 2, components=3)
    memory = FeatureMemory(classifier, size=50)
    before = torch.nn.functional.normalize(classifier.means, dim=-1)
    update(classifier, memory)
    direction = torch.nn.functional.normalize(memory.features.sum(dim=2), dim=-1)
    torch.testing.assert_close(classifier.means, 0.999 * before + 0.001 * direction)
    variance = ((memory.features - direction[:, :, None]) ** 2).mean(dim=2) + 0.01
    torch.testing.assert_close(classifier.diagonal, variance.sqrt())


def test_deviations_of_the_papers_size_fall_into_the_published_range():
    torch.manual_seed(0)
    classifier = GmmClassifier(256, 2)
    update(classifier, FeatureMemory(classifier, size=500))
    # 0.117 to 0.245 in the reference; the upper end is chance, the lower sqrt(1/256 + 0.01).
    assert 0.113 < classifier.diagonal.min() < 0.120
    assert 0.2 < classifier.diagonal.max() < 0.3


def test_only_right_pixels_enter_the_memory_and_unlabeled_ones_get_no_target():
    torch.manual_seed(0)
    classifier = GmmClassifier(8, 3, components=2)
    memory = FeatureMemory(classifier, size=30, per_step=4)
    before = memory.features.clone()
    decoded = torch.randn(1, 8, 10, 10)
    labels = torch.randint(0, 3, (1, 10, 10))
    labels[0, :2] = 255
    targets = assign(classifier, memory, decoded, labels)
    flat = labels.flatten()
    assert (targets[flat == 255] == 255 * 2).all()
    assert torch.equal(targets[flat != 255] // 2, flat[flat != 255])
    with torch.no_grad():
        right = classifier(decoded).argmax(dim=1).flatten() == flat
    unit = classifier.normalized(decoded)
    for label in range(3):
        for component in range(2):
            chosen = unit[right & (targets == 2 * label + component)]
            entered = int(memory.next[label, component])
            assert entered == min(4, len(chosen))
            stored = memory.features[label, component, :entered]
            assert all((chosen - row).abs().amax(dim=1).min() < 1e-6 for row in stored)
            assert torch.equal(memory.features[label, component, entered:], before[label, component, entered:])


def test_the_memory_forgets_the_oldest():
    classifier = GmmClassifier(4, 1, components=1)
    memory = FeatureMemory(classifier, size=5, per_step=3)
    for value in (1.0, 2.0, 3.0):
        memory.push(0, 0, torch.full((3, 4), value))
    assert sorted(memory.features[0, 0, :, 0].tolist()) == [2.0, 2.0, 3.0, 3.0, 3.0]
