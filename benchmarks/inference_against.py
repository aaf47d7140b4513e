"""This commit's engines against an earlier commit's in one run; see `inference.py --json`."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


class EngineProcess:
    """One engine in a process of its own, of this checkout or another (`root`).

    Raises:
        RuntimeError: it ended, or had not started after `patience` seconds (None: however long it takes).
    """

    def __init__(
        self,
        root: Path,
        cache: Path,
        task: dict[str, Any],
        script: str = "inference_process.py",
        python: str = sys.executable,
        patience: float | None = None,
    ) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONPATH": str(root), "OODSEG_CACHE": str(cache)}
        child = [python, str(root / "benchmarks" / script), json.dumps(task)]
        self.name = task.get("way") or f"{task['engine']} {task['precision']}"
        self._process = subprocess.Popen(
            child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, env=environment
        )
        if not select.select([self._process.stdout], [], [], patience)[0]:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(f"{self.name} had not started after {patience:.0f} s")
        self.started = self._answer()

    def ask(self, **command: Any) -> dict[str, Any]:
        """One command, one answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self._process.wait()}")
        return json.loads(line)


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit, in a git worktree that is gone afterwards."""
    place = folder / f"commit-{commit}"
    git = ["git", "-C", str(ROOT)]
    subprocess.run(
        [*git, "worktree", "add", "--detach", "--force", str(place), commit], check=True, capture_output=True
    )
    try:
        yield place
    finally:
        subprocess.run([*git, "worktree", "remove", "--force", str(place)], check=False, capture_output=True)


def compare(
    commit: str, bundle: Path, old_bundle: str, gates: dict[str, str], task: dict[str, Any], pairs: int, folder: Path
) -> dict[str, Any]:
    """Times of the old FP32 engine and of the new ones, taken in turns.

    Args:
        commit: the earlier one.
        bundle, old_bundle: this commit's bundle, and the earlier one's under its `models/`.
        gates: `openvino:fp32` and what else passed its gate here → the gate's sentence.
        task: size, batch, threads and device, as `inference_process.py` takes them.
        pairs: runs of each.
        folder: with this commit's engines in it (`OODSEG_CACHE`), and for the worktree.

    Returns:
        `ratios`: old time over new time, medians of pairs, for `fp32` and `best`; and what they were made of.
    """
    with checkout(commit, folder) as old_root:
        wanted = {"old": (old_root, folder / "old-cache", str(old_root / "models" / old_bundle), "openvino:fp32")}
        wanted |= {name: (ROOT, folder, str(bundle), name) for name in gates}
        running: dict[str, EngineProcess] = {}
        try:
            for name, (root, cache, path, engine) in wanted.items():
                kind, precision = engine.split(":")
                asked = {**task, "bundle": path, "engine": kind, "precision": precision}
                EngineProcess(root, cache, asked).close()  # fills the cache of graphs: a vehicle's start finds them
                running[name] = EngineProcess(root, cache, asked)
            seconds: dict[str, list[float]] = {name: [] for name in running}
            for index in range(pairs + 1):
                for name, engine in running.items():
                    found = engine.ask(runs=2)["seconds"][1]  # the first after a pause finds cold caches
                    if index:
                        seconds[name].append(found)
            memory = {name: engine.ask(memory=True) for name, engine in running.items()}
        finally:
            for engine in running.values():
                engine.close()
    ratios = {name: float(np.median(np.divide(seconds["old"], seconds[name]))) for name in gates}
    best = max(ratios, key=ratios.__getitem__)
    return {
        "ratios": {"fp32": ratios["openvino:fp32"], "best": ratios[best]},
        "against": {
            "commit": commit,
            "best": best,
            "gates": gates,
            "ratio_of_each": ratios,
            "p50_ms": {name: float(np.median(found)) * 1e3 for name, found in seconds.items()},
            "memory": memory,
            "start_seconds": {name: engine.started["start_seconds"] for name, engine in running.items()},
            "pairs": pairs,
            "load_at_end": os.getloadavg()[0],
        },
    }
