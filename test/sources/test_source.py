from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.sources.source import Source, natural_key


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
