"""Mask2Former's own losses (Cheng et al., arXiv 2112.01527), by transformers: class, mask and dice after matching."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ...networks.segmentor import HeadInput, Segmentor

WEIGHTS = {"loss_cross_entropy": 5.0, "loss_mask": 10.0, "loss_dice": 10.0}
"""Of the two-stage method's second stage (β1 = β2 = 10)."""
NO_OBJECT = 0.1


def mask_terms(segmentor: Segmentor, given: HeadInput, target: Tensor) -> dict[str, Tensor]:
    """Weighted `class`, `mask` and `dice`, scalars, over the segments of the known classes in `target` `[B, H, W]`."""
    from transformers.models.mask2former.modeling_mask2former import Mask2FormerLoss

    queries, masks = given.decoded
    config = segmentor.backbone.model.config
    config.num_labels, config.no_object_weight = segmentor.classes, NO_OBJECT
    criterion = Mask2FormerLoss(config, WEIGHTS).to(masks.device)
    segments, classes = zip(*(_segments(picture, segmentor.classes) for picture in target), strict=True)
    losses: dict[str, Any] = criterion(
        masks, segmentor.classifier.class_predictor(queries), list(segments), list(classes)
    )
    names = {"loss_cross_entropy": "class", "loss_mask": "mask", "loss_dice": "dice"}
    return {name: WEIGHTS[key] * losses[key] for key, name in names.items()}


def _segments(target: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Masks float `[n, H, W]` and ids `[n]` of the classes in one picture."""
    present = target.unique()
    present = present[present < classes].long()
    return (target[None] == present[:, None, None]).float(), present
