"""Log each kind of trouble once per camera; the counts stand in /diagnostics."""

from __future__ import annotations

import re
import threading
from typing import Any

from ...errors import UserError

MAX_KINDS = 200
_FIGURES = re.compile(r"-?\d[\d.]*")


class LogOnce:
    """Thread-safe.

    Args:
        logger: rclpy's.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str, str]] = set()

    def once(self, camera: str, reason: str, error: Exception) -> None:
        """Log an error, the first of its reason and type for this camera."""
        # A UserError explains itself; of any other the type is part of the explanation.
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        prefix = "" if camera in text else f"camera {camera}: "
        self.text_once(
            camera,
            f"{reason}/{type(error).__name__}",
            f"{prefix}frame dropped ({reason}): {text[:600]} (said once; further ones are counted in /diagnostics)",
        )

    def text_once(self, camera: str, kind: str, text: str, severe: bool = True) -> None:
        """Log a sentence, the first of its kind for this camera; other figures in it make no other kind."""
        key = (camera, kind, _FIGURES.sub("#", text)[:300])
        with self._lock:
            # Bounded: adversarial input must not fill memory or disk through the log.
            if key in self._seen or len(self._seen) >= MAX_KINDS:
                return
            self._seen.add(key)
        # Two places: rclpy allows a line of code to log at one level only.
        if severe:
            self._logger.error(text)
        else:
            self._logger.warning(text)
