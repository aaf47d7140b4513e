"""Label pictures of all kinds are read as the values they hold."""

import struct
import zlib

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


def palette_picture(file, values, palette):
    picture = Image.fromarray(np.asarray(values, np.uint8))
    picture.putpalette([channel for color in palette for channel in color])
    picture.save(file)
    with Image.open(file) as stored:
        assert stored.mode == "P"
    return file


def test_a_palette_of_grays_that_are_not_its_indices_is_refused(tmp_path):
    """As pngquant leaves 0, 1 and 255: index 2 would be the class of that number."""
    shrunk = palette_picture(tmp_path / "a.png", [[0, 1, 2]], [(0,) * 3, (1,) * 3, (255,) * 3])
    with pytest.raises(DatasetError, match=r"index 2 shows gray 255.*without a palette"):
        read_values(shrunk)
    white = palette_picture(tmp_path / "b.png", [[0, 1, 1]], [(0,) * 3, (255,) * 3])
    assert read_values(white).tolist() == [[0, 1, 1]]
    same = palette_picture(tmp_path / "c.png", [[0, 7, 255]], [(k,) * 3 for k in range(256)])
    assert read_values(same).tolist() == [[0, 7, 255]]
    # Pascal's colors: car is gray.
    colors = [(0, 0, 0), (128, 0, 0), *[(0, 128, 0)] * 5, (128, 128, 128)]
    assert read_values(palette_picture(tmp_path / "d.png", [[0, 7]], colors)).tolist() == [[0, 7]]


@pytest.mark.parametrize("gray", [0, 255])
def test_a_mask_that_lies_in_the_transparency_is_refused(tmp_path, gray):
    mask = 255 * (VALUES > 2).astype(np.uint8)
    flat = np.full_like(mask, gray)
    Image.fromarray(np.dstack([flat, flat, flat, mask])).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="the same everywhere but in its transparency"):
        read_values(tmp_path / "a.png")
    Image.fromarray(np.dstack([VALUES] * 3 + [mask])).save(tmp_path / "b.png")
    assert np.array_equal(read_values(tmp_path / "b.png"), VALUES)


def test_labels_as_jpeg_are_refused(tmp_path):
    Image.fromarray(np.full((16, 16), 3, np.uint8)).save(tmp_path / "a.jpg")
    with pytest.raises(DatasetError, match=r"a\.jpg is a JPEG.*again as PNG"):
        read_values(tmp_path / "a.jpg")


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


@pytest.mark.parametrize(("value", "text"), [(0.5, "holds fractions"), (np.nan, "outside 0..255")])
def test_numbers_that_are_no_ids_are_never_rounded(tmp_path, value, text):
    Image.fromarray(np.array([[0, value]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DatasetError, match=text):
        read_values(tmp_path / "a.tif")
    Image.fromarray(VALUES.astype(np.float32)).save(tmp_path / "b.tif")
    assert np.array_equal(read_values(tmp_path / "b.tif"), VALUES)


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_levels_of_few_bits_are_refused(tmp_path, bits):
    """Readers stretch them: an id 1 of 4 bits would be the class 17."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0\x01"))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b""))
    with pytest.raises(DatasetError, match="2 or 4 bits a pixel"):
        read_values(tmp_path / "a.png")


def test_a_palette_of_the_classes_colors_in_another_order_is_refused(tmp_path):
    colors = [(128, 64, 128), (244, 35, 232), (70, 70, 70)]
    right = palette_picture(tmp_path / "a.png", [[0, 1, 2, 255]], [*colors, *[(0, 0, 0)] * 253])
    assert read_values(right, colors).tolist() == [[0, 1, 2, 255]]
    moved = palette_picture(tmp_path / "b.png", [[0, 1, 2]], [colors[2], colors[0], (0, 0, 0)])
    with pytest.raises(DatasetError, match="index 0 has the color of class 2"):
        read_values(moved, colors)
    # Colors of somebody else's say nothing of these classes.
    assert read_values(moved, [(1, 2, 3), (4, 5, 6)]).tolist() == [[0, 1, 2]]


def test_unexpected_values_are_listed_with_the_file(tmp_path):
    with pytest.raises(DatasetError, match=r"x\.png: unexpected values 2, 3, 4; expected 0 normal"):
        ANOMALY.decode(VALUES, tmp_path / "x.png")


def test_cityscapes_ids_become_train_ids(tmp_path):
    ids = np.array([[0, 6, 7, 8, 33, 29]], np.uint8)
    assert CITYSCAPES_IDS.decode(ids, tmp_path).tolist() == [[255, 255, 0, 1, 18, 255]]
