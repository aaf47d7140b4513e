import numpy as np
import pytest

from oodseg_ros.errors import BagError, ConfigError, DatasetError
from oodseg_ros.sources.image_files import write_image
from oodseg_ros.sources.open_source import open_source


def test_kinds_are_told_by_what_is_there(tmp_path):
    (tmp_path / "images").mkdir()
    write_image(tmp_path / "images" / "a.png", np.zeros((4, 4, 3), np.uint8))
    assert open_source(tmp_path / "images").kind == "folder"
    assert open_source(str(tmp_path / "images" / "a.png")).kind == "image"


def test_a_folder_with_a_storage_file_is_a_bag(tmp_path):
    (tmp_path / "x.mcap").write_bytes(b"")
    with pytest.raises(BagError):
        open_source(tmp_path)


def test_missing_path_and_unknown_kind(tmp_path):
    with pytest.raises(DatasetError, match="does not exist"):
        open_source(tmp_path / "none")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"known suffixes.*\.mcap.*\.mp4.*\.png"):
        open_source(tmp_path / "a.txt")


def test_topics_of_something_that_is_no_bag(tmp_path):
    write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ConfigError, match="no bag"):
        open_source(tmp_path / "a.png", ["/camera/image_raw"])


def test_scenes_are_the_same_for_the_same_seed():
    first, again, other = open_source("scenes:7"), open_source("scenes:7"), open_source("scenes:8")
    assert first.kind == "scenes"
    frames = [next(iter(source)) for source in (first, again, other)]
    np.testing.assert_array_equal(frames[0].image, frames[1].image)
    assert (frames[0].image != frames[2].image).any()
    assert frames[0].image.dtype == np.uint8


@pytest.mark.parametrize("text", ["scenes:x", "scenes:-1", "scenes:1:2", "scenes:99999999999"])
def test_seed_that_is_no_number(text):
    with pytest.raises(ConfigError, match="seed"):
        open_source(text)
