"""What an object looks like to the network itself: one vector per object, to find near repeats."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..bundle import Bundle

SIDE = 160
"""The square around an object is resized to about this: an object has one vector however far away it is."""
AROUND = 1.5
"""The square's side, in sides of the object's box."""


class ObjectFeatures:
    """Backbone features of an object's pixels, relative to those of the bundle's golden frame.

    Features of trained networks are all of one sign and much alike; taken relative to an ordinary road picture, only
    what is particular to the object is left.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._segmentor = bundle.segmentor()
        self._mean, self._std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (bundle.card.input.mean, bundle.card.input.std)
        )
        self._side = -(-SIDE // self._segmentor.multiple) * self._segmentor.multiple
        image = bundle.golden()["image"]
        self._ordinary = [(maps.mean(dim=(2, 3)), maps.std(dim=(2, 3)) + 1e-3) for maps in self._maps(image)]

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Vector of length 1, float32.

        Args:
            image: RGB uint8 `[H, W, 3]`.
            mask: bool `[H, W]`, the object; not empty.
        """
        square = square_around(mask)
        weights = torch.from_numpy(np.ascontiguousarray(mask[square], np.float32))[None, None]
        parts = []
        for maps, (mean, std) in zip(self._maps(image[square]), self._ordinary, strict=True):
            share = F.interpolate(weights, size=maps.shape[-2:], mode="area")
            pooled = (maps * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3)).clamp(min=1e-6)
            parts.append(F.normalize((pooled - mean) / std, dim=1))
        return F.normalize(torch.cat(parts, dim=1), dim=1)[0].numpy()

    @torch.inference_mode()
    def _maps(self, image: np.ndarray) -> list[Tensor]:
        """The two coarsest maps of the backbone, `[1, C, h, w]`."""
        x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
        x = F.interpolate(x, size=(self._side, self._side), mode="bilinear", align_corners=False)
        self._segmentor.prepare(self._side, self._side)
        features = self._segmentor.extract((x - self._mean) / self._std).features
        return [maps.float() for maps in list(features)[-2:]]


def square_around(mask: np.ndarray, around: float = AROUND) -> tuple[slice, slice]:
    """Rows and columns of the square around a mask's box, cut at the picture's edge."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    half = max(16.0, around * max(np.ptp(rows) + 1, np.ptp(columns) + 1) / 2)
    centres = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    return tuple(
        slice(max(0, round(centre - half)), min(size, round(centre + half) + 1))
        for centre, size in zip(centres, mask.shape, strict=True)
    )
