"""Rules by which scores become objects: what is one, what it tells over several frames, what is looked at again.

They are the `objects`, `evidence` and `second_look` of a bundle's `calibration`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

_LARGEST = float(np.finfo(np.float32).max)
Score = Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)]
"""A raw score: scores are float32, and a threshold beyond them would be one that nothing ever exceeds."""

MOST_SIZES = 16
"""So many sizes of objects at most need less than the largest."""


class Strict(BaseModel):
    """Every number is finite: nothing is above a threshold of NaN, so a road full of obstacles would be clear."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Core(Strict):
    """The strong part of something larger that is weak for the most part: an object by itself where it is stronger than
    any on clean frames.

    Attributes:
        grow: raw score above which pixels that hang together are one core, if it is any.
        free, among, beside: raw scores that the share `Objects.seed` of its pixels must be above where it is free on
            the ground, on it among other things, and beside it; never less than the threshold in force.
    """

    grow: Score
    free: Score
    among: Score
    beside: Score

    @model_validator(mode="after")
    def _in_order(self) -> Core:
        if self.grow > min(self.free, self.among, self.beside):
            raise ValueError("core: `grow` must be at most `free`, `among` and `beside`")
        return self


class Smaller(Strict):
    """How much less a smaller object needs: false ones, paint and reflections, are strong where they are large.

    Attributes:
        share: of the picture's pixels that the object has less than.
        free, among, beside: raw score by which its limit is below that of the largest objects, which a threshold
            stands for.
    """

    share: float = Field(gt=0, lt=1)
    free: float = Field(ge=0, le=1e6)
    among: float = Field(ge=0, le=1e6)
    beside: float = Field(ge=0, le=1e6)


class Objects(Strict):
    """How anomalous pixels become objects: they hang together above a low score, and enough of them are above a high
    one.

    Attributes:
        grow: raw score above which pixels that hang together are one object, if it is any; at most the threshold.
        seed: share of its pixels that must be above the threshold.
        among: the same where an object stands on the ground, but most of what is around it is something else: there a
            network errs more often. At least the threshold; None = the threshold.
        beside: the same for an object that does not stand on the ground; at least the threshold.
        ground: class ids of the label set that an object can stand on; empty = `among` and `beside` count for none.
        core: what of the rest is an object all the same: a halo or a cluttered place may be larger than what is in it;
            None = nothing.
        smaller: what is enough for smaller objects, the largest of them first; never less than `grow`.
        coherence: how near the published scores of what hangs together are to its strong part, in [0, 1); 0 = as the
            network gives them. Nothing is decided by it.
    """

    grow: Score
    seed: float = Field(gt=0, le=1)
    among: Score | None = None
    beside: Score
    ground: list[Annotated[int, Field(ge=0, le=254)]] = Field(default_factory=list)
    core: Core | None = None
    smaller: list[Smaller] = Field(default_factory=list, max_length=MOST_SIZES)
    coherence: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _core_is_stronger(self) -> Objects:
        if self.core is not None and self.core.grow < self.grow:
            raise ValueError("objects: the `grow` of `core` must be at least that of the whole")
        return self

    @model_validator(mode="after")
    def _smaller_need_less(self) -> Objects:
        for name in ("share", "free", "among", "beside"):
            values = [getattr(one, name) for one in self.smaller]
            wanted = sorted(values, reverse=name == "share")
            if values != wanted or (name == "share" and len(set(values)) < len(values)):
                raise ValueError(f"objects: `smaller` must have falling shares and never falling {name}")
        return self

    def limit_among(self, threshold: float) -> float:
        """What an object among other things needs, where one that is free needs `threshold`."""
        return threshold if self.among is None else self.among


