from __future__ import annotations

import torch
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.classifiers.queries import semantic_maps


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
