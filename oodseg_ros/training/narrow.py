"""Hidden channels out of a bundle's EfficientNet-Lite: channel pruning with least squares (He et al. 2017, arXiv
1707.06168).

Every block projects its hidden channels to its output by a 1x1 convolution, which `fewer_channels` lets read fewer of
them. Every block is fitted to what it saw in the whole network, not to what narrower ones before it
make of that: one pass over the frames is enough, and errors of several blocks add up, which `Change` tells.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle import LABELS_FILE, Bundle, save_bundle
from ..errors import ConfigError, ImageError
from ..inference.graph import predict
from ..inference.sizes import check_size
from ..networks.build import build_segmentor
from ..networks.segmentor import Segmentor
from ..sources.open_source import open_matching
from ..sources.source import Source
from .fewer_channels import Moments, chosen, refitted

_log = logging.getLogger(__name__)

BACKBONE = "efficientnet_lite"
PLACES = 2048
"""Places of a map that count of one frame, drawn at random where there are more."""
STEP = 4
"""Every how many rows and columns a score counts for the percentile."""


@dataclass(frozen=True)
class Block:
    """A block's hidden channels, and the relative RMS error of its output without skip on frames that were not fitted,
    in parts of the output's deviation from its mean.
    """

    before: int
    after: int
    error: float


@dataclass(frozen=True)
class Change:
    """How far answers moved on the frames, first look, at the frames' size.

    Attributes:
        largest, percentile: |Δscore|, the largest and that which 0.1 % of the pixels exceed.
        labels: share of the pixels with another class.
    """

    largest: float
    percentile: float
    labels: float


@dataclass(frozen=True)
class Narrowed:
    """`segmentor` is that of the spec `network`; `frames` is how many were read."""

    segmentor: Segmentor
    network: dict[str, Any]
    blocks: tuple[Block, ...]
    frames: int
    change: Change


def check(bundle: Bundle, error: float) -> None:
    """Make sure that this bundle can be narrowed.

    Raises:
        ConfigError: its backbone is another one, or `error` is not between 0 and 1.
    """
    name = bundle.card.network["backbone"]["name"]
    if name != BACKBONE:
        raise ConfigError(f"only a backbone {BACKBONE} can be narrowed, that of {bundle.id} is {name}")
    if not 0 < error < 1:
        raise ConfigError(f"--error {error:g}: it must lie between 0 and 1, e.g. 0.01")


def narrow(bundle: Bundle, sources: Sequence[str], error: float = 0.01) -> Narrowed:
    """Take as many hidden channels out of every block as leave the error of its output at most `error`.

    The error is measured across: fitted on every other frame, seen on those between, and the other way round. What is
    kept is fitted on all frames.

    Args:
        sources: what `open_matching` opens; read twice. Two frames at least.
        error: bound of `Block.error`.

    Raises:
        ConfigError: see `check`; fewer than two frames.
        DatasetError, ImageError: what cannot be opened or read.
    """
    check(bundle, error)
    opened = [open_matching(source) for source in sources]
    segmentor = bundle.segmentor()
    halves, frames = _gather(segmentor, bundle, opened)
    state, blocks = dict(segmentor.state_dict()), []
    for index, block in enumerate(segmentor.backbone._blocks):
        one, other = halves[0][index].spread(), halves[1][index].spread()
        kept, reached = chosen(_scaled(block), one, other, error)
        blocks.append(Block(block.hidden, len(kept), reached))
        if len(kept) < block.hidden:
            _cut(state, index, kept, *refitted(block._project_conv.weight[:, :, 0, 0].double(), one.with_(other), kept))
    network = bundle.card.network
    if any(block.after < block.before for block in blocks):
        network = network | {"backbone": network["backbone"] | {"hidden": [block.after for block in blocks]}}
    found = build_segmentor(network, bundle.card.input)
    found.load_state_dict(state)
    found.eval()
    return Narrowed(found, network, tuple(blocks), frames, _change(segmentor, found, bundle, opened))


def write_narrowed(bundle: Bundle, narrowed: Narrowed, sources: Sequence[str], error: float, out: Path) -> Bundle:
    """Write what was found as a copy of the bundle at `out`: weights, network and golden frame are new, the calibration
    is the old one, and the metrics, which were measured on other weights, are gone.
    """
    image = bundle.golden()["image"]
    labels, score = predict(narrowed.segmentor, bundle.card.input, image)
    card = bundle.card
    told = {
        "from": bundle.id,
        # The last two names: never where it lay.
        "frames": f"{narrowed.frames} of {', '.join(str(Path(*Path(source).parts[-2:])) for source in sources)}",
        "error": error,
    }
    changed = {
        "network": narrowed.network,
        "training": card.training | {"narrowed": [*card.training.get("narrowed", []), told]},
        "metrics": [],
        "label_set": str(bundle.path / LABELS_FILE) if LABELS_FILE in card.files else card.label_set,
        "files": {},
    }
    golden = {"image": image, "labels": labels, "score": score}
    return save_bundle(out, card.model_copy(update=changed), narrowed.segmentor.state_dict(), golden)


def _scaled(block: nn.Module) -> Tensor:
    """A block's projection with the scale of the norm behind it, `[O, C]`: errors count as the next block sees them."""
    norm = block._bn2
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return (scale[:, None] * block._project_conv.weight[:, :, 0, 0].double()).detach()