class Evidence(Strict):
    """What the strength of a candidate tells: of a group of pixels above `Objects.grow` that stands on the ground.

    A candidate's strength is the score that the share `Objects.seed` of its pixels exceeds.

    Attributes:
        strengths: lower ends of the bins, raw scores, rising; the last bin is open. What is below the first is in it.
        unknown: share of all pasted unknowns that are a candidate of this bin; the rest of 1 is missed.
        normal: share of the candidates of clean frames that are in it, sum 1.
        candidates: per clean frame.
        source: of how many frames and objects.
    """

    strengths: list[float] = Field(min_length=1, max_length=256)
    unknown: list[float] = Field(min_length=1, max_length=256)
    normal: list[float] = Field(min_length=1, max_length=256)
    candidates: float = Field(ge=0, le=1e6)
    source: str = ""

    @model_validator(mode="after")
    def _shares(self) -> Evidence:
        edges, unknown, normal = (np.asarray(values) for values in (self.strengths, self.unknown, self.normal))
        if not edges.shape == unknown.shape == normal.shape:
            raise ValueError("evidence: strengths, unknown and normal must be of equal length")
        if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError("evidence: strengths must be finite and rise")
        if not (unknown > 0).all() or not (normal > 0).all() or unknown.sum() >= 1 or abs(normal.sum() - 1) > 1e-3:
            raise ValueError("evidence: shares must be above 0; those of unknown sum to less than 1, of normal to 1")
        if (np.diff(np.log(unknown / normal)) < -1e-4).any():
            raise ValueError("evidence: a stronger candidate may not be less likely to be unknown")
        return self

    def hit(self, strength: float) -> float:
        """log p(candidate of this strength | unknown) / p(this strength | normal candidate); rises with strength."""
        place = max(0, int(np.searchsorted(self.strengths, strength, side="right")) - 1)
        return float(np.log(self.unknown[place] / self.normal[place]))

    def miss(self) -> float:
        """log p(no candidate | unknown): below 0."""
        return float(np.log1p(-sum(self.unknown)))


class SmallLook(Strict):
    """How small candidates of a second look are looked at: closer, and from another strength on.

    Attributes:
        height: share of the picture's height that such a candidate has at most, and twice that of it in width.
        zoom: how much larger; the window has 1 / zoom of the picture's sides.
        above: raw score of the first look.
    """

    height: float = Field(gt=0, lt=1)
    zoom: float = Field(gt=1, le=4)
    above: Score


class Strip(Strict):
    """What is looked at again in every picture of a camera that is fine enough (`inference.strip`), unless only
    something larger is in doubt: a strip of full width around the horizon. It costs at most as much as the first look.

    Attributes:
        zoom: how much larger than the first look it is seen.
        height: share of the picture's height that it has; with this zoom no more pixels than the first look takes.
    """

    zoom: float = Field(2.0, gt=1, le=4)
    height: float = Field(0.25, gt=0, lt=1)

    @model_validator(mode="after")
    def _costs_no_more(self) -> Strip:
        if self.zoom**2 * self.height > 1:
            raise ValueError("strip: `height` must be at most 1 / `zoom`², or it would cost more than the first look")
        return self


class SecondLook(Strict):
    """When a part of the picture is looked at again, larger. The mean of both scores decides there; of what is small,
    and in the strip, the greater one does.

    What hangs together above `grow` and stands on the ground is a candidate; its strength is the score that the share
    `Objects.seed` of it exceeds. It is in doubt between `above` and `below`.

    Attributes:
        version: of the way in which both scores decide; thresholds are of one way, so cards of another are refused.
        zoom: how much larger; the window has 1 / zoom of the picture's sides.
        grow, above, below: raw scores of the first look, rising.
        small: what holds instead for small candidates; None = nothing else.
        strip: what is looked at in pictures of fine cameras instead of what is small, and where nothing is in doubt;
            None = the same in all pictures.
    """

    version: Literal[2] = 2
    zoom: float = Field(gt=1, le=4)
    grow: Score
    above: Score
    below: Score
    small: SmallLook | None = None
    strip: Strip | None = None

    @model_validator(mode="after")
    def _rise(self) -> SecondLook:
        for where, look in (("", self), ("small.", self.small)):
            if look is not None and not self.grow <= look.above < self.below:
                raise ValueError(f"second_look: `grow` must be at most `{where}above`, and that less than `below`")
        if self.small is not None and self.small.zoom <= self.zoom:
            raise ValueError("second_look: `small.zoom` must be above `zoom`")
        return self

    @property
    def options(self) -> str:
        """What `calibrate-objects` is asked for to choose such a one anew."""
        text = f"--second-look {self.zoom:g}"
        if (small := self.small) is not None:
            text += f" --small-look {small.zoom:g} --small-look-height {small.height:g}"
        if (strip := self.strip) is not None:
            text += f" --strip {strip.zoom:g} --strip-height {strip.height:g}"
        return text

    @property
    def words(self) -> str:
        """The rule as a person reads it."""
        text = (
            f"{self.zoom:g} times as large, where something on the ground is stronger than {self.above:.6g} but not "
            f"than {self.below:.6g}"
        )
        if (small := self.small) is not None:
            text += (
                f"; {small.zoom:g} times, where it has at most {small.height:.3g} of the picture's height and is "
                f"stronger than {small.above:.6g}, and the greater score decides there"
            )
        if (strip := self.strip) is not None:
            text += (
                f"; of fine cameras instead, in every picture unless only something larger is in doubt, a strip around "
                f"the horizon of {strip.height:.3g} of its height, {strip.zoom:g} times as large, where the greater "
                "score decides, too"
            )
        return text
