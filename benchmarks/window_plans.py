"""What a window plan costs in accuracy and time: AP, FPR95 and |Δscore| against the dense plan, on one dataset, in
one run.

    python benchmarks/window_plans.py BUNDLE DATASET --root DIR [--every N] [--window 1024x512]

Every plan sees the same frames at their own size (sides cut to multiples of 32), in eager torch; windows are averaged
as the engines do it. The dense plan has a quarter of the window's height as its stride.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from oodseg_ros.bundle import load_bundle
from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.evaluation.metrics.pixels import PixelMetrics
from oodseg_ros.inference.windows import Windowed, WindowPlan, plan_by_count, plan_by_stride


def plans(size: tuple[int, int], window: tuple[int, int]) -> dict[str, WindowPlan]:
    """The plans that are compared, the dense one first."""
    height, width = size
    stride = (window[0] // 4, window[0] // 4)
    named = {
        "dense": plan_by_stride(size, window, stride),
        "2x4": plan_by_count(size, window, (2, 4)),
        "2x2": plan_by_count(size, window, (2, 2)),
        "1x2, full height": plan_by_count(size, (height, min(width, window[1])), (1, 2)),
        "whole frame": plan_by_count(size, size, (1, 1)),
    }
    return {f"{name} ({len(plan)})": plan for name, plan in named.items()}


def main() -> None:
    """Measure, print a line per frame and plan table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("dataset")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--every", type=int, default=4, help="take every Nth frame")
    parser.add_argument("--window", default="1024x512", help="WIDTHxHEIGHT")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "window_plans.json")
    options = parser.parse_args()
    window = tuple(int(side) for side in options.window.split("x"))[::-1]
    bundle = load_bundle(options.bundle)
    segmentor = bundle.segmentor()
    mean, std = (torch.tensor(values)[:, None, None] for values in (bundle.card.input.mean, bundle.card.input.std))
    dataset = open_dataset(options.dataset, options.root)
    metrics: dict[str, PixelMetrics] = {}
    seconds: dict[str, float] = {}
    moved: dict[str, list[float]] = {}
    for item in dataset.scored[:: options.every]:
        image, labels = dataset.load(item)
        height, width = (side // 32 * 32 for side in image.shape[:2])
        x = torch.from_numpy(np.ascontiguousarray(image[:height, :width])).permute(2, 0, 1)[None].float() / 255
        dense = None
        for name, plan in plans((height, width), window).items():
            start = time.perf_counter()
            with torch.inference_mode():
                windowed = Windowed(segmentor, (plan.height, plan.width), (plan.height, plan.width))
                score = segmentor.judge(*windowed.averaged((x - mean) / std, plan))[0].numpy()
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
            metrics.setdefault(name, PixelMetrics()).update(score, labels[:height, :width])
            dense = score if dense is None else dense
            moved.setdefault(name, []).append(float(np.abs(score - dense).mean()))
        print(f"{metrics[name].frames} frames", flush=True)
    rows = []
    for name, metric in metrics.items():
        figures = metric.compute()
        row = {
            "plan": name,
            "AP": figures["AP"],
            "FPR95": figures["FPR95"],
            "mean_abs_score_difference": np.mean(moved[name]),
        }
        rows.append({key: value if isinstance(value, str) else round(float(value), 4) for key, value in row.items()})
        rows[-1]["seconds_per_frame"] = round(seconds[name] / metric.frames, 2)
        print(rows[-1])
    result = {"bundle": bundle.id, "dataset": options.dataset, "frames": metric.frames, "window": window, "plans": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
