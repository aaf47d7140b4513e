"""Label pictures of all kinds are read as the values they hold."""

import numpy as np
import pytest
from PIL import Image

from oodseg_ros.datasets.encoding import ANOMALY, CITYSCAPES_IDS, read_values
from oodseg_ros.errors import DatasetError

VALUES = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)


def test_gray_and_equal_channels(tmp_path):
    Image.fromarray(VALUES).save(tmp_path / "gray.png")
    Image.fromarray(np.dstack([VALUES] * 3)).save(tmp_path / "rgb.png")
    Image.fromarray(VALUES.astype(np.uint16)).save(tmp_path / "deep.png")
    for name in ("gray.png", "rgb.png", "deep.png"):
        assert np.array_equal(read_values(tmp_path / name), VALUES), name


def test_palette_indices_are_kept(tmp_path):
    picture = Image.fromarray(VALUES).convert("L")
    picture.putpalette([channel for index in range(256) for channel in (255 - index, index // 2, 7)])
    picture.save(tmp_path / "palette.png")
    assert np.array_equal(read_values(tmp_path / "palette.png"), VALUES)


def test_one_bit_masks(tmp_path):
    Image.fromarray(VALUES > 2).save(tmp_path / "bits.png")
    assert np.array_equal(read_values(tmp_path / "bits.png"), (VALUES > 2).astype(np.uint8))


def test_what_cannot_be_labels(tmp_path):
    Image.fromarray(np.dstack([VALUES, VALUES, VALUES // 2])).save(tmp_path / "color.png")
    Image.fromarray(np.full((2, 2), 999, np.uint16)).save(tmp_path / "large.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, text in (("color.png", "color picture"), ("large.png", "outside 0..255"), ("text.png", "cannot be read")):
        with pytest.raises(DatasetError, match=text):
            read_values(tmp_path / name)
    with pytest.raises(DatasetError, match=r"none\.png"):
        read_values(tmp_path / "none.png")


def test_unexpected_values_are_listed_with_the_file(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.png: unexpected values 2, 3, 4; expected 0 normal"):
        ANOMALY.decode(VALUES, tmp_path / "x.png")


def test_cityscapes_ids_become_train_ids(tmp_path):
    ids = np.array([[0, 6, 7, 8, 33, 29]], np.uint8)
    assert CITYSCAPES_IDS.decode(ids, tmp_path).tolist() == [[255, 255, 0, 1, 18, 255]]
