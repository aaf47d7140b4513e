"""The score of a whole network of another kind that looks at the same picture; in an `ensemble` the sum of both.

No published method: a network that was trained apart, on another backbone, overlooks other things.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ... import scores
from ...errors import BundleError
from ...model_card import InputSpec, readable
from ..input_size import network_size
from ..segmentor import HeadInput, resize

if TYPE_CHECKING:
    from ..segmentor import Segmentor


class OtherNetwork(nn.Module):
    """Evidence: the other network's score `[B, 1, H, W]`; its classes count for nothing.

    It sees what the first network sees, in its own normalisation, and smaller where its `pixels` say so: nothing is
    seen finer than the first network's input.

    Args:
        make: makes a network of its spec, as `build_segmentor` does.
        sees: the `input` of the network whose head this is.
        network, input: as in the bundle of the other network; neither `windows` nor `resize`.
    """

    SCORES = ("other_score",)

    def __init__(
        self, make: Callable[..., Any], sees: InputSpec | None, network: Mapping[str, Any], input: Mapping[str, Any]
    ) -> None:
        super().__init__()
        if sees is None:
            raise ValueError("it must know how images are normalised: `build_segmentor(network, input)`")
        try:
            own = InputSpec.model_validate(input)
            self.network: Segmentor = make("network", network, own)
        except ValidationError as error:
            raise ValueError(f"input: {readable(error)}") from error
        except BundleError as error:
            raise ValueError(f"in its own {error}") from error
        if own.windows or own.resize:
            raise ValueError("input: it sees the picture as the first network does, so `windows` and `resize` are none")
        if own.multiple % self.network.multiple:
            raise ValueError(f"input: multiple {own.multiple} is none of the network's {self.network.multiple}")
        if self.network.score_kind in scores.PERTURBING:
            raise ValueError(f"score {self.network.score_kind!r} needs a backward pass; no graph has one")
        self.spec = own
        self.reversed = sees.channel_order != own.channel_order
        mean, std = torch.tensor(sees.mean), torch.tensor(sees.std)
        if self.reversed:
            mean, std = mean.flip(0), std.flip(0)
        scale, shift = std / torch.tensor(own.std), (mean - torch.tensor(own.mean)) / torch.tensor(own.std)
        self.register_buffer("scale", scale[:, None, None], persistent=False)
        self.register_buffer("shift", shift[:, None, None], persistent=False)

    def prepare(self, height: int, width: int) -> None:
        """As `Segmentor.prepare`; the sides are those of the first network's input."""
        self.network.prepare(*network_size(height, width, self.spec))

    def evidence(self, given: HeadInput) -> Tensor:
        """The score as large as the first network's, float32. Over windows it is averaged."""
        x = resize(given.images, network_size(*given.images.shape[-2:], self.spec))
        if self.reversed:
            x = torch.cat((x[:, 2:], x[:, 1:2], x[:, :1]), dim=1)
        score = self.network(x * self.scale + self.shift, self.spec.output_stride).score
        return resize(score[:, None], given.size)

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """`[B, H, W]`."""
        return evidence[:, 0]
