"""A COCO folder in small: four pictures, polygons, run lengths and a crowd."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

CLASSES = {1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 6: "bus", 7: "train", 8: "truck"}
CLASSES |= {10: "traffic light", 13: "stop sign", 18: "dog", 62: "chair"}


@pytest.fixture(scope="session")
def coco_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60x70: 1 a dog and a chair, 2 a dog and a person, 3 a train and a crowd of chairs; 4 is smaller, with a dog."""
    root = tmp_path_factory.mktemp("coco")
    (root / "train2017").mkdir()
    (root / "annotations").mkdir()
    sizes = {1: (60, 70), 2: (60, 70), 3: (60, 70), 4: (30, 70)}
    for key, (height, width) in sizes.items():
        image = np.random.default_rng(key).integers(0, 256, (height, width, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "train2017" / f"{key:012d}.jpg"), image)
    square = [[5, 10, 25, 10, 25, 40, 5, 40]]
    crowd = {"size": [60, 70], "counts": [0, 60, 4140]}
    entries = [(1, 18, square, 0), (1, 62, [[40, 5, 60, 5, 60, 25]], 0), (2, 18, square, 0), (2, 1, square, 0)]
    entries += [(3, 7, square, 0), (3, 62, crowd, 1), (4, 18, [[5, 5, 25, 5, 25, 25, 5, 25]], 0)]
    data = {
        "categories": [{"id": key, "name": name} for key, name in CLASSES.items()],
        "images": [
            {"id": key, "file_name": f"{key:012d}.jpg", "height": height, "width": width}
            for key, (height, width) in sizes.items()
        ],
        "annotations": [
            {"image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": iscrowd}
            for image, category, segmentation, iscrowd in entries
        ],
    }
    (root / "annotations" / "instances_train2017.json").write_text(json.dumps(data))
    return root
