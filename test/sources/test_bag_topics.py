import pytest

from oodseg_ros.errors import BagError
from oodseg_ros.sources.bag_topics import camera_names, choose_topics

IMAGE, COMPRESSED, OTHER = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "std_msgs/msg/String"


def test_one_topic_per_camera_raw_before_compressed():
    types = {
        "/front/image_raw": IMAGE,
        "/front/image_raw/compressed": COMPRESSED,
        "/front/image_raw/compressedDepth": COMPRESSED,
        "/front/semantic/image_mask": IMAGE,
        "/left/image_rect/compressed": COMPRESSED,
        "/chatter": OTHER,
    }
    assert choose_topics(types, None, "x") == ["/front/image_raw", "/left/image_rect/compressed"]


def test_raw_picture_goes_before_a_rectified_one():
    types = {"/a/image_rect": IMAGE, "/a/image_raw": IMAGE}
    assert choose_topics(types, None, "x") == ["/a/image_raw"]


def test_unusual_names_are_taken_where_there_is_nothing_else():
    assert choose_topics({"/webcam": IMAGE}, None, "x") == ["/webcam"]


def test_asked_topics_are_taken_as_they_are():
    types = {"/a/image_raw": IMAGE, "/a/mask": IMAGE}
    assert choose_topics(types, ["/a/mask"], "x") == ["/a/mask"]


def test_missing_topic_names_those_there_are():
    with pytest.raises(BagError, match=r"no image topic /b.*/a/image_raw"):
        choose_topics({"/a/image_raw": IMAGE}, ["/b"], "x.mcap")


def test_topic_of_another_type_is_no_image():
    with pytest.raises(BagError, match="no image topic /chatter"):
        choose_topics({"/chatter": OTHER, "/a/image_raw": IMAGE}, ["/chatter"], "x")


def test_bag_without_images_tells_what_it_holds():
    with pytest.raises(BagError, match=r"/chatter \(std_msgs/msg/String\)"):
        choose_topics({"/chatter": OTHER}, None, "x")


@pytest.mark.parametrize(
    ("topics", "names"),
    [
        (["/camera/image_raw/compressed"], ["camera"]),
        (["/front/left/image_raw"], ["front_left"]),
        (["/image_raw"], ["camera"]),
        (["/a/image_raw", "/b/image_raw"], ["a", "b"]),
        (["/a/image_raw", "/a/image_rect"], ["a_image_raw", "a_image_rect"]),
    ],
)
def test_camera_names(topics, names):
    assert list(camera_names(topics).values()) == names
