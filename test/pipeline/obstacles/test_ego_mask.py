import cv2
import numpy as np
import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.pipeline.obstacles.ego_mask import check_ego_mask, fit_ego_mask, load_ego_mask


def test_any_non_zero_pixel_is_the_vehicle(tmp_path):
    image = np.zeros((20, 30), np.uint8)
    image[15:] = 1
    image[18:] = 200
    cv2.imwrite(str(tmp_path / "mask.png"), image)
    mask = load_ego_mask(tmp_path / "mask.png")
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, np.where(image > 0, 255, 0))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_ego_mask(tmp_path / "none.png")


def test_file_that_is_no_image(tmp_path):
    (tmp_path / "mask.png").write_text("white")
    with pytest.raises(ConfigError, match="no image"):
        load_ego_mask(tmp_path / "mask.png")


def test_mask_of_everything_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.full((8, 8), 255, np.uint8))
    with pytest.raises(ConfigError, match="whole image"):
        load_ego_mask(tmp_path / "mask.png")


@pytest.mark.parametrize("mask", [np.zeros((3, 3, 3), np.uint8), np.zeros((0, 4), np.uint8), np.zeros((3, 3))])
def test_wrong_arrays_are_refused(mask):
    with pytest.raises(ConfigError, match="gray 8-bit"):
        check_ego_mask(mask)


def test_resize_keeps_it_binary():
    mask = np.zeros((10, 10), np.uint8)
    mask[7:] = 255
    fitted = fit_ego_mask(mask, 100, 37)
    assert fitted.shape == (100, 37)
    assert set(np.unique(fitted)) == {0, 255}
    assert (fitted[:69] == 0).all()
    assert (fitted[71:] == 255).all()


def test_resize_that_leaves_nothing_to_judge_is_refused():
    mask = np.full((100, 100), 255, np.uint8)
    mask[51, 51] = 0
    with pytest.raises(ConfigError, match="whole image"):
        fit_ego_mask(mask, 4, 4)


@pytest.mark.parametrize("value", [1, 255, 256, 65535])
def test_sixteen_bits_and_dark_colours_count(tmp_path, value):
    deep = np.zeros((20, 30), np.uint16)
    deep[10:] = value
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    blue = np.zeros((20, 30, 3), np.uint8)
    blue[10:, :, 0] = max(1, value % 256)
    cv2.imwrite(str(tmp_path / "blue.png"), blue)
    for name in ("deep.png", "blue.png"):
        assert (load_ego_mask(tmp_path / name) == np.where(np.arange(20) < 10, 0, 255)[:, None]).all()


def test_a_mask_of_nothing_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "mask.png"), np.zeros((20, 30, 4), np.uint8))
    with pytest.raises(ConfigError, match="masks nothing"):
        load_ego_mask(tmp_path / "mask.png")
