"""COCO segmentations: hand-made masks, and texts that COCO's own tool wrote."""

from __future__ import annotations

import numpy as np
import pytest

from oodseg_ros.errors import DatasetError
from oodseg_ros.outliers.coco_masks import mask_of, unpack_counts


def expected() -> np.ndarray:
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:6] = True
    mask[2, 3] = False
    return mask


def test_run_lengths_as_lists_and_as_text() -> None:
    runs = [11, 3, 2, 1, 1, 1, 2, 3, 2, 3, 6]
    np.testing.assert_array_equal(mask_of({"size": [5, 7], "counts": runs}, 5, 7), expected())
    np.testing.assert_array_equal(mask_of({"size": [5, 7], "counts": ";32NO012004"}, 5, 7), expected())
    long = np.zeros((60, 70), bool)
    long[10:50, 5:66] = True
    np.testing.assert_array_equal(mask_of({"size": [60, 70], "counts": "f9X1d" + "0" * 120 + "V7"}, 60, 70), long)
    assert unpack_counts(b";32NO012004") == runs


def test_polygons_cover_pixel_centres() -> None:
    mask = mask_of([[2, 1, 6, 1, 6, 4, 2, 4]], 5, 7)
    filled = expected()
    filled[2, 3] = True
    np.testing.assert_array_equal(mask, filled)
    two = mask_of([[0, 0, 2, 0, 2, 2, 0, 2], [4, 3, 7, 3, 7, 5, 4, 5]], 5, 7)
    assert two.sum() == 4 + 6
    assert mask_of([[1, 1, 1.2, 1, 1.2, 1.2]], 5, 7).sum() == 0
    assert mask_of([[-9, -9, 99, -9, 99, 99, -9, 99]], 5, 7).all()


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [5, 7], "counts": [3, 4]},
        {"size": [7, 5], "counts": [35]},
        {"size": [5, 7], "counts": ";32NO01200"},
        {"size": [5, 7], "counts": ";32 NO012004"},
        {"size": [5, 7], "counts": "P"},
        7,
    ],
)
def test_damaged_segmentations_are_refused(segmentation: object) -> None:
    with pytest.raises(DatasetError, match="COCO"):
        mask_of(segmentation, 5, 7)
