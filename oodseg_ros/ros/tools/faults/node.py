"""The real node around an engine that fails on command. Reads one command per line from its standard input:

`MODE [COUNT] [HEIGHTxWIDTH]` as in `faults.engine`, or `load_good`, `load_slowly`, `load_refused` for what configure
will meet.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

from ....errors import EngineError, UserError
from ....parameters.settings import Settings
from ...perception import Perception, run
from .engine import FaultEngine

SLOW_LOAD = 20.0


class _Control:
    def __init__(self) -> None:
        self.engine = FaultEngine()
        self._load = "load_good"
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def load(self, settings: Settings, logger: Any) -> tuple[FaultEngine, tuple[str, ...]]:
        if self._load == "load_slowly":
            time.sleep(SLOW_LOAD)
        if self._load == "load_refused":
            raise EngineError("the test engine was told to refuse")
        return self.engine, ()

    def _listen(self) -> None:
        for line in sys.stdin:
            words = line.split()
            try:
                if words[0].startswith("load_"):
                    self._load = words[0]
                else:
                    self.engine.command(words)
            except (UserError, ValueError, IndexError) as error:
                print(f"control: {error}", flush=True)


def main() -> None:
    """Like the executable `perception`, with another engine."""
    control = _Control()
    sys.exit(run(lambda: Perception(load=control.load), sys.argv))


if __name__ == "__main__":
    main()
