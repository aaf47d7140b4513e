from __future__ import annotations

import torch
from torch.distributions import Independent, Normal
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.classifiers import FeatureMemory, GmmClassifier, assign, semantic_maps, sinkhorn, update


def mixture(classes: int = 19, width: int = 256) -> GmmClassifier:
    torch.manual_seed(0)
    classifier = GmmClassifier(width, classes)
    classifier.diagonal.uniform_(0.117, 0.245)  # what an update leaves
    return classifier


def test_log_likelihoods_are_those_of_diagonal_gaussians():
    classifier = mixture()
    unit = torch.nn.functional.normalize(torch.randn(50, 256), dim=-1)
    means = torch.nn.functional.normalize(classifier.means, dim=-1)
    expected = Independent(Normal(means.double(), classifier.diagonal.double()), 1).log_prob(
        unit[:, None, None].double()
    )
    actual = classifier.log_likelihoods(unit)
    assert expected.abs().max() > 100  # the range in which half precision fails
    assert (actual.double() - expected).abs().max() < 2e-4


def test_the_largest_component_counts_and_classes_are_layer_normed():
    classifier = mixture(5, 16)
    decoded = torch.randn(2, 16, 3, 4)
    with torch.no_grad():
        out = classifier(decoded)
        unit = classifier.normalized(decoded)
        best = classifier.log_likelihoods(unit).max(dim=-1).values.reshape(2, 3, 4, 5).permute(0, 3, 1, 2)
    assert out.shape == (2, 5, 3, 4)
    centred = best - best.mean(dim=1, keepdim=True)
    expected = centred / (best.var(dim=1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(out, expected, atol=1e-4, rtol=1e-4)
    assert out.amax() <= 4**0.5 + 1e-4  # a layer norm of five values cannot exceed it


def test_two_classes_saturate():
    classifier = mixture(2, 256)
    with torch.no_grad():
        out = classifier(torch.randn(1, 256, 20, 20))
    difference = (out[:, 1] - out[:, 0]).abs()
    assert abs(difference.median().item() - 2.0) < 1e-2


def test_half_precision_around_it_does_not_reach_it():
    classifier = mixture(5, 256)
    decoded = torch.randn(1, 256, 4, 4)
    with torch.no_grad():
        expected = classifier(decoded)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (decoded[0, :, 0] @ decoded[0, :, 0].T).dtype == torch.bfloat16
            actual = classifier(decoded)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected)


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


def test_semantic_maps_sum_over_queries_without_void():
    torch.manual_seed(0)
    classes, masks = torch.randn(1, 3, 5), torch.randn(1, 3, 2, 2)
    maps = semantic_maps(classes, masks)
    for k in range(4):
        total = sum(classes[0, q].softmax(0)[k] * masks[0, q].sigmoid() for q in range(3))
        torch.testing.assert_close(maps[0, k], total)
    assert maps.shape == (1, 4, 2, 2)


def test_it_is_transformers_mask2former(small_specs):
    spec = small_specs["mask2former"]
    part = spec["backbone"]
    encoder = SwinConfig(**part["backbone_options"], out_features=["stage1", "stage2", "stage3", "stage4"])
    torch.manual_seed(0)
    config = Mask2FormerConfig(backbone_config=encoder, **part["options"], num_labels=5)
    theirs = Mask2FormerForUniversalSegmentation(config).eval()
    ours = build_segmentor(spec).eval()
    ours.backbone.model.load_state_dict(theirs.model.state_dict())
    ours.classifier.class_predictor.load_state_dict(theirs.class_predictor.state_dict())
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        output = theirs(images)
        masks = torch.nn.functional.interpolate(
            output.masks_queries_logits, size=(64, 96), mode="bilinear", align_corners=False
        )
        weights = output.class_queries_logits.softmax(-1)[..., :-1]
        expected = torch.einsum("bqc,bqhw->bchw", weights, masks.sigmoid())
        torch.testing.assert_close(ours(images).logits, expected, atol=1e-5, rtol=1e-5)