@torch.no_grad()
def _cut(state: dict[str, Tensor], index: int, kept: list[int], weight: Tensor, constant: Tensor) -> None:
    """Leave only the channels `kept` of a block in the network's state dict."""
    at = f"backbone._blocks.{index}."
    # The first block has no expansion: its hidden channels are made by the stem.
    makes = (f"{at}_expand_conv.", f"{at}_bn0.") if index else ("backbone._conv_stem.", "backbone._bn0.")
    for key, value in state.items():
        if key.startswith((*makes, f"{at}_depthwise_conv.", f"{at}_bn1.")) and value.dim():
            state[key] = value[kept]
    state[f"{at}_project_conv.weight"] = weight.float()[:, :, None, None]
    # The projection has no bias; the norm behind it takes off what it took off, less the constant.
    state[f"{at}_bn2.running_mean"] = (state[f"{at}_bn2.running_mean"].double() - constant).float()


def _gather(segmentor: Segmentor, bundle: Bundle, opened: Sequence[Source]) -> tuple[list[list[Moments]], int]:
    """Moments of what every block projects, of even and of odd frames, and how many frames there were."""
    blocks = segmentor.backbone._blocks
    halves = [[Moments(block.hidden) for block in blocks] for _ in range(2)]
    generator, frames = torch.Generator().manual_seed(0), 0

    def watched(index: int) -> Any:
        def see(_: nn.Module, given: tuple[Tensor]) -> None:
            values = given[0].permute(0, 2, 3, 1).flatten(0, 2)
            if len(values) > PLACES:
                values = values[torch.randperm(len(values), generator=generator)[:PLACES]]
            halves[frames % 2][index].add(values)

        return see

    hooks = [block._project_conv.register_forward_pre_hook(watched(index)) for index, block in enumerate(blocks)]
    for image in _images(opened):
        predict(segmentor, bundle.card.input, image)
        frames += 1
    for hook in hooks:
        hook.remove()
    for source in opened:
        if troubles := source.troubles():
            _log.warning("%s: %s", source.name, troubles)
    if frames < 2:
        raise ConfigError(f"{frames} frames: channels are fitted on some and measured on others; give two at least")
    return halves, frames


def _change(before: Segmentor, after: Segmentor, bundle: Bundle, opened: Sequence[Source]) -> Change:
    largest, moved, pixels, sampled = 0.0, 0, 0, []
    for image in _images(opened):
        labels, score = predict(before, bundle.card.input, image)
        other_labels, other_score = predict(after, bundle.card.input, image)
        change = np.abs(other_score - score)
        largest = max(largest, float(change.max()))
        moved, pixels = moved + int((labels != other_labels).sum()), pixels + labels.size
        sampled.append(change[::STEP, ::STEP].ravel())
    return Change(largest, float(np.percentile(np.concatenate(sampled), 99.9)), moved / pixels)


def _images(opened: Sequence[Source]) -> Iterator[np.ndarray]:
    for source in opened:
        for frame in source:
            try:
                check_size(*frame.image.shape[:2])
            except ImageError as error:
                source.skipped[str(error)] += 1
                continue
            yield frame.image
