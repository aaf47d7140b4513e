"""What fog, little light and noise do to a bundle, and which of the node's gates notices.

    python benchmarks/visibility.py [--bundle road_lite] [--frames 20]     needs OODSEG_DATA, the folder of the sets

mIoU on CamVid's test frames, AP and FPR95 on Fishyscapes Static, both on changed pictures; the brightness range that
the input gate's `low_contrast` reads (smallest and largest); the drift of the scores at the end of each set.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from oodseg_ros.bundle import load_bundle
from oodseg_ros.datasets.dataset import Dataset
from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.evaluation.metrics.pixels import PixelMetrics
from oodseg_ros.evaluation.metrics.semantics import SemanticMetrics
from oodseg_ros.evaluation.results import provenance
from oodseg_ros.inference.engines.openvino import OpenVinoEngine
from oodseg_ros.inference.runner import Runner
from oodseg_ros.parameters.judging import OutputGateSettings
from oodseg_ros.pipeline.input_gate.picture import RANGE, brightness_range, measure
from oodseg_ros.pipeline.output_gate import ScoreDrift

RESULTS = Path(__file__).resolve().parent / "results" / "visibility.json"
FOG_GRAY = 200.0
RANDOM = np.random.default_rng(0)

Change = Callable[[np.ndarray], np.ndarray]


def changed(contrast: float = 1.0, gray: float = 0.0, noise: float = 0.0) -> Change:
    """Pixels times `contrast` plus the rest of `gray`, with the sensor's noise (standard deviation) whole."""

    def change(image: np.ndarray) -> np.ndarray:
        dimmed = contrast * image + (1 - contrast) * gray
        return np.clip(dimmed + RANDOM.normal(0, noise, image.shape), 0, 255).astype(np.uint8)

    return change


CONDITIONS: dict[str, Change] = {
    "as it is": changed(),
    "fog, 1/4 of the contrast": changed(0.25, FOG_GRAY),
    "fog, 1/10": changed(0.1, FOG_GRAY),
    "fog, 1/20": changed(0.05, FOG_GRAY),
    "1/4 of the light, noise 5": changed(0.25, noise=5),
    "1/10 of the light, noise 5": changed(0.1, noise=5),
    "noise 30": changed(noise=30),
    "noise 60": changed(noise=60),
}


def measured(runner: Runner, road: Dataset, unknowns: Dataset, frames: int, change: Change) -> dict[str, Any]:
    """One row: figures of one condition."""
    reference = runner.bundle.card.calibration.inlier_histogram
    pixel, semantic = PixelMetrics(), SemanticMetrics(len(runner.bundle.labels))
    ranges, drifts = [], []
    for dataset in (road, unknowns):
        drift, value = ScoreDrift(reference, OutputGateSettings().drift_window), 0.0
        for item in dataset.items[:: max(1, len(dataset.items) // frames)][:frames]:
            image, truth = dataset.load(item)
            image = change(image)
            prediction = runner([image])[0]
            value = drift.measure(prediction.score)
            ranges.append(brightness_range(measure(image).gray))
            if dataset is road:
                table = runner.bundle.labels.map_from(road.label_set)
                semantic.update(prediction.labels, table[truth])
            else:
                pixel.update(prediction.score, truth)
        drifts.append(value)
    found = pixel.compute()
    return {
        "mIoU": semantic.compute()["mIoU"],
        "AP": found["AP"],
        "FPR95": found["FPR95"],
        "brightness_range": [min(ranges), max(ranges)],
        "drift_bits": drifts,
    }


def main() -> None:
    """Print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="road_lite")
    parser.add_argument("--frames", type=int, default=20, help="of each set")
    options = parser.parse_args()
    data = Path(os.environ["OODSEG_DATA"])
    bundle = load_bundle(options.bundle)
    runner = Runner(bundle, OpenVinoEngine(bundle))
    road, unknowns = (
        open_dataset("camvid", data / "camvid"),
        open_dataset("fishyscapes_static", data / "ood" / "FS_Static_val"),
    )
    limit = OutputGateSettings().drift_limit
    print(f"{bundle.id}; low_contrast below {RANGE:g} levels, score_drift above {limit:g} bits")
    print(f"| {'picture':27} | mIoU | AP   | FPR95 | brightness range | drift bits  |")
    rows = {}
    for name, change in CONDITIONS.items():
        row = rows[name] = measured(runner, road, unknowns, options.frames, change)
        low, high = row["brightness_range"]
        first, second = row["drift_bits"]
        print(
            f"| {name:27} | {100 * row['mIoU']:4.1f} | {100 * row['AP']:4.1f} | {100 * row['FPR95']:5.1f} "
            f"| {low:5.0f} to {high:3.0f}     | {first:.2f}, {second:.2f}  |",
            flush=True,
        )
    document = {"provenance": provenance(bundle=bundle.id), "frames_of_each_set": options.frames, "conditions": rows}
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
