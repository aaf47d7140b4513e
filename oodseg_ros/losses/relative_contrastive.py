"""Relative contrastive loss with noise-aware pixel selection (Gao et al., "Generalize or Detect?", arXiv 2411.03829).

Paper and released code differ in the third term. Paper: relu(λ3 + (u_gen - u_orig)), code: relu((u_gen - u_orig) - λ3).
The code's selection of trustworthy pixels touches the cross-entropy of the generated images only; `select_contrast`
lets it choose their contrasted inliers too, as one may read the paper.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..frame import OUTLIER, UNLABELED
from .masks import classed, cross_entropy_map, drawn, inliers, masked_mean


def relative_contrastive_terms(
    logits: Tensor,
    uncertainty: Tensor,
    target: Tensor,
    *,
    outlier: int = OUTLIER,
    ignore: int = UNLABELED,
    margins: tuple[float, float, float] = (10.0, 5.0, 5.0),
    ce_weights: tuple[float, float] = (50.0, 10.0),
    selection: float = 0.8,
    sign: Literal["code", "paper"] = "code",
    select_contrast: bool = False,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is the loss. Scalars; zero with a graph where pixels are missing.

    `ce_original` (mean over all pixels of the originals; those without a class count as zero), `ce_generated` (mean
    over the `selection` of classed pixels of the generated half with the smallest CE), and the contrasts `inlier`
    (unknown above original inlier by λ1), `generated` (unknown above generated inlier by λ2), `pair` (original against
    generated at the same place).

    Args:
        logits: float `[2B, K, H, W]`: B originals, then their B generated images.
        uncertainty: u, float `[2B, H, W]`.
        target: integer `[2B, H, W]`; `outlier` = unknown, `ignore` = not counted, any other = inlier (ids of K and
            more have no class). Never written to.
        margins: λ1, λ2, λ3.
        ce_weights: β1, β2; 0 leaves that term out.
        selection: share of generated pixels that is trusted.
        sign: of λ3.
        generator: of the draw of pixels, on the CPU; torch's default without one.
    """
    half = len(target) // 2
    uncertainty = uncertainty.float()
    class_mask = classed(target, logits.shape[1], outlier, ignore)
    inlier, unknown = inliers(target, outlier, ignore), target == outlier
    ce = cross_entropy_map(logits, target, class_mask)
    trusted = _smallest(ce[half:].detach(), class_mask[half:], selection)
    original, generated = inlier[:half], inlier[half:]
    if select_contrast:
        generated = generated & (trusted | ~class_mask[half:])
    terms = {}
    if ce_weights[0]:
        terms["ce_original"] = ce_weights[0] * ce[:half].where(class_mask[:half], ce.new_zeros(())).mean()
    if ce_weights[1]:
        terms["ce_generated"] = ce_weights[1] * masked_mean(ce[half:], trusted)
    first, second, above = uncertainty[:half][original], uncertainty[half:][generated], uncertainty[unknown]
    count = min(len(first), len(second), len(above))
    first, second, above = (drawn(values, count, generator) for values in (first, second, above))
    terms["inlier"] = _mean((first + margins[0] - above).relu(), uncertainty)
    terms["generated"] = _mean((second + margins[1] - above).relu(), uncertainty)
    shift = uncertainty[half:] - uncertainty[:half]
    margin = -margins[2] if sign == "code" else margins[2]
    terms["pair"] = masked_mean((shift + margin).relu(), original & generated)
    return terms


def _smallest(ce: Tensor, mask: Tensor, share: float) -> Tensor:
    """Bool: the `share` of the pixels of `mask` with the smallest `ce`; at least one where there is any."""
    chosen = torch.zeros(mask.shape, dtype=torch.bool, device=mask.device)
    places = mask.flatten().nonzero()[:, 0]
    if len(places):
        kept = ce.flatten()[places].topk(max(1, int(share * len(places))), largest=False, sorted=False).indices
        chosen.view(-1)[places[kept]] = True
    return chosen


def _mean(values: Tensor, graph: Tensor) -> Tensor:
    return values.mean() if len(values) else 0.0 * graph.sum()
