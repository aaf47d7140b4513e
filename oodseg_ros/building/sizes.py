"""Image sizes as the command line writes them."""

from __future__ import annotations

import re

from ..errors import ConfigError
from ..inference.runner import MAX_SIDE, MIN_SIDE


def parse_size(text: str) -> tuple[int, int]:
    """`1080x1920` (HEIGHTxWIDTH) → (1080, 1920).

    Raises:
        ConfigError: it is something else, or a side is outside 32..8192.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    sides = tuple(map(int, match.groups())) if match else ()
    if not sides or not all(MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise ConfigError(f"size {text!r} is not HEIGHTxWIDTH with sides of {MIN_SIDE} to {MAX_SIDE}, e.g. 1080x1920")
    return sides[0], sides[1]
