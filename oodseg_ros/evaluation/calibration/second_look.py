"""What is in doubt and is looked at again, from frames without unknowns."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...errors import ConfigError
from ...inference.candidates import candidates, cell_size, in_cells, split
from ...model_card import InputSpec
from ...object_rule import SecondLook, SmallLook, Strip
from ..score_store import ScoreStore
from .object_target import MARGIN


@dataclass(frozen=True)
class LookTarget:
    """What a second look may cost.

    Attributes:
        zoom: how much larger it sees a part of the picture, above 1, at most 4; 0 = there is none.
        share: of the frames without unknowns that are looked at again, in (0, 1).
        small_zoom: the same for small candidates, above `zoom`; 0 = they are looked at like all others.
        small_height: share of the picture's height up to which a candidate is small, in (0, 1).
        small_share: share of the frames in which such a candidate is looked at again, in (0, 1).
        strip_zoom: how much larger the strip of fine cameras is seen, above 1, at most 4; 0 = there is none.
        strip_height: share of the picture's height that it has, in (0, 1), at most 1 / `strip_zoom`².

    Raises:
        ConfigError: a number is outside of its range.
    """

    zoom: float
    share: float = 0.1
    small_zoom: float = 0.0
    small_height: float = 0.05
    small_share: float = 0.1
    strip_zoom: float = 0.0
    strip_height: float = 0.25

    def __post_init__(self) -> None:
        for zoom in (self.zoom, self.small_zoom, self.strip_zoom):
            if zoom != 0 and not 1 < zoom <= 4:
                raise ConfigError(f"the zoom of a second look must be above 1 and at most 4, or 0, got {zoom:g}")
        if self.zoom and 0 < self.small_zoom <= self.zoom:
            raise ConfigError(
                f"small candidates are looked at closer than {self.zoom:g} times, got {self.small_zoom:g}"
            )
        if self.small_zoom and not self.zoom:
            raise ConfigError("small candidates have a second look of their own only where the others have one, too")
        for share in (self.share, self.small_share):
            if not 0 < share < 1:
                raise ConfigError(f"the share of frames looked at again must lie between 0 and 1, got {share:g}")
        if not 0 < self.small_height < 1:
            raise ConfigError(f"the height of small candidates is a share of the picture's, got {self.small_height:g}")
        if self.strip_zoom and not self.zoom:
            raise ConfigError("fine cameras have a strip only where the others have a second look, too")
        if not 0 < self.strip_height < 1:
            raise ConfigError(f"the height of the strip is a share of the picture's, got {self.strip_height:g}")
        if self.strip_zoom**2 * self.strip_height > 1:
            raise ConfigError(
                f"a strip of {self.strip_height:g} of the picture's height would cost more than the first look; "
                f"{self.strip_zoom:g} times as large it has at most {1 / self.strip_zoom**2:.3g}"
            )


def fit_second_look(
    frames: Iterable[tuple[np.ndarray, np.ndarray]],
    look: LookTarget,
    grow_rate: float,
    seed: float,
    ground: Iterable[int],
    spec: InputSpec,
) -> SecondLook:
    """The band of strengths that is in doubt: from what at most the share of the frames exceeds, to what none does.
    What is stronger than any false object of these frames needs no second look.

    Args:
        frames: (score float32 `[H, W]`, predicted class ids uint8 `[H, W]`) of one look, without unknowns; read once.
        look: see there.
        grow_rate, seed: as in `ObjectTarget`.
        ground: class ids that objects stand on.
        spec: the network's input.

    Raises:
        ConfigError: there is no frame, a share of them is less than one, a score is infinite, or the share of the
            frames has nothing to doubt.
    """
    standing = np.zeros(256, bool)
    standing[list(ground)] = True
    with tempfile.TemporaryDirectory(prefix="oodseg_second_look_") as folder:
        store, sampled = ScoreStore(folder), []
        for index, (score, labels) in enumerate(frames):
            cells, classes = in_cells(score, labels, cell_size(*score.shape, spec))
            store.put(f"{index:06d}", cells, classes)
            sampled.append(cells[np.isfinite(cells)])
        if not sampled:
            raise ConfigError("calibration: there is no frame without unknowns to choose the second look on")
        grow = float(np.quantile(np.concatenate(sampled), 1 - grow_rate))
        most = look.small_height if look.small_zoom else 0.0
        strongest = np.array(
            [
                [
                    max([strength for strength, _ in kind], default=-np.inf)
                    for kind in split(candidates(cells, classes, grow, seed, standing), most * len(cells))
                ]
                for _, cells, classes in store
            ]
        )
    if np.isposinf(strongest).any():
        raise ConfigError(
            "calibration: an object in a frame without unknowns has an infinite score; nothing is above it"
        )
    above = _exceeded(strongest[:, 0], look.share, "larger " if look.small_zoom else "")
    below, small = float(strongest.max()) + MARGIN, None
    if look.small_zoom:
        tiny = _exceeded(strongest[:, 1], look.small_share, "small ")
        small = SmallLook(height=look.small_height, zoom=look.small_zoom, above=tiny)
    strip = None
    if look.strip_zoom:
        strip = Strip(zoom=look.strip_zoom, height=look.strip_height)
    return SecondLook(zoom=look.zoom, grow=grow, above=above, below=below, small=small, strip=strip)


def _exceeded(strongest: np.ndarray, share: float, what: str) -> float:
    """The least strength that at most the share of the frames exceeds, and a margin, so that the frame at the limit is
    on the same side on every processor; `strongest` = of each frame, -inf = nothing.
    """
    frames = len(strongest)
    allowed = int(frames * share + 1e-9)
    if not allowed:
        raise ConfigError(
            f"calibration: {share:.1%} of {frames} frames is less than one to look at again; a second look with this "
            f"share is chosen on {math.ceil(1 / share - 1e-9)} frames or more"
        )
    least, following = np.sort(strongest)[frames - 1 - allowed :][:2].tolist()
    if not np.isfinite(least):
        raise ConfigError(
            f"calibration: less than {share:.1%} of the frames have anything {what}on the ground that could be in "
            "doubt; a second look would not pay"
        )
    return least + min(MARGIN, (following - least) / 2)
