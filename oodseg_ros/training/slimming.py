"""Fewer channels inside the blocks of a pretrained backbone, chosen so that the blocks answer nearly as before.

Channel pruning with a least-squares refit of what follows (He et al., arXiv 1707.06168), here of inverted bottlenecks:
their widest maps take most of the time of a small network and hold much that the projection can make of the others.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..networks.backbones.efficientnet_lite import EfficientNetLite

PIXELS = 6000
"""Pixels of four pictures that a projection is fitted on."""
RIDGE = 1e-6
"""Of the mean square of the channels; keeps the fit possible where channels are equal."""


def slimmed(backbone: EfficientNetLite, state: dict[str, Tensor], pictures: Callable[[], Tensor]) -> dict[str, Tensor]:
    """`state` of a backbone with wider blocks, as one that fits `backbone`; any other state as it is.

    Every block is fitted to what it gives in the wider network. Train afterwards: the errors of several blocks add up.

    Args:
        pictures: makes normalised float32 `[B, 3, H, W]` of the kind that the network is for.
    """
    widths = {index: state.get(f"_blocks.{index}._bn1.weight") for index in backbone.hidden}
    wider = {
        index: len(norm)
        for index, norm in widths.items()
        if norm is not None and len(norm) > backbone._blocks[index].hidden
    }
    given = EfficientNetLite(backbone.variant, backbone.stages, {**backbone.hidden, **wider}).eval()
    shapes = {key: value.shape for key, value in given.state_dict().items()}
    if not wider or shapes != {key: value.shape for key, value in state.items()}:
        return state
    given.load_state_dict({key: value.float() for key, value in state.items()})
    slim, images = dict(given.state_dict()), pictures()
    with torch.inference_mode():
        for index in wider:
            own = _refitted(given, index, backbone._blocks[index].hidden, images)
            slim.update({f"_blocks.{index}.{key}": value for key, value in own.items()})
    return slim


def _refitted(backbone: EfficientNetLite, index: int, hidden: int, images: Tensor) -> dict[str, Tensor]:
    block = backbone._blocks[index]
    wide, projected = [], []
    for few in images.split(4):
        inside = block.widest(backbone.before(index, few))
        out = block._project_conv(inside)
        step = max(1, inside[:, 0].numel() // PIXELS)
        wide.append(inside.permute(0, 2, 3, 1).flatten(0, 2)[::step].double())
        projected.append(out.permute(0, 2, 3, 1).flatten(0, 2)[::step].double())
    kept, weight, constant = fewest_lost(torch.cat(wide), torch.cat(projected), hidden)
    state = {key: value.clone() for key, value in block.state_dict().items()}
    for key, value in state.items():
        if key.startswith(("_expand_conv", "_bn0", "_depthwise_conv", "_bn1")) and value.ndim:
            state[key] = value[kept]
    state["_project_conv.weight"] = weight.T.float()[:, :, None, None]
    state["_bn2.running_mean"] = state["_bn2.running_mean"] - constant.float()
    return state


def fewest_lost(inputs: Tensor, outputs: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` columns of `inputs` `[N, C]` that give `outputs` `[N, K]` best, found from behind: whichever costs
    least goes, and the rest is fitted again.

    Returns:
        their indices in order, weights `[count, K]` and constants `[K]` of the fit.
    """
    design = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    last = inputs.shape[1]
    gram = design.T @ design / len(design)
    gram.diagonal().add_(RIDGE * gram.diagonal()[:-1].mean())
    target = design.T @ outputs / len(design)
    kept = torch.arange(last + 1)
    while len(kept) > count + 1:
        inverse = torch.linalg.inv(gram[kept][:, kept])
        cost = (inverse @ target[kept]).square().sum(dim=1) / inverse.diagonal()
        cost[-1] = torch.inf  # the constant stays
        kept = torch.cat([kept[: cost.argmin()], kept[cost.argmin() + 1 :]])
    fit = torch.linalg.solve(gram[kept][:, kept], target[kept])
    return kept[:-1], fit[:-1], fit[-1]
