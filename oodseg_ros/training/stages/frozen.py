"""What of a network does not learn, run for training: the same answers up to rounding, on processors in less time."""

from __future__ import annotations

import copy
import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ...networks.segmentor import HeadInput, Segmentor, decoded_by

_log = logging.getLogger(__name__)

TOLERANCE, TOLERANCE_BF16 = 1e-3, 5e-2
"""Largest difference between a folded copy and its original, as a share of the largest number that it answers."""

Signature = tuple[tuple[int, int], ...]


class Frozen:
    """The frozen parts of a segmentor, which must be in eval mode; no gradients.

    A processor runs them picture by picture, because the wide maps of a whole batch do not fit into its caches, and by
    copies whose batch norms are part of the convolutions before them. Copies are made at first use and made anew when a
    weight was changed. Other devices run the parts as they are.
    """

    def __init__(self, segmentor: Segmentor) -> None:
        self._segmentor = segmentor
        self._copies: dict[str, tuple[Signature, nn.Module]] = {}

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """What the backbone makes of normalised images `[B, 3, H, W]`."""
        return self._in_turn(images, self._features)

    @torch.no_grad()
    def extract(self, images: Tensor) -> tuple[HeadInput, Tensor]:
        """What backbone and decoder make of normalised images `[B, 3, H, W]`, and the raw inlier logits."""
        decoder, classifier = self._segmentor.decoder, self._segmentor.classifier

        def seen(some: Tensor) -> tuple[Any, ...]:
            features = self._features(some)
            merged, decoded = decoded_by(self._quick("decoder", lambda part: decoded_by(part, features)), features)
            return features, merged, decoded, classifier(decoded)

        features, merged, decoded, logits = self._in_turn(images, seen)
        return HeadInput(images, features, merged, decoded, decoder, classifier), logits

    def _features(self, images: Tensor) -> list[Tensor]:
        return self._quick("backbone", lambda part: part(images))(images)

    def _in_turn(self, images: Tensor, run: Callable[[Tensor], Any]) -> Any:
        if images.device.type != "cpu":
            return run(images)
        # With few threads one picture keeps them busy; many share out a batch better.
        return joined([run(some) for some in images.split(max(1, torch.get_num_threads() // 2))])

    def _quick(self, name: str, run: Callable[[nn.Module], Any]) -> nn.Module:
        """The copy of a part, or the part itself; `run` runs it on what it reads."""
        part = getattr(self._segmentor, name)
        if next(part.parameters(), torch.empty(0)).device.type != "cpu":
            return part
        signature = tuple((value.data_ptr(), value._version) for value in (*part.parameters(), *part.buffers()))
        made = self._copies.get(name)
        if made is None or made[0] != signature:
            made = self._copies[name] = signature, folded(part, run)
        return made[1]


def joined(parts: Sequence[Any]) -> Any:
    """Tensors, or lists and tuples of them, of several batches as those of one; None stays None."""
    if len(parts) == 1 or parts[0] is None:
        return parts[0]
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return [joined(values) for values in zip(*parts, strict=True)]


def folded(module: nn.Module, run: Callable[[nn.Module], Any]) -> nn.Module:
    """A copy of `module` in which a batch norm that reads a convolution's output is part of that convolution.

    Which these are is seen while `run(module)` runs it. `module` itself where there are none, or where the copy does
    not answer as it does (a convolution's output that something else reads too).
    """
    pairs, expected = _followed(module, run)
    if not pairs:
        return module
    quick = copy.deepcopy(module)
    for conv_name, norm_name in pairs:
        conv, norm = quick.get_submodule(conv_name), quick.get_submodule(norm_name)
        conv.weight, conv.bias = fuse_conv_bn_weights(
            conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
        )
        quick.set_submodule(norm_name, nn.Identity())
    quick.requires_grad_(False)
    if not _alike(run(quick), expected):
        _log.info("%s is trained on as it is: with folded batch norms it answers otherwise", type(module).__name__)
        return module
    return quick


def _followed(module: nn.Module, run: Callable[[nn.Module], Any]) -> tuple[list[tuple[str, str]], Any]:
    """Names of convolutions and of the batch norms that read them, each called once; and what `run` answers."""
    calls: dict[str, int] = {}
    made: dict[int, tuple[weakref.ref[Tensor], str]] = {}
    pairs = []

    def after_conv(name: str) -> Callable[..., None]:
        def note(conv: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            calls[name] = calls.get(name, 0) + 1
            made[id(output)] = weakref.ref(output), name

        return note

    def before_norm(name: str) -> Callable[..., None]:
        def note(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] = calls.get(name, 0) + 1
            output, conv = made.get(id(inputs[0]), (None, ""))
            if output is not None and output() is inputs[0]:
                pairs.append((conv, name))

        return note

    hooks = []
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            hooks.append(part.register_forward_hook(after_conv(name)))
        elif isinstance(part, nn.BatchNorm2d) and not part.training and part.running_mean is not None:
            hooks.append(part.register_forward_pre_hook(before_norm(name)))
    try:
        answer = run(module)
    finally:
        for hook in hooks:
            hook.remove()
    return [pair for pair in pairs if all(calls[name] == 1 for name in pair)], answer


def _alike(found: Any, expected: Any) -> bool:
    if isinstance(expected, Tensor):
        tolerance = TOLERANCE_BF16 if expected.dtype == torch.bfloat16 else TOLERANCE
        found, expected = found.float(), expected.float()
        return bool((found - expected).abs().max() <= tolerance * expected.abs().max())
    return expected is None or all(_alike(*pair) for pair in zip(found, expected, strict=True))
