"""Which pictures may prove a bound on false objects: those that the node judges, each of them once."""

from __future__ import annotations

import hashlib

import numpy as np

from ...errors import ImageError
from ...inference.sizes import check_size
from ...pipeline.input_gate.picture import black, low_contrast, measure, over_exposed


class Pictures:
    """Pictures met so far, by what they show."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def twin(self, image: np.ndarray, name: str) -> str | None:
        """Name of an earlier picture with the same pixels, None of a new one, which is met from then on.

        Args:
            image: uint8 `[H, W, 3]`.
        """
        shown = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
        known = self._names.get(shown)
        self._names.setdefault(shown, name)
        return known

    def check(self, image: np.ndarray, name: str) -> None:
        """Raises ImageError for a picture that proves nothing: `check_judged`, or the same as an earlier one."""
        twin = self.twin(image, name)
        check_judged(image)
        if twin is not None:
            raise ImageError("the same picture as an earlier one")


def check_judged(image: np.ndarray) -> None:
    """Raises ImageError for a picture, RGB uint8 `[H, W, 3]`, that the node does not judge with its defaults."""
    check_size(*image.shape[:2])
    statistics = measure(image)
    for check in (black, over_exposed, low_contrast):
        if fault := check(statistics):
            raise ImageError(f"the node does not judge such a picture: {fault.reason}")
