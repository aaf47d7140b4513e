"""Overlapping crops: how much they overlap, that both agree there, and what is hidden elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.outliers.crop_overlap import HIDDEN, CropRules, crop_pair, overlapping_corners
from oodseg_ros.outliers.patch_paste import Patch

OUTLIER = 254
SMALL = CropRules(size=(64, 96), block=16)
STILL = CropRules(size=(64, 96), block=16, jitter=0, blur=0, gray=0, hidden=0)


def coded(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Every position has its own colour; labels differ from pixel to pixel but are never 255."""
    yy, xx = np.mgrid[:height, :width]
    return np.dstack([yy, xx, yy ^ xx]).astype(np.uint8), ((yy * 7 + xx * 3) % 19).astype(np.uint8)


@given(st.integers(0, 2**32 - 1), st.integers(20, 250), st.integers(20, 250))
def test_overlap_and_lattice(seed: int, height: int, width: int) -> None:
    corners, (padded_height, padded_width) = overlapping_corners(np.random.default_rng(seed), (height, width), SMALL)
    offset = np.abs(corners[0] - corners[1])
    assert (offset % SMALL.stride == 0).all()
    assert (corners >= 0).all()
    assert (corners + SMALL.size <= (padded_height, padded_width)).all()
    inter = np.prod(np.array(SMALL.size) - offset)
    assert 0.05 < inter / (2 * 64 * 96 - inter) < 0.3
    if height >= 64 + 40 and width >= 96 + 60:
        assert (padded_height, padded_width) == (height, width)


def test_offsets_cover_all_directions() -> None:
    signs = set()
    for seed in range(60):
        corners, _ = overlapping_corners(np.random.default_rng(seed), (200, 300), SMALL)
        signs.add(tuple(np.sign(corners[1] - corners[0])))
    assert {(1, 1), (1, -1), (-1, 1), (-1, -1)} <= signs


def test_an_overlap_that_no_offset_gives_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot overlap"):
        overlapping_corners(np.random.default_rng(0), (99, 99), CropRules(size=(8, 8), stride=8))


def overlap_of(pair, view: int, array: np.ndarray) -> np.ndarray:
    row0, column0, row1, column1 = pair.boxes[view]
    part = array[row0:row1, column0:column1]
    return part[:, ::-1] if pair.flipped[view] else part


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(60, 200), st.integers(90, 250))
def test_both_views_agree_in_the_overlap_up_to_the_flip(seed: int, height: int, width: int) -> None:
    pair = crop_pair(np.random.default_rng(seed), *coded(height, width), rules=STILL)
    for array in (pair.images, pair.labels):
        np.testing.assert_array_equal(overlap_of(pair, 0, array[0]), overlap_of(pair, 1, array[1]))


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_labels_agree_with_photometrics_and_hidden_blocks(seed: int) -> None:
    pair = crop_pair(np.random.default_rng(seed), *coded(200, 250), rules=SMALL)
    np.testing.assert_array_equal(overlap_of(pair, 0, pair.labels[0]), overlap_of(pair, 1, pair.labels[1]))
    for view in range(2):
        hidden = pair.labels[view] == 255
        assert (pair.images[view][hidden] == HIDDEN).all()
        row0, column0, row1, column1 = pair.boxes[view]
        assert not hidden[row0:row1, column0:column1].any()
        blocks = hidden.reshape(4, 16, 6, 16).mean(axis=(1, 3))
        outside = np.ones((64, 96), bool)
        outside[row0:row1, column0:column1] = False
        whole = outside.reshape(4, 16, 6, 16).all(axis=(1, 3))
        assert set(blocks[whole]) <= {0.0, 1.0}


def test_the_share_of_hidden_blocks() -> None:
    shares = []
    for seed in range(40):
        pair = crop_pair(np.random.default_rng(seed), *coded(200, 250), rules=SMALL)
        for view in range(2):
            outside = np.ones((64, 96), bool)
            row0, column0, row1, column1 = pair.boxes[view]
            outside[row0:row1, column0:column1] = False
            shares.append((pair.labels[view] == 255)[outside].mean())
    assert 0.35 < np.mean(shares) < 0.45


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(3, 120))
def test_the_extra_unknown_has_one_outline_and_two_textures(seed: int, side: int) -> None:
    mask = np.tri(side, dtype=bool)
    first, second = (Patch(np.full((side, side, 3), value, np.uint8), mask, 0) for value in (250, 251))
    pair = crop_pair(np.random.default_rng(seed), *coded(200, 250), patches=(first, second), rules=STILL)
    one, two = (overlap_of(pair, view, pair.labels[view]) == OUTLIER for view in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.any()
    assert [(pair.labels[view] == OUTLIER).sum() for view in range(2)] == [one.sum()] * 2
    assert (overlap_of(pair, 0, pair.images[0])[one] == 250).all()
    assert (overlap_of(pair, 1, pair.images[1])[two] == 251).all()


def test_the_image_itself_is_not_changed() -> None:
    image, label = coded(200, 250)
    patch = Patch(np.zeros((9, 9, 3), np.uint8), np.ones((9, 9), bool), 0)
    crop_pair(np.random.default_rng(0), image, label, patches=(patch, patch), rules=SMALL)
    np.testing.assert_array_equal(image, coded(200, 250)[0])
    np.testing.assert_array_equal(label, coded(200, 250)[1])
