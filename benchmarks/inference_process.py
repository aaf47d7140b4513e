"""One engine of inference.py, in a process of its own, so that its memory is its own. Talks JSON lines: a command in,
an answer out.

    python benchmarks/inference_process.py '{"bundle": PATH, "engine": …, "precision": …, "size": [H, W], …}'
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.evaluation.metrics.pixels import PixelMetrics
from oodseg_ros.inference.runner import Runner
from oodseg_ros.scenes import scene

KEPT = 2
"""Scores of this many frames are kept, to compare engines with."""


def frames(data: str, size: tuple[int, int], first: int = 0) -> Any:
    """(image, truth) pairs at `size`: `scenes:COUNT`, or `NAME:FOLDER[:EVERY]` for a dataset."""
    from oodseg_ros.building.acceptance import resized_pairs

    name, _, rest = data.partition(":")
    if name == "scenes":
        made = (scene(first + 5000 + seed, size) for seed in range(int(rest)))
        return ((one.image, one.anomaly) for one in made)
    folder, _, every = rest.rpartition(":") if rest.rpartition(":")[2].isdigit() else (rest, "", "1")
    dataset = open_dataset(name, folder)
    return resized_pairs((dataset.load(item) for item in dataset.scored[:: int(every)]), *size)


def main() -> None:
    """Load, then answer commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    task = json.loads(sys.argv[1])
    height, width = task["size"]
    batch = task["batch"]
    start = time.perf_counter()
    runner = Runner.load(
        task["bundle"], task["engine"], task["device"], task["precision"], threads=task["threads"], max_batch=batch
    )
    runner.warm(height, width, batch)
    started = time.perf_counter() - start
    images = [scene(9000 + index, (height, width)).image for index in range(batch)]

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say(start_seconds=started, identity=runner.engine_identity)
    for line in sys.stdin:
        command = json.loads(line)
        if "runs" in command:
            seconds = []
            for _ in range(command["runs"]):
                begin = time.perf_counter()
                runner(images)
                seconds.append(time.perf_counter() - begin)
            say(seconds=seconds)
        elif "judge" in command:
            metrics, scores, labels = PixelMetrics(), [], []
            for image, truth in frames(command["judge"], (height, width)):
                prediction = runner([image] * batch)[-1]
                metrics.update(prediction.score, truth)
                if len(scores) < KEPT:
                    scores.append(prediction.score)
                    labels.append(prediction.labels)
            np.savez(Path(command["keep"]), scores=np.stack(scores), labels=np.stack(labels))
            found = metrics.compute()
            say(ap=float(found["AP"]), fpr95=float(found["FPR95"]), frames=metrics.frames)
        else:
            say(peak_memory_mb=peak_memory(), **device_memory())


def peak_memory() -> float:
    """Most resident megabytes of this process; getrusage would count those of its parent before it started."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def device_memory() -> dict[str, float]:
    """Peak memory on a GPU, where one was used."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return {}
    return {"peak_device_memory_mb": torch.cuda.max_memory_allocated() / 2**20}


if __name__ == "__main__":
    main()
