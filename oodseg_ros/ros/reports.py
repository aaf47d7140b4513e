"""Log each kind of trouble once per camera; the counts stand in /diagnostics."""

from __future__ import annotations

import threading
from typing import Any

from ..errors import UserError

MOST_KINDS = 200


class Reports:
    """Thread-safe.

    Args:
        logger: rclpy's.
    """

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._seen: set[tuple[str, str]] = set()

    def once(self, camera: str, reason: str, error: Exception) -> None:
        """Log an error, the first of its reason and type for this camera."""
        # A UserError explains itself; of any other the type is part of the explanation.
        text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        prefix = "" if camera in text else f"camera {camera}: "
        self.text_once(
            camera,
            f"{reason}/{type(error).__name__}/{_shape(text)}",
            f"{prefix}frame dropped ({reason}): {text[:600]} (said once; further ones are counted in /diagnostics)",
        )

    def text_once(self, camera: str, kind: str, text: str) -> None:
        """Log a sentence, the first of its kind for this camera."""
        with self._lock:
            # Bounded: adversarial input must not fill memory or disk through the log.
            if (camera, kind) in self._seen or len(self._seen) >= MOST_KINDS:
                return
            self._seen.add((camera, kind))
        self._logger.error(text)


def _shape(text: str) -> str:
    """The sentence without its figures, so that the same trouble with other numbers is the same kind."""
    return "".join(" " if character.isdigit() else character for character in text)[:200]
