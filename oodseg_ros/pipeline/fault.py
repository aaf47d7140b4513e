"""What a gate says of a frame that must not be judged."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UserError
from ..frame import Frame
from .reasons import sentence


@dataclass(frozen=True)
class Fault:
    """A reason code (`health.reasons`) and the figures behind it, for people."""

    reason: str
    detail: str = ""

    @property
    def text(self) -> str:
        """Reason and figures in one line."""
        return f"{sentence(self.reason)} ({self.detail})" if self.detail else sentence(self.reason)


class FrameRefused(UserError):
    """A gate refused a frame; carries both to whoever counts and tells it."""

    def __init__(self, fault: Fault, frame: Frame) -> None:
        super().__init__(fault.text)
        self.fault, self.frame = fault, frame
