"""Which changes of parameters make the node less careful: they are said in the log, and may be locked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .schema import Spec


def less_careful(
    specs: Mapping[str, Spec],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    meanings: Mapping[str, float] | None = None,
) -> list[str]:
    """One text `name 1.34 -> 3.0` for each parameter that became less careful.

    Args:
        specs: full name → spec; `careful` tells the way.
        before, after: full name → value; names missing in `before` are compared with their default.
        meanings: what NaN stands for, by name; where it is not known a change from or to NaN counts as less careful.
    """
    meanings = meanings or {}
    texts = []
    for name, value in after.items():
        spec = specs.get(name)
        if spec is None or not spec.careful:
            continue
        old, new = (_meant(name, each, meanings) for each in (before.get(name, spec.default), value))
        if _is_less(spec, old, new):
            texts.append(f"{name} {_text(old)} -> {_text(new)}")
    return texts


def _meant(name: str, value: Any, meanings: Mapping[str, float]) -> Any:
    return meanings.get(name, value) if isinstance(value, float) and math.isnan(value) else value


def _is_less(spec: Spec, old: Any, new: Any) -> bool:
    if old == new or all(isinstance(each, float) and math.isnan(each) for each in (old, new)):
        return False
    if spec.careful == "same":
        return True
    if spec.careful == "more":
        return not set(old) <= set(new)
    if spec.careful == "first":
        return spec.choices.index(new) > spec.choices.index(old)
    # Written so that NaN, of which nothing is known, is never the careful one.
    return not (new <= old if spec.careful == "lower" else new >= old)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
