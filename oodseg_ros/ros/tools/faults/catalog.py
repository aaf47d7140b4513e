"""All faults, and those that `--only` asks for."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from ....errors import ConfigError
from .catalog import CAMERA, DISK, ENGINE, LOAD, MESSAGE, PARAMETERS, PROCESS, SERVICES, TIME
from .script import Script

ALL: tuple[Script, ...] = (*CAMERA, *MESSAGE, *ENGINE, *LOAD, *DISK, *PARAMETERS, *SERVICES, *TIME, *PROCESS)


def choose(only: Sequence[str] = ()) -> tuple[Script, ...]:
    """The faults whose name or group fits one of the patterns (`camera_*`, `time`), in the order of the catalog.

    Raises:
        ConfigError: a pattern fits none.
    """
    for pattern in only:
        if not any(_fits(script, pattern) for script in ALL):
            raise ConfigError(
                f"no fault is called {pattern!r}; groups: {', '.join(dict.fromkeys(s.group for s in ALL))}; "
                f"faults: {', '.join(script.name for script in ALL)}"
            )
    return tuple(script for script in ALL if not only or any(_fits(script, pattern) for pattern in only))


def _fits(script: Script, pattern: str) -> bool:
    return script.group == pattern or fnmatch.fnmatchcase(script.name, pattern)
