"""Writing tiny datasets to disk."""

from pathlib import Path

import cv2
import numpy as np
import pytest

SHAPE = (4, 6)


class Tree:
    """A folder into which tests put pictures."""

    def __init__(self, root: Path):
        self.root = root

    def image(self, *names: str, size: tuple[int, int] = SHAPE) -> None:
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))

    def label(self, name: str, *values: int, size: tuple[int, int] = SHAPE) -> None:
        """A label picture whose first pixels have `values`, the others the last of them."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.full(size, values[-1], np.uint8)
        picture.ravel()[: len(values)] = values
        assert cv2.imwrite(str(path), picture)


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)
