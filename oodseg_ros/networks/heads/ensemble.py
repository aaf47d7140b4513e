"""Several heads on one frozen network, one score: what one of them overlooks another may see. A single one is a head
whose score is standardised.

No published method. Heads that were trained apart err apart: the mean of their scores, each in its own standard
deviations on normal pixels, ranks better than any of them where none is much worse than the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..segmentor import HeadInput, Segmentor, align_corners, decoded_by, resize


class Member(nn.Module):
    """One head, and the decoder that it reads if that is not the network's.

    Attributes:
        score_kind: one of the head's `SCORES`.
        weight: of its score in the mean.
    """

    def __init__(self, head: nn.Module, score_kind: str, decoder: nn.Module | None, weight: float = 1.0) -> None:
        super().__init__()
        self.head, self.decoder, self.score_kind, self.weight = head, decoder, score_kind, weight


class Ensemble(nn.Module):
    """Evidence: the members' scores `[B, M, H, W]`, standardised. Score: their mean.

    Args:
        make: makes a decoder or a head of its spec, as `build_segmentor` does.
        members: one dict each: `head` and `score` as in a network spec, and `decoder` for a member that reads a decoder
            of its own, which may be trained without moving the inlier logits; `weight`, of its score in the mean,
            above 0, default 1.
    """

    SCORES = ("mean_standardized",)

    def __init__(self, make: Callable[..., Any], members: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs members")
        self._hold([self._member(make, **member) for member in members])

    def _hold(self, members: Sequence[Member]) -> None:
        self.members = nn.ModuleList(members)
        self.register_buffer("mean", torch.zeros(len(members)))
        self.register_buffer("deviation", torch.ones(len(members)))

    def alone(self, index: int) -> Ensemble:
        """An ensemble of this member only, which it shares, in the unit of that member's score."""
        one = Ensemble.__new__(Ensemble)
        nn.Module.__init__(one)
        one._hold([self.members[index]])
        return one

    @staticmethod
    def _member(
        make: Callable[..., Any],
        head: Mapping[str, Any],
        score: str,
        decoder: Mapping[str, Any] | None = None,
        weight: float = 1.0,
    ) -> Member:
        if not 0 < weight < math.inf:
            raise ValueError(f"the weight of a member must be above 0 and finite, got {weight:g}")
        own = None if decoder is None else make("decoder", decoder)
        made = make("head", head, own)
        if score not in made.SCORES:
            raise ValueError(f"a member's score {score!r} is not one of {', '.join(made.SCORES)}")
        return Member(made, score, own, weight)

    @torch.no_grad()
    def initialize_from(self, decoder: nn.Module) -> None:
        """Members' own decoders of the same kind start as the network's."""
        for member in self.members:
            if isinstance(member.decoder, type(decoder)):
                member.decoder.load_state_dict(decoder.state_dict())

    def prepare(self, height: int, width: int) -> None:
        """As `Segmentor.prepare`, for members that are networks of their own."""
        for member in self.members:
            if hasattr(member.head, "prepare"):
                member.head.prepare(height, width)

    def evidence(self, given: HeadInput) -> Tensor:
        """The members' scores, float32. Over windows scores are averaged, not what they are made of."""
        logits = resize(given.classifier(given.decoded).float(), given.size, align_corners(given.decoder))
        found = []
        for member in self.members:
            seen = given
            if member.decoder is not None:
                merged, decoded = decoded_by(member.decoder, given.features)
                seen = given._replace(merged=merged, decoded=decoded, decoder=member.decoder)
            found.append(member.head.score(logits, member.head.evidence(seen), given.output_stride))
        return (torch.stack(found, dim=1) - self.mean[:, None, None]) / self.deviation[:, None, None]

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """Weighted mean over the members, `[B, H, W]`."""
        weights = [member.weight for member in self.members]
        if len(set(weights)) == 1:
            return evidence.mean(dim=1)
        return (evidence * evidence.new_tensor(weights)[:, None, None]).sum(dim=1) / sum(weights)


def with_member(segmentor: Segmentor, index: int) -> Segmentor:
    """The network with this member of its ensemble as its head, and with the member's own decoder if it has one.

    Modules are shared: training it trains the member.

    Raises:
        ValueError: there is no such member.
    """
    members = getattr(segmentor.head, "members", ())
    if not 0 <= index < len(members):
        raise ValueError(f"the network's head has no member {index}; it has {len(members)}")
    member = members[index]
    decoder = segmentor.decoder if member.decoder is None else member.decoder
    return Segmentor(segmentor.backbone, decoder, segmentor.classifier, member.head, member.score_kind)
