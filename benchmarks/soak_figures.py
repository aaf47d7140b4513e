"""What a run of soak.py comes to: figures, what is wrong with them, and a table."""

from __future__ import annotations

from typing import Any

import numpy as np

MAX_AGE = 0.5
"""Seconds; the node's parameter `max_age` in the soak."""
SETTLE = 0.25
"""Share of the samples before memory counts: buffers and queues fill first."""
GROWTH_MB = 8.0
"""Allowed between the middle and the end of a run: allocators breathe by this much, a leak does not stop there."""


def figures(
    consumer: Any,
    names: list[str],
    sent: int,
    counts: dict[str, int],
    memory: list[tuple[float, float]],
    seconds: float,
) -> dict[str, Any]:
    """Everything that goes into the JSON.

    Args:
        consumer: what was heard: sequences, times, states, accounts.
        names: cameras.
        sent: frames, by the cameras.
        counts: the node's account of them over all cameras.
        memory: (seconds, resident MB) of the node.
        seconds: length of the run.
    """
    account = {name: consumer.accounts[name] for name in names}
    dropped = {key.removeprefix("dropped_"): count for key, count in counts.items() if key.startswith("dropped_")}
    received, answered, lost = (counts[key] for key in ("received", "answered", "lost_in_transport"))
    steps = np.diff(consumer.sequences)
    gaps = np.diff(consumer.times)
    half = np.asarray(memory[int(SETTLE * len(memory)) :])
    middle, end = (float(np.median(part[:, 1])) for part in np.array_split(half, 4)[::3])
    slope = float(np.polyfit(half[:, 0], half[:, 1], 1)[0] * 3600) if len(half) > 10 else float("nan")
    run = {
        "cameras": len(names),
        "seconds": seconds,
        "sent": sent,
        "received": received,
        "answered": answered,
        "lost_in_transport": lost,
        "dropped": {reason: count for reason, count in dropped.items() if count},
        "unaccounted_sent": sent - received - lost,
        "unaccounted_received": received - answered - sum(dropped.values()),
        "age_p50_s": max(float(values["age_p50_s"]) for values in account.values()),
        "age_p99_s": max(float(values["age_p99_s"]) for values in account.values()),
        "age_max_s": max(float(values["age_max_s"]) for values in account.values()),
        "heartbeats": len(consumer.sequences),
        "heartbeats_lost": int((steps - 1).clip(min=0).sum()),
        "heartbeat_gap_max_s": float(gaps.max(initial=0.0)),
        "states": dict(sorted(consumer.states.items(), key=lambda item: -item[1])[:6]),
        "memory_mb": [round(half[0][1], 1), round(half[-1][1], 1)],
        "memory_growth_mb": round(end - middle, 2),
        "memory_slope_mb_per_hour": round(slope, 1),
    }
    run["trouble"] = trouble(run)
    return run


def trouble(run: dict[str, Any]) -> list[str]:
    """Sentences about what must not be; empty = a good run."""
    checks = {
        "frames that were sent are not accounted for": run["unaccounted_sent"] != 0,
        "frames that were received are not accounted for": run["unaccounted_received"] != 0,
        "heartbeats were lost": run["heartbeats_lost"] > 0,
        # What is older is dropped before the engine; after that only the engine and publishing add to it.
        "an answer was older than max_age and what judging takes": run["age_max_s"] > 2 * MAX_AGE,
        "memory grows": run["memory_growth_mb"] > GROWTH_MB,
        "nothing was answered": run["answered"] == 0,
    }
    return [text for text, bad in checks.items() if bad]


def table(runs: list[dict[str, Any]]) -> str:
    """For people."""
    head = ("cameras", "s", "sent", "received", "answered", "lost by transport", "dropped", "unaccounted",
            "age p50/p99/max ms", "heartbeats (lost)", "gap max s", "memory MB", "growth MB")  # fmt: skip
    rows = [head]
    for run in runs:
        ages = "/".join(f"{1e3 * run[f'age_{key}_s']:.0f}" for key in ("p50", "p99", "max"))
        rows.append(
            (
                str(run["cameras"]), f"{run['seconds']:.0f}", str(run["sent"]), str(run["received"]),
                str(run["answered"]), str(run["lost_in_transport"]),
                ", ".join(f"{count} {reason}" for reason, count in run["dropped"].items()) or "0",
                str(run["unaccounted_sent"] + run["unaccounted_received"]), ages,
                f"{run['heartbeats']} ({run['heartbeats_lost']})", f"{run['heartbeat_gap_max_s']:.2f}",
                "{}–{}".format(*run["memory_mb"]), f"{run['memory_growth_mb']:.1f}",
            )
        )  # fmt: skip
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])
