from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.errors import DatasetError, ImageError
from oodseg_ros.frame import Frame
from oodseg_ros.sources.source import Source, Unreadable, natural_key


def source_of(*items):
    return Source("drive", "folder", ("drive",), len(items), lambda _: iter(items))


TORN = Unreadable(ImageError("1.png is torn"), 1, "drive", "1.png")


def test_who_wants_pictures_gets_them_and_who_judges_gets_everything():
    frames = [Frame(np.zeros((4, 4, 3), np.uint8), stamp, "drive") for stamp in (0, 2)]
    source = source_of(frames[0], TORN, frames[1])
    for _ in range(2):
        assert list(source) == frames
        assert source.skipped == {"1.png is torn": 1}
    assert list(source.everything()) == [frames[0], TORN, frames[1]]
    assert source.skipped == {"1.png is torn": 1}


def test_a_source_of_which_nothing_can_be_read_is_no_result():
    source = source_of(TORN, TORN)
    with pytest.raises(DatasetError, match=r"drive holds no frame that can be read: 2 skipped \(1\.png is torn\)"):
        list(source)
    everything = source.everything()
    assert [next(everything), next(everything)] == [TORN, TORN]
    with pytest.raises(DatasetError, match="no frame that can be read"):
        next(everything)


def test_numbers_sort_as_numbers():
    names = ["frame_10.png", "frame_2.png", "frame_2b.png", "a.png", "007.png", "1.png"]
    ordered = sorted((Path(name) for name in names), key=natural_key)
    assert [path.name for path in ordered] == [
        *("1.png", "007.png", "a.png", "frame_2.png", "frame_2b.png", "frame_10.png"),
    ]


def test_every_loss_is_named_or_counted():
    source = Source("stills", "folder", ("stills",), 4, lambda _: iter(()))
    source.skipped.update({"1.png": 1, "2.png": 2, "3.png": 1, "4.png": 1})
    assert source.troubles() == ("2 skipped (2.png); 1 skipped (1.png); 1 skipped (3.png); and 1 more, 5 in all")
    del source.skipped["4.png"]
    assert "more" not in source.troubles()


@given(st.lists(st.text("ab019._-²", min_size=1, max_size=8)))
def test_any_names_can_be_sorted(names):
    assert len(sorted((Path("x") / name for name in names), key=natural_key)) == len(names)
