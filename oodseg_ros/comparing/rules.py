"""Rules that refuse a rollout: `alerts.disappeared > 0`, `AP.change < -0.01`."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .figures import FIGURES

OPERATORS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
NAMES = (
    *(f"{figure}.{part}" for figure in (*FIGURES, "mIoU") for part in ("old", "new", "change", "low", "high")),
    *(f"alerts.{kind}" for kind in ("old", "new", "appeared", "disappeared", "moved", "same")),
    *(f"unknown_frames.{part}" for part in ("old", "new", "change")),
)
"""What rules can ask for: fractions of datasets, numbers of alerts, shares of frames that were UNKNOWN."""


@dataclass(frozen=True)
class Rule:
    """`name` compared to `limit` is a reason to refuse."""

    name: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.name} {self.sign} {self.limit:g}"

    def broken(self, values: dict[str, Any]) -> str:
        """Why it refuses, or empty. A figure that is not there refuses too: nobody has shown that all is well."""
        value = values.get(self.name)
        if value is None or not math.isfinite(value):
            return f"{self}: {self.name} is not known here, so the rule cannot be kept"
        return f"{self}: it is {value:.6g}" if OPERATORS[self.sign](value, self.limit) else ""


def parse_rule(text: str) -> Rule:
    """`NAME OPERATOR NUMBER`.

    Raises:
        ConfigError: another form, or a name that no comparison has.
    """
    match = re.fullmatch(r"\s*([\w.]+)\s*(>=|<=|>|<)\s*([-+0-9.eE]+)\s*", text)
    try:
        name, sign, number = match.groups()  # type: ignore[union-attr]
        limit = float(number)
    except (AttributeError, ValueError):
        raise ConfigError(
            f"--fail-if {text!r}: write NAME OPERATOR NUMBER, e.g. 'alerts.disappeared > 0' or 'AP.change < -0.01'"
        ) from None
    if name not in NAMES:
        raise ConfigError(f"--fail-if {text!r}: no figure is called {name}; there are {', '.join(NAMES)}")
    return Rule(name, sign, limit)
