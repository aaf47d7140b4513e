"""What the node itself costs: stamp → published and CPU per answered frame, beside a plain cv_bridge node.

The network is replaced by a constant answer in both. A camera process publishes images, the node answers with labels,
score and mask, a listener process takes them; each in a process of its own, over DDS with the shipped profile. Both
nodes run in turns within one call, so that they meet the same machine. The plain node does nothing but convert and
publish; ours does all of its work: threshold, components, tracks, alert, heartbeat, accounts.

    python benchmarks/node_overhead.py [--rate 30] [--seconds 20] [--size 1920x1080] [--rounds 3]

With `--onnx FILE` (of `oodseg export-onnx BUNDLE --size SIZE --out FILE`, of this commit or another one) there are
networks: our node with its bundle beside plain nodes that run the file in OpenVINO and in ONNX Runtime.

    python benchmarks/node_overhead.py --onnx model.onnx --size 960x540 --rate 4
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from oodseg_ros.ros.node.launching import dds_profile

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "node_overhead.json"
LISTENERS = ("all outputs", "alert only")
OUTPUTS = ("semantic/image", "anomaly/score", "anomaly/mask")
END_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
CHILDREN = Path(__file__).with_name("node_overhead_processes.py")
WARM_UP = 3.0
"""Seconds whose ages are not counted: first allocations, a governor that wakes up."""


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--onnx", type=Path, help="exported graph that the plain nodes run")
    parser.add_argument("--bundle", default="road_lite", help="with --onnx: what our node runs")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows = []
    for round_ in range(options.rounds):
        for listeners in LISTENERS[: 1 if options.onnx else 2]:
            for node in nodes(options):
                rows.append(measure(node, listeners, options))
                print(f"round {round_ + 1}: {node}, {listeners}: {rows[-1]['cpu_ms_per_frame']:.1f} ms CPU per frame")
    summary = summarize(rows)
    show(summary, options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    settings = {"rate": options.rate, "seconds": options.seconds, "size": options.size, "rounds": options.rounds}
    machine = {"cores": os.cpu_count(), "load_at_end": os.getloadavg()[0], "python": sys.version.split()[0]}
    report = {"settings": settings, "machine": machine, "rows": rows, "summary": summary}
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {options.out}")


def nodes(options: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Name of a node → arguments of its process; the last one is ours."""
    if options.onnx is None:
        return {"plain": (options.size,), "ours": (options.size,)}
    file = (options.size, str(options.onnx))
    return {"openvino": file, "onnxruntime": file, "network": (options.size, options.bundle, options.precision)}


def measure(node: str, listeners: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run camera, node and listener; returns what the three counted."""
    folder = Path(tempfile.mkdtemp(prefix="node_overhead_"))
    environment = dict(os.environ, ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST", OMP_NUM_THREADS="1")
    environment |= dds_profile({"ROS_DISTRO": "kilted", **os.environ}, ROOT)
    topics = OUTPUTS if listeners == "all outputs" else ()
    roles = {
        "listener": topics,
        node: nodes(options)[node],
        "camera": (options.size, options.rate, WARM_UP + options.seconds),
    }
    processes: dict[str, subprocess.Popen] = {}
    try:
        for role, arguments in roles.items():
            command = [sys.executable, str(CHILDREN), role, str(folder / f"{role}.json"), *map(str, arguments)]
            # Whatever ends this process, SIGKILL included, ends its children with it.
            processes[role] = subprocess.Popen([*END_WITH_PARENT, *command], env=environment)
        begun = folder / "camera.json.begun"
        while not begun.exists():
            if any(process.poll() is not None for process in processes.values()):
                raise RuntimeError("one of the processes ended early; see above")
            time.sleep(0.05)
        before = cpu_seconds(processes[node].pid)
        processes["camera"].wait()
        after = cpu_seconds(processes[node].pid)
        for role in (node, "listener"):
            processes[role].send_signal(signal.SIGINT)
            processes[role].wait(30)
    finally:
        for process in processes.values():
            if process.poll() is None:
                process.kill()
    camera = json.loads((folder / "camera.json").read_text())
    answered = json.loads((folder / f"{node}.json").read_text())
    heard = json.loads((folder / "listener.json").read_text())
    ages = np.asarray(answered["ages"][int(WARM_UP * options.rate) :]) * 1e3
    if not ages.size:
        raise RuntimeError(
            f"{node} answered {answered['answered']} of {camera['sent']} frames, no more than the warm-up has: give a "
            "lower --rate or more --seconds"
        )
    return {
        "node": node,
        "listeners": listeners,
        "sent": camera["sent"],
        "answered": answered["answered"],
        "lost": camera["sent"] - answered["answered"],
        "heard": heard["counts"],
        "peak_mb": answered["peak_mb"],
        "cpu_ms_per_frame": (after - before) / answered["answered"] * 1e3,
        **{f"age_p{q}_ms": float(np.percentile(ages, q)) for q in (50, 95, 99)},
        "age_max_ms": float(ages.max()),
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Median over the rounds; frames are summed."""
    summary = []
    for listeners in dict.fromkeys(row["listeners"] for row in rows):
        medians = []
        for node in dict.fromkeys(row["node"] for row in rows):
            same = [row for row in rows if (row["node"], row["listeners"]) == (node, listeners)]
            measured = [key for key in same[0] if key.endswith(("ms", "frame", "mb"))]
            counts = {key: sum(row[key] for row in same) for key in ("sent", "answered", "lost")}
            values = {key: float(np.median([row[key] for row in same])) for key in measured}
            medians.append({"node": node, "listeners": listeners, **counts, **values})
        *others, ours = medians
        for other in others:
            other["ours_over_this"] = ours["cpu_ms_per_frame"] / other["cpu_ms_per_frame"]
        summary += medians
    return summary


def show(summary: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """The table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{options.size} bgr8 at {options.rate:g} Hz, {options.rounds} x {options.seconds:g} s, medians"
    )
    for column in (
        "listeners",
        "node",
        "CPU ms/frame",
        "ours / this",
        "MB",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "sent",
        "answered",
        "lost",
    ):
        table.add_column(column, justify="left" if column in ("listeners", "node") else "right")
    for row in summary:
        ages = [f"{row[f'age_{key}_ms']:.1f}" for key in ("p50", "p95", "p99", "max")]
        counts = [str(row[key]) for key in ("sent", "answered", "lost")]
        share = f"{row['ours_over_this']:.2f}" if "ours_over_this" in row else ""
        cpu = f"{row['cpu_ms_per_frame']:.1f}"
        table.add_row(row["listeners"], row["node"], cpu, share, f"{row['peak_mb']:.0f}", *ages, *counts)
    Console().print(table)


if __name__ == "__main__":
    main()
