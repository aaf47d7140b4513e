"""Residual pattern learning (Liu et al., RPL, arXiv 2211.14512, as released): its three terms, and CoroCL."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..frame import OUTLIER, UNLABELED
from .llr import crowding
from .masks import SoftmaxMaps, drawn, inliers, masked_mean


def rpl_terms(
    residual_logits: Tensor,
    inlier_logits: Tensor,
    target: Tensor,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    energy_weight: float = 0.05,
    small_weight: float = 1.0,
) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is the loss. Scalars.

    `entropy`: on inliers, CE of the residual logits against what the frozen network predicts (class labels are not
    used). `reg`: on inliers, squared difference of the two entropies (nats). `energy`: on unknowns, the positive part
    of log Σ exp of the residual logits.

    Args:
        residual_logits: z, of the way with the residual, float `[B, K, H, W]`.
        inlier_logits: v, of the frozen way, float `[B, K, H, W]`; gets no gradient.
        target: integer `[B, H, W]`; `outlier` = unknown, `ignore` = not counted, any other = inlier.
        energy_weight: weight of `energy`.
        small_weight: largest weight of a pixel of an unknown in `energy`; above 1, small objects count more
            (`llr.crowding`). The paper's is 1.
    """
    inlier = inliers(target, outlier, ignore)
    frozen = inlier_logits.detach().float()
    predicted = frozen.argmax(dim=1)
    ce, spread, total = SoftmaxMaps.apply(residual_logits.float(), predicted)
    _, frozen_spread, _ = SoftmaxMaps.apply(frozen, predicted)
    entropy = masked_mean(ce, inlier)
    reg = masked_mean((spread - frozen_spread).square(), inlier)
    unknown = target == outlier
    positive = total.relu()
    if small_weight > 1:
        positive = positive * crowding(unknown, small_weight)
    energy = masked_mean(positive, unknown)
    return {"entropy": entropy, "reg": reg, "energy": energy_weight * energy}


def corocl_loss(
    embeddings: Tensor,
    target: Tensor,
    context_embeddings: Tensor,
    context_target: Tensor,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    temperature: float = 0.1,
    samples: int = 512,
    generator: torch.Generator | None = None,
) -> Tensor:
    """InfoNCE between unknown and inlier pixels of two contexts; scalar.

    n = min(`samples`, number of pixels of each of the four kinds) pixels are drawn of every kind. Anchors are the
    unknowns and inliers of the driving images; contrasted with them are the anchors themselves and the pixels of the
    context images. Positives share the binary label (a pixel is not its own positive); each positive competes with
    all negatives. Zero, with a graph, where a kind is missing.

    Args:
        embeddings: of driving images with pasted unknowns, float `[B, C, h, w]`.
        target: integer `[B, H, W]`, resized to h x w by nearest here; `outlier` = unknown, `ignore` = left out.
        context_embeddings, context_target: of images that show the unknowns in another context (for the paper COCO).
        temperature: divides the cosine similarities.
        generator: of the draw, on the CPU; torch's default without one.
    """
    driving = _rows(embeddings, target, outlier, ignore)
    context = _rows(context_embeddings, context_target, outlier, ignore)
    count = min(samples, *(len(rows) for rows in (*driving, *context)))
    if count == 0:
        return 0.0 * (embeddings.float().sum() + context_embeddings.float().sum())
    anchors = torch.cat([drawn(rows, count, generator) for rows in driving])
    contrasts = torch.cat([anchors, *(drawn(rows, count, generator) for rows in context)])
    unknown = torch.arange(4 * count, device=anchors.device) // count % 2 == 0
    return info_nce(anchors, contrasts, unknown[: 2 * count], unknown, temperature)


def info_nce(
    anchors: Tensor, contrasts: Tensor, anchor_labels: Tensor, contrast_labels: Tensor, temperature: float
) -> Tensor:
    """Mean over anchors of the mean over positives of -log(exp s / (exp s + Σ_negatives exp s)).

    `anchors` are the first rows of `contrasts` (`[A, C]`, `[N, C]`); a row is not its own positive. Rows are
    L2-normalised here. Labels are bool or integer `[A]`, `[N]`.
    """
    anchors, contrasts = (F.normalize(rows.float(), dim=1) for rows in (anchors, contrasts))
    similarity = anchors @ contrasts.T / temperature
    same = anchor_labels[:, None] == contrast_labels[None]
    positive = same.clone().fill_diagonal_(False)
    negatives = similarity.masked_fill(same, -torch.inf).logsumexp(dim=1, keepdim=True)
    loss = torch.logaddexp(similarity, negatives) - similarity
    per_anchor = loss.where(positive, loss.new_zeros(())).sum(dim=1) / positive.sum(dim=1).clamp(min=1)
    return per_anchor.mean()


def _rows(embeddings: Tensor, target: Tensor, outlier: int, ignore: int) -> tuple[Tensor, Tensor]:
    """Embeddings `[n, C]` of the unknown and of the inlier pixels."""
    if embeddings.shape[-2:] != target.shape[-2:]:
        target = F.interpolate(target[:, None].float(), size=embeddings.shape[-2:], mode="nearest")[:, 0].long()
    rows = embeddings.permute(0, 2, 3, 1)
    return rows[target == outlier], rows[inliers(target, outlier, ignore)]
