"""How many training samples a core makes: every outlier method at its published size. What a training step needs
beside them is in `training_step.py`.

    python benchmarks/augmentation.py [--data DIR] [--samples N] [--sheets DIR]

`--data` is a folder with `cityscapes/` (images/ + labelTrainIds/) and `cutouts/`. Times are processor seconds of one
thread, so a loaded machine changes them little: with frames decoded before (warm), and decoded each time (cold).
`--sheets` writes a picture of samples and their targets per method, to be looked at.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from oodseg_ros.frame import KNOWN, OUTLIER, UNLABELED
from oodseg_ros.labels import LabelSet, load_labels
from oodseg_ros.sources.image_files import write_image
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import AugmentSpec, DataSpec, OutlierSpec
from oodseg_ros.training.samples import Samples

NATIVE = (1.0, 1.0)
METHODS: dict[str, tuple[tuple[int, int], dict, dict]] = {
    "no unknowns": ((512, 1024), {"method": "none"}, {"scale": (0.5, 2.0), "color": "jitter"}),
    "road_paste": ((384, 640), {"known_classes": ["car", "person"]}, {}),
    "road_paste, adain": ((384, 640), {"style": "adain"}, {}),
    "anomaly_mix uem": (
        (512, 1024),
        {"method": "anomaly_mix", "probability": 1.0},
        {"scale": (0.5, 2.0), "pad": (518, 1036), "color": "jitter"},
    ),
    "anomaly_mix rpl, with context": (
        (700, 700),
        {"method": "anomaly_mix", "variant": "rpl", "context": True},
        {"scale": NATIVE, "mirror": 0.8, "color": "none"},
    ),
    "anomaly_mix mss": (
        (700, 700),
        {"method": "anomaly_mix", "variant": "mss"},
        {"scale": NATIVE, "mirror": 0.0, "color": "none"},
    ),
    "anomaly_mix mss, reinhard, color shift": (
        (700, 700),
        {"method": "anomaly_mix", "variant": "mss", "style": "reinhard"},
        {"scale": NATIVE, "color": "shift"},
    ),
    "anomaly_mix mss, fourier": (
        (700, 700),
        {"method": "anomaly_mix", "variant": "mss", "style": "fourier"},
        {"scale": NATIVE, "color": "none"},
    ),
    "patch_paste": ((768, 768), {"method": "patch_paste"}, {"scale": (0.5, 2.0), "color": "none"}),
    "patch_paste, overlapping crops": (
        (768, 768),
        {"method": "patch_paste", "overlap": True},
        {"scale": (0.5, 2.0), "color": "none"},
    ),
}


def main() -> None:
    """Measure, print a table, write JSON and, if asked for, pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("OODSEG_DATA", ".")))
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "augmentation.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    labels = load_labels("cityscapes19")
    frames = load_frames([DataSpec(dataset="cityscapes", root=str(options.data / "cityscapes"))], labels)
    rows = []
    for name, (crop, outliers, augment) in METHODS.items():
        spec = OutlierSpec(**{"cutouts": [{"root": str(options.data / "cutouts")}], **outliers})

        def make(cache: int, crop=crop, spec=spec, augment=augment) -> Samples:
            sides = (480.0, 1300.0)
            return Samples(frames, spec, labels, crop, sides, 1, 0, 1 << 20, AugmentSpec(**augment, cache=cache))

        rows.append({"method": name, "crop": list(crop)} | measured(make, options.samples))
        print(rows[-1], flush=True)
        if options.sheets:
            options.sheets.mkdir(parents=True, exist_ok=True)
            write_sheet(options.sheets / f"{name.replace(', ', '_').replace(' ', '_')}.jpg", make(768), labels)
    result = {"frames": "8 Cityscapes frames, 2048x1024 JPEG", "methods": rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def measured(make, count: int) -> dict[str, float]:
    """Processor milliseconds per sample, and samples per second and core."""
    cold, warm = make(0), make(2048)
    for index in range(count):  # decodes every frame
        warm[index]
    times = {}
    for name, samples in (("cold", cold), ("warm", warm)):
        began = time.process_time()
        for index in range(count):
            samples[index]
        times[name] = (time.process_time() - began) / count
    share = np.mean([bool((warm[index][1] == OUTLIER).any()) for index in range(count)])
    return {
        "cold_ms": round(times["cold"] * 1e3, 1),
        "warm_ms": round(times["warm"] * 1e3, 1),
        "samples_per_second_and_core": round(1 / times["warm"], 1),
        "share_with_unknown": round(float(share), 2),
    }


def write_sheet(path: Path, samples: Samples, labels: LabelSet, count: int = 8, width: int = 480) -> None:
    """Samples above their targets: classes in their colours, unknowns red, known of no class gray, ignored black."""
    palette = labels.palette()
    palette[[OUTLIER, KNOWN, UNLABELED]] = (255, 0, 0), (128, 128, 128), (0, 0, 0)
    tiles = []
    for index in range(count):
        image, target = (np.atleast_3d(part.numpy()) for part in samples[index][:2])
        pictures = np.moveaxis(image, -3, -1).reshape(-1, *np.moveaxis(image, -3, -1).shape[-3:])
        for picture, mask in zip(pictures, target.reshape(-1, *picture_size(pictures)), strict=True):
            both = np.vstack([picture, palette[mask]])
            height = round(both.shape[0] * width / both.shape[1])
            tiles.append(cv2.resize(both, (width, height), interpolation=cv2.INTER_AREA))
    columns = 4
    rows = [np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles) // columns * columns, columns)]
    write_image(path, np.vstack(rows))


def picture_size(pictures: np.ndarray) -> tuple[int, int]:
    """(H, W) of RGB `[N, H, W, 3]`."""
    return pictures.shape[1], pictures.shape[2]


if __name__ == "__main__":
    main()
