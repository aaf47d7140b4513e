"""AnomalyMix: one joint box, pixels and labels as published, in every variant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.errors import DatasetError
from oodseg_ros.outliers.anomaly_mix import VARIANTS, context_image, mix_object, surroundings

OUTLIER = 254


def scene(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((height, width, 3), 9, np.uint8), np.ones((height, width), np.uint8)


def picture(height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel has its own colour; two objects, far apart."""
    yy, xx = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    mask[5:12, 4:10] = OUTLIER
    mask[30:40, 40:60] = OUTLIER
    return np.dstack([yy + 100, xx + 100, (yy + xx) % 97 + 100]).astype(np.uint8), mask


@given(st.integers(0, 2**32 - 1), st.integers(35, 120), st.integers(56, 160))
def test_both_objects_are_pasted_in_one_box_pixel_by_pixel(seed: int, height: int, width: int) -> None:
    image, label = scene(height, width)
    rgb, mask = picture()
    assert mix_object(np.random.default_rng(seed), image, label, rgb, mask)
    rows, columns = np.nonzero(label == OUTLIER)
    y, x = rows.min(), columns.min()
    box = np.s_[y : y + 35, x : x + 56]
    solid = mask[5:40, 4:60] == OUTLIER
    np.testing.assert_array_equal(label[box] == OUTLIER, solid)
    np.testing.assert_array_equal(image[box][solid], rgb[5:40, 4:60][solid])
    assert (label == OUTLIER).sum() == solid.sum()
    assert (image[label != OUTLIER] == 9).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.25, 0.5, 0.75]))
def test_scales_change_the_size(seed: int, scale: float) -> None:
    image, label = scene(100, 120)
    rgb, mask = picture()
    assert mix_object(np.random.default_rng(seed), image, label, rgb, mask, scales=[scale])
    height, width = np.ptp(np.argwhere(label == OUTLIER), axis=0) + 1
    assert abs(height - 35 * scale) <= 2
    assert abs(width - 56 * scale) <= 2


def test_sides_are_cut_off_as_the_references_cut_them() -> None:
    """cv2 gets int(side * scale): 7x11 at 0.5 is 3x5, not the 4x6 that rounding up gives."""
    image, label = scene(60, 60)
    rgb, mask = np.full((7, 11, 3), 200, np.uint8), np.full((7, 11), OUTLIER, np.uint8)
    assert mix_object(np.random.default_rng(0), image, label, rgb, mask, scales=[0.5])
    assert tuple(np.ptp(np.argwhere(label == OUTLIER), axis=0) + 1) == (3, 5)


def test_what_is_too_large_is_skipped_or_refused() -> None:
    image, label = scene(34, 200)
    with pytest.raises(DatasetError, match="56x35 pixels does not fit into 200x34"):
        mix_object(np.random.default_rng(0), image, label, *picture(), too_large="refuse")
    assert not mix_object(np.random.default_rng(0), image, label, *picture())
    assert (label == 1).all()
    assert (image == 9).all()


def test_an_empty_mask_leaves_the_image() -> None:
    image, label = scene(60, 60)
    rgb, mask = picture()
    assert not mix_object(np.random.default_rng(0), image, label, rgb, np.zeros_like(mask))
    thin = np.zeros_like(mask)
    thin[3, 3] = OUTLIER  # lost by nearest scaling
    assert not mix_object(np.random.default_rng(0), image, label, rgb, thin, scales=[0.5])
    assert (label == 1).all()


def test_values_of_a_mask_become_labels_only_when_asked() -> None:
    rgb, mask = picture()
    mask[mask == OUTLIER] = 17
    image, label = scene(60, 70)
    assert not mix_object(np.random.default_rng(0), image, label, rgb, mask)
    assert mix_object(np.random.default_rng(0), image, label, rgb, mask, copy_mask_values=True)
    assert set(np.unique(label)) == {1, 17}


def test_the_label_is_configurable_and_annotated_unknowns_stay() -> None:
    rgb, mask = picture()
    mask[mask == OUTLIER] = 19
    image, label = scene(60, 70)
    label[:2] = 19
    assert mix_object(np.random.default_rng(0), image, label, rgb, mask, outlier=19)
    assert (label[:2] == 19).all()
    assert set(np.unique(label)) == {1, 19}


def test_alignment_sees_the_object_and_its_surroundings() -> None:
    image, label = scene(90, 120)
    seen = {}

    def align(rng, rgb, solid, around):
        seen.update(shape=rgb.shape, solid=solid.sum(), around=around.shape)
        return np.full_like(rgb, 77)

    assert mix_object(np.random.default_rng(3), image, label, *picture(), align=align)
    assert seen["shape"] == (35, 56, 3)
    assert seen["solid"] == (label == OUTLIER).sum()
    assert seen["around"][0] > 35
    assert (image[label == OUTLIER] == 77).all()


def test_surroundings_end_with_the_image() -> None:
    image = np.zeros((50, 60, 3), np.uint8)
    assert surroundings(image, 0, 50, 10, 8).shape == (15, 14, 3)


def test_published_constants() -> None:
    assert VARIANTS["uem"].probability == 0.2
    assert VARIANTS["rpl"].scales.count(0.5) == 2
    np.testing.assert_allclose(VARIANTS["mss"].scales, np.arange(1, 11) / 10)
    assert [VARIANTS[name].place for name in ("uem", "rpl", "mss")] == ["frame", "crop", "crop"]


def test_the_context_image_is_the_picture_itself_in_the_middle() -> None:
    rgb, mask = picture()
    image, label = context_image(rgb, mask, (60, 50), inlier=253)
    # 48 rows fit (6 above, 6 below); of 64 columns the middle 50 are kept.
    np.testing.assert_array_equal(image[6:54], rgb[:, 7:57])
    assert not image[:6].any()
    assert (label[:6] == 255).all()
    assert (label[54:] == 255).all()
    np.testing.assert_array_equal(label[6:54] == OUTLIER, mask[:, 7:57] == OUTLIER)
    assert set(np.unique(label[6:54])) == {253, OUTLIER}
