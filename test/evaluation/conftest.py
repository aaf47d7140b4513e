"""A small dataset on disk and the parts of a run over it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from oodseg_ros.datasets.registry import open_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six frames of noise with a bright object; frame 4 has no anomaly, frame 5 is all void."""
    root = tmp_path / "data"
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for index in range(6):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 120, (64, 128, 3), dtype=np.uint8)
        label = np.zeros((64, 128), np.uint8)
        if index != 4:
            x = 10 + 12 * index
            image[20:44, x : x + 30] += 100
            label[20:44, x : x + 30] = 1
        else:
            image[:12] += 60  # a sky: without any contrast no node judges it
        label[-6:] = 255
        if index == 5:
            label[:] = 255
        cv2.imwrite(str(root / "images" / f"frame{index}.png"), image)
        cv2.imwrite(str(root / "labels" / f"frame{index}.png"), label)
    return root


@pytest.fixture
def dataset(folder: Path):
    return open_dataset("folder", folder)
