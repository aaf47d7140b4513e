"""What a fault is: what is done to the node, what a consumer must see, and within which time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KNOWN = frozenset({"CLEAR", "OBSTACLE", "UNKNOWN"})
CLEAR = frozenset({"CLEAR"})
UNKNOWN = frozenset({"UNKNOWN"})
SILENCE = "no heartbeat"
"""Stands among the states of a fault that is seen by the absence of the alert topic."""

VICTIM, WITNESS = "front", "side"
"""Two cameras: raw and compressed, of different sizes. One is hit, the other must not notice."""


@dataclass(frozen=True)
class Act:
    """One thing done to the node or its surroundings; `kind` is a name in the driver's table of acts."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)


def act(kind: str, **options: Any) -> Act:
    """An act in one line."""
    return Act(kind, options)


@dataclass(frozen=True)
class Script:
    """One fault.

    Attributes:
        name: as given to `--only`.
        what: one sentence, for people.
        begin: what is done; detection is timed from its end.
        end: what takes the fault away; recovery (CLEAR) is timed from its end. Empty: the fault passes by itself.
        states: in which the victim must be seen (`SILENCE` = no heartbeat).
        reasons: codes of which that state must carry one; empty = any.
        within: seconds allowed for detection.
        recover: seconds allowed for recovery.
        hold: seconds for which the fault lasts after it was detected.
        stays: the victim must stay in `states` for all of `hold` instead of entering them.
        shared: the fault hits what both cameras share, so the witness may notice.
        exit: exit status that the node process must end with; None = it must live.
        refused: the node must answer the last act of `begin` with a refusal.
    """

    name: str
    group: str
    what: str
    begin: tuple[Act, ...]
    end: tuple[Act, ...] = ()
    states: frozenset[str] = UNKNOWN
    reasons: frozenset[str] = frozenset()
    within: float = 4.0
    recover: float = 8.0
    hold: float = 0.3
    stays: bool = False
    victim: str = VICTIM
    shared: bool = False
    node: str = "wall"
    exit: int | None = None
    refused: bool = False

    @property
    def other(self) -> str:
        """The camera that is not hit."""
        return WITNESS if self.victim == VICTIM else VICTIM


@dataclass
class Outcome:
    """What was seen.

    Attributes:
        name, group, what: of the script.
        passed: all that the script demands was seen.
        seen: states and reasons of the victim in the order of their first appearance, from the fault to the recovery.
        detect_s, recover_s: seconds; None = does not apply, or never.
        witness_answers: frames of the other camera that were answered meanwhile.
        witness_gap_s: longest time between two of them.
        heartbeat_gap_s: longest time between two alerts.
        exit: status of the process where it ended.
        trouble: sentences about what was not as demanded.
    """

    name: str
    group: str
    what: str
    passed: bool = False
    seen: list[str] = field(default_factory=list)
    detect_s: float | None = None
    recover_s: float | None = None
    witness_answers: int | None = None
    witness_gap_s: float | None = None
    heartbeat_gap_s: float | None = None
    exit: int | None = None
    trouble: list[str] = field(default_factory=list)
