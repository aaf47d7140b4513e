"""Run fault scripts against the real node and write down what a consumer saw: a table for people, JSON for programs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ....errors import UserError
from ....paths import write_json
from .acts import do
from .harness import PATIENCE, Harness, prepared
from .script import SILENCE, Outcome, Script
from .watch import Seen, longest_gap

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
    data = {**head, "faults": [asdict(outcome) for outcome in outcomes]}
    write_json(folder / "faults.json", data)
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


SILENT_AFTER = 0.5
"""Seconds without an alert (they come every 0.05 s) that count as silence."""


def run_all(
    scripts: Sequence[Script],
    folder: Path,
    timeout: float = 1.0,
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Outcomes in the order of the scripts; a fault that breaks the harness's node costs a new node, not the run."""
    order = {"wall": 0, "sim": 1, "own": 2}
    outcomes: dict[str, Outcome] = {}
    with Harness(folder, timeout) as harness:
        for script in sorted(scripts, key=lambda script: order[script.node]):
            outcomes[script.name] = outcome = run_script(harness, script)
            progress(outcome)
    return [outcomes[script.name] for script in scripts]


def run_script(harness: Harness, script: Script) -> Outcome:
    """Do it, watch, undo it, watch."""
    outcome = Outcome(script.name, script.group, script.what)
    try:
        with prepared(harness, script):
            _Run(harness, script, outcome).run()
    except UserError as error:
        outcome.trouble.append(str(error))
    except Exception as error:  # a harness that stumbles over one fault must still tell about the others
        outcome.trouble.append(f"the harness failed: {type(error).__name__}: {error}")
    outcome.passed = not outcome.trouble
    return outcome


class _Run:
    def __init__(self, harness: Harness, script: Script, outcome: Outcome) -> None:
        self._harness, self._watch = harness, harness.watch
        self._script, self._outcome = script, outcome

    def run(self) -> None:
        script, outcome, harness = self._script, self._outcome, self._harness
        harness.recorder_before = dict(self._watch.account("recorder"))
        begun = acted = time.monotonic()
        accepted = True
        for act in script.begin:
            acted = time.monotonic()
            accepted = do(harness, act)
            last = act is script.begin[-1]
            if not accepted and not (last and script.refused) and act.options.get("wait", True):
                outcome.trouble.append(f"the node refused: {act.kind} {dict(act.options)}"[:200])
        if script.refused and accepted:
            outcome.trouble.append("the node accepted what it should have refused")
        if script.stays:
            time.sleep(script.hold)
        else:
            self._detect(begun, acted)
        if script.exit is not None:
            outcome.exit = harness.process.wait(PATIENCE)
            if outcome.exit != script.exit:
                outcome.trouble.append(f"exit status {outcome.exit} instead of {script.exit}")
        elif not harness.process.alive:
            outcome.trouble.append(f"the node died with status {harness.process.wait(1.0)}")
        ended = time.monotonic()
        for act in script.end:
            ended = time.monotonic()
            if not do(harness, act):
                outcome.trouble.append(f"the node refused: {act.kind} {dict(act.options)}"[:200])
        self._recover(ended)
        self._account(begun)

    def _detect(self, begun: float, acted: float) -> None:
        script, outcome = self._script, self._outcome
        # Written for a time-out of one second.
        within = script.within + 2 * (self._harness.timeout - 1.0)
        if SILENCE in script.states:
            found = self._harness.until(lambda: self._watch.silence() > SILENT_AFTER, within + SILENT_AFTER)
            # The node went silent when its last heartbeat came.
            moment = time.monotonic() - self._watch.silence() if found else None
        else:
            found = self._harness.until(lambda: self._first(begun, self._wanted), within)
            seen = self._first(begun, self._wanted)
            moment = seen.at if seen else None
        if moment is None:
            reasons = f" ({', '.join(sorted(script.reasons))})" if script.reasons else ""
            outcome.trouble.append(f"not seen within {within:g} s: {', '.join(sorted(script.states))}{reasons}")
        else:
            outcome.detect_s = round(max(0.0, moment - acted), 3)
            time.sleep(script.hold)

    def _recover(self, ended: float) -> None:
        script, outcome = self._script, self._outcome
        # Where the fault passes by itself, CLEAR counts only after what was to be seen.
        self._harness.until(lambda: self._clear(ended), script.recover)
        seen = self._first(ended, lambda seen: seen.state == "CLEAR")
        if seen is None or not self._clear(ended):
            outcome.trouble.append(f"not CLEAR again within {script.recover:g} s")
        elif not script.stays or "UNKNOWN" in script.states:
            outcome.recover_s = round(seen.at - ended, 3)

    def _account(self, begun: float) -> None:
        script, outcome = self._script, self._outcome
        story = self._watch.seen(script.victim, begun)
        if SILENCE in script.states and outcome.detect_s is not None:
            outcome.seen.append(SILENCE)
        for seen in story:
            text = f"{seen.state} {seen.reason}"
            if text not in outcome.seen:
                outcome.seen.append(text)
        strays = {f"{seen.state} {seen.reason}" for seen in story if script.stays and seen.state not in script.states}
        if strays:
            outcome.trouble.append(f"left {', '.join(sorted(script.states))}: {', '.join(sorted(strays))}")
        outcome.heartbeat_gap_s = round(self._watch.heartbeat_gap(begun), 3)
        if SILENCE not in script.states and outcome.heartbeat_gap_s > self._harness.timeout:
            outcome.trouble.append(f"no heartbeat for {outcome.heartbeat_gap_s:.2f} s")
        witness = self._watch.seen(script.other, begun)
        stamps: dict[int, float] = {}
        for seen in witness:
            if seen.stamp_ns:
                stamps.setdefault(seen.stamp_ns, seen.at)
        outcome.witness_answers = len(stamps)
        outcome.witness_gap_s = round(longest_gap([begun, *stamps.values()]), 3)
        hurt = {f"{seen.state} {seen.reason}" for seen in witness if seen.state != "CLEAR"}
        if hurt and not script.shared:
            outcome.trouble.append(f"the other camera was {', '.join(sorted(hurt))}")

    def _wanted(self, seen: Seen) -> bool:
        script = self._script
        return seen.state in script.states and (not script.reasons or seen.reason in script.reasons)

    def _first(self, since: float, wanted: Callable[[Seen], bool]) -> Seen | None:
        return next((seen for seen in self._watch.seen(self._script.victim, since) if wanted(seen)), None)

    def _clear(self, since: float) -> bool:
        newest = self._watch.now(self._script.victim)
        return newest is not None and newest.at >= since and newest.state == "CLEAR"
