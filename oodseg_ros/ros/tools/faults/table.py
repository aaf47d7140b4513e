"""Outcomes as a table for people and JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .script import SILENCE, Outcome

HEAD = (
    "| fault | what is done | result | seen by a consumer | detected after s | recovered after s | other camera | "
    "heartbeat gap s |"
)
EXPLANATION = """\
Made by `{command}` on {machine}. Do not edit: run the command again.

Every row is a fault that was done to the real node process over DDS: two cameras of 10 frames per second (`front` raw,
`side` compressed), heartbeats every 0.05 s, `image_timeout` and `max_age` {timeout:g} s. Only the network is replaced,
by an engine of constant time that fails on command.

- **seen**: states and reasons of the camera that was hit, in the order of their first appearance, recovery included
- **detected after**: from the act to the first alert that says so
- **recovered after**: from the end of the fault to CLEAR
- **other camera**: its frames that were answered meanwhile, and the longest time between two of them
- **heartbeat gap**: longest time between two alerts; where the process ended, until its successor's first one

A row fails if the fault was not seen in time or with another reason, if the node did not recover or died, if a camera
that the fault does not concern was UNKNOWN at any time, if the heartbeat stopped for longer than {timeout:g} s in a
process that lives, or if a refusal was missing.
"""


def markdown(outcomes: Sequence[Outcome], command: str, machine: str, timeout: float) -> str:
    """The page `docs/reliability.md`."""
    passed = sum(outcome.passed for outcome in outcomes)
    lines = [
        "# What the node does when something fails",
        "",
        EXPLANATION.format(command=command, machine=machine, timeout=timeout),
        f"**{passed} of {len(outcomes)} faults were handled as demanded.**",
        "",
    ]
    for group in dict.fromkeys(outcome.group for outcome in outcomes):
        lines += [f"## {group}", "", HEAD, "|" + "---|" * HEAD.count(" | ") + "---|"]
        lines += [_row(outcome) for outcome in outcomes if outcome.group == group]
        lines.append("")
    return "\n".join(lines)


def write(
    outcomes: Sequence[Outcome], folder: Path, command: str, machine: str, timeout: float, more: dict[str, object]
) -> None:
    """`faults.json` and `reliability.md` in an existing folder."""
    head = {"command": command, "machine": machine, "timeout_s": timeout, **more}
    data = {**head, "faults": [outcome.as_dict() for outcome in outcomes]}
    (folder / "faults.json").write_text(json.dumps(data, indent=1) + "\n")
    (folder / "reliability.md").write_text(markdown(outcomes, command, machine, timeout))


def _row(outcome: Outcome) -> str:
    result = "ok" if outcome.passed else "**failed**: " + "; ".join(outcome.trouble)
    if outcome.exit is not None:
        result += f", exit {outcome.exit}"
    other = "–"
    if outcome.witness_answers and SILENCE not in outcome.seen:
        other = f"{outcome.witness_answers} frames, {_figure(outcome.witness_gap_s)} s"
    cells = (
        f"`{outcome.name}`",
        outcome.what,
        result,
        "; ".join(outcome.seen),
        _figure(outcome.detect_s),
        _figure(outcome.recover_s),
        other,
        _figure(outcome.heartbeat_gap_s),
    )
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
