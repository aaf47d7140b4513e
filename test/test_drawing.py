import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.drawing import Style, draw_label, fill, place_label, put_text, text_size

AREA = (0, 20, 400, 300)


@given(
    st.tuples(st.integers(0, 390), st.integers(20, 290), st.integers(1, 200), st.integers(1, 200)),
    st.lists(st.tuples(st.integers(0, 390), st.integers(20, 290)), max_size=5),
    st.text("#0123456789% -m", min_size=1, max_size=14),
)
def test_labels_stay_inside_and_off_each_other(anchor, corners, text):
    x, y, width, height = anchor
    taken = [(a, b, a + 60, b + 15) for a, b in corners]
    box = place_label(text, (x, y, x + width, y + height), taken, AREA, Style.of(300, 400))
    if box is not None:
        assert AREA[0] <= box[0] < box[2] <= AREA[2]
        assert AREA[1] <= box[1] < box[3] <= AREA[3]
        for other in taken:
            assert box[2] <= other[0] or other[2] <= box[0] or box[3] <= other[1] or other[3] <= box[1]


def test_a_free_label_stands_above_its_box():
    style = Style.of(300, 400)
    box = place_label("#1", (100, 100, 150, 150), [], AREA, style)
    assert box[3] == 100
    assert box[0] == 100


def test_no_room_means_no_label():
    style = Style.of(300, 400)
    assert place_label("#1 97%", (0, 0, 30, 10), [], (0, 0, 30, 10), style) is None


@pytest.mark.parametrize("size", [(32, 32), (360, 480), (1080, 1920), (4000, 3000)])
def test_style_grows_with_the_image(size):
    style = Style.of(*size)
    width, height = text_size("#12 97% 12-15 m", style.text, style.stroke)
    assert style.line >= 1
    assert height >= 8
    if size[0] > 300:
        assert width < size[1] / 3


def test_text_stays_within_its_box():
    image = np.zeros((100, 300, 3), np.uint8)
    style = Style.of(480, 640)
    box = place_label("#1 97% jpg", (50, 50, 90, 70), [], (0, 0, 300, 100), style)
    draw_label(image, "#1 97% jpg", box, style)
    rows, columns = np.nonzero(image.any(-1))
    assert box[0] <= columns.min()
    assert columns.max() < box[2]
    assert box[1] <= rows.min()
    assert rows.max() < box[3]


def test_text_hangs_from_its_corner():
    image = np.zeros((60, 200, 3), np.uint8)
    put_text(image, "Hg", (10, 20), 0.5, 1, (255, 255, 255))
    rows, columns = np.nonzero(image.any(-1))
    assert 19 <= rows.min() <= 22
    assert columns.min() >= 10


def test_fill_blends_and_ignores_what_is_outside():
    image = np.full((10, 10, 3), 100, np.uint8)
    fill(image, (-5, 8, 4, 30), (200, 200, 200), 0.5)
    assert (image[8:, :4] == 150).all()
    assert (image[:8] == 100).all()
    fill(image, (20, 20, 30, 30), (0, 0, 0))
