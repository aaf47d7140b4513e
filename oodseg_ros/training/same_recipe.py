"""A resumed run goes on with the recipe that it was begun with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .recipe import Recipe

FILE = "recipe.json"
MAY_CHANGE = ("name", "description", "workers", "calibration", "licence")
"""Keys that change no weight."""


def keep_recipe(recipe: Recipe, folder: Path, resume: bool, write: bool) -> None:
    """Write the recipe into the folder of a new run; on `resume` check that it is still the same.

    Raises:
        ConfigError: keys that decide about the weights were changed since the run began.
    """
    file = folder / FILE
    now = json.loads(recipe.model_dump_json(exclude=set(MAY_CHANGE)))
    if resume and file.is_file():
        before = json.loads(file.read_text())
        changed = sorted(key for key in now.keys() | before.keys() if now.get(key) != before.get(key))
        if changed:
            raise ConfigError(
                f"--resume: the run in {folder} was begun with another recipe: {_where(before, now, changed)}. "
                "Undo the change, or train into another --out"
            )
    elif write:
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(now, indent=1) + "\n")
        os.replace(part, file)


def _where(before: dict[str, Any], now: dict[str, Any], keys: list[str]) -> str:
    def short(value: Any) -> str:
        text = json.dumps(value)
        return text if len(text) <= 40 else f"{text[:37]}..."

    return "; ".join(f"{key} was {short(before.get(key))}, is {short(now.get(key))}" for key in keys[:4])
