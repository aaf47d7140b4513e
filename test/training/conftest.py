"""A small labelled folder and a recipe that trains on it in seconds."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml


@pytest.fixture(scope="session")
def road_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images/ + labels/ of six frames: grey road below, blue sky above, a red vehicle."""
    root = tmp_path_factory.mktemp("frames")
    (root / "images").mkdir()
    (root / "labels").mkdir()
    rng = np.random.default_rng(0)
    for index in range(6):
        label = np.zeros((96, 160), np.uint8)
        label[40:] = 3
        x = int(rng.integers(10, 110))
        label[50:75, x : x + 35] = 8
        colors = {0: (90, 160, 230), 3: (90, 90, 95), 8: (180, 20, 20)}
        image = np.zeros((96, 160, 3), np.float32)
        for class_id, color in colors.items():
            image[label == class_id] = color
        image = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "images" / f"{index}.png"), image[..., ::-1])
        cv2.imwrite(str(root / "labels" / f"{index}.png"), label)
    return root


@pytest.fixture(scope="session")
def small_recipe_text(road_folder: Path) -> str:
    data = {"dataset": "folder", "root": str(road_folder), "labels": "driving11"}
    recipe = {
        "name": "small",
        "label_set": "driving11",
        "network": {
            "backbone": {"name": "efficientnet_lite", "variant": 0},
            "decoder": {"name": "fpn", "channels": 8},
            "classifier": {"name": "linear", "classes": 11},
            "head": {"name": "uem", "levels": [1, 2], "hidden": 16, "width": 8},
            "score": "likelihood_ratio",
        },
        "input": {"mean": [0.498] * 3, "std": [0.502] * 3, "pixels": 16384, "multiple": 32},
        "crop": [64, 96],
        "widths": [96, 200],
        "data": [data],
        "outliers": {"shapes": 1.0, "known_classes": ["vehicle"]},
        "stages": [
            {"method": "inlier", "steps": 4, "batch": 2, "lr": 0.003, "backbone_lr": 0.01, "loss_stride": 4},
            {"method": "uem", "steps": 4, "batch": 2, "lr": 0.001},
        ],
        "calibration": {
            "data": [data],
            "false_positive_rate": 0.05,
            "frames": 3,
            "objects": {"data": [data], "ground_classes": ["road"], "false_frames": 0.2, "min_area": 4},
        },
        "licence": {"weights": "Apache-2.0"},
        "workers": 0,
    }
    return yaml.safe_dump(recipe)


@pytest.fixture
def small_recipe(small_recipe_text: str, tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(small_recipe_text)
    return path
