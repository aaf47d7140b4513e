from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.sources.source import natural_key


def test_numbers_sort_as_numbers():
    names = ["frame_10.png", "frame_2.png", "frame_2b.png", "a.png", "007.png", "1.png"]
    ordered = sorted((Path(name) for name in names), key=natural_key)
    assert [path.name for path in ordered] == [
        *("1.png", "007.png", "a.png", "frame_2.png", "frame_2b.png", "frame_10.png"),
    ]


@given(st.lists(st.text("ab019._-²", min_size=1, max_size=8)))
def test_any_names_can_be_sorted(names):
    assert len(sorted((Path("x") / name for name in names), key=natural_key)) == len(names)
