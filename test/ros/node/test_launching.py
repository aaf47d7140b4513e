from __future__ import annotations

import sys

import pytest
import yaml

from oodseg_ros.errors import ConfigError
from oodseg_ros.paths import config_dir, share_dir
from oodseg_ros.ros.node import launching

NEWER, OLDER = launching.PROFILE_VARIABLES


@pytest.mark.parametrize(
    ("distro", "names"),
    [("humble", {OLDER}), ("jazzy", {OLDER}), ("kilted", {NEWER}), ("rolling", {NEWER}), (None, {NEWER, OLDER})],
)
def test_profile_has_the_name_that_the_distribution_reads(distro, names):
    environment = {"ROS_DISTRO": distro} if distro else {}
    profile = launching.dds_profile(environment, share_dir())
    assert set(profile) == names
    assert {path.endswith("config/fastdds_shm.xml") for path in profile.values()} == {True}


@pytest.mark.parametrize("name", [NEWER, OLDER])
def test_profile_of_the_user_stays(name):
    assert launching.dds_profile({name: "/mine.xml", "ROS_DISTRO": "kilted"}, share_dir()) == {}
    assert launching.dds_profile({name: ""}, share_dir())


@pytest.mark.parametrize("text", ["front,rear", "front rear", "[front, rear]", '["front", "rear"]', " front , rear "])
def test_cameras_in_any_notation(text):
    assert launching.parse_cameras(text) == ["front", "rear"]


def test_no_cameras():
    assert launching.parse_cameras("") == []


@pytest.mark.parametrize(("text", "sentence"), [("1st", "no camera name"), ("a-b", "a-b"), ("a,a", "once")])
def test_wrong_cameras(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        launching.parse_cameras(text)


def test_image_topics_are_remapped_with_their_info():
    remappings, parameters = launching.image_inputs(["a", "b"], "/front/image_color,/rear/image/compressed")
    assert remappings == [
        ("a/image_raw", "/front/image_color"),
        ("a/camera_info", "/front/camera_info"),
        ("b/image_raw/compressed", "/rear/image/compressed"),
        ("b/camera_info", "/rear/camera_info"),
    ]
    assert parameters == {"a.transport": "raw", "b.transport": "compressed"}


@pytest.mark.parametrize(("topic", "info"), [("image", "camera_info"), ("/image", "/camera_info")])
def test_camera_info_lies_beside_the_image(topic, info):
    assert launching.image_inputs(["camera"], topic)[0][1] == ("camera/camera_info", info)


def test_no_image_topic_changes_nothing():
    assert launching.image_inputs(["a", "b"], "") == ([], {})


def test_every_camera_needs_a_topic():
    with pytest.raises(ConfigError, match="names 1 topics for 2 cameras"):
        launching.image_inputs(["a", "b"], "/only")


def test_cameras_are_read_from_a_parameter_file(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("/**:\n  ros__parameters:\n    cameras: [front, left]\n")
    assert launching.cameras_in(str(file)) == ["front", "left"]
    file.write_text("/car/perception:\n  ros__parameters:\n    bundle: x\n")
    assert launching.cameras_in(str(file)) == []
    assert launching.cameras_in("") == []
    assert launching.cameras_in(str(config_dir() / "perception.yaml")) == ["camera"]


@pytest.mark.parametrize("content", [None, ":\n- : {"])
def test_unreadable_parameter_file(tmp_path, content):
    file = tmp_path / "p.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        launching.cameras_in(str(file))


def test_node_command_prefers_the_installed_executable(tmp_path):
    assert launching.node_command(None) == (sys.executable, ["-m", "oodseg_ros.ros.perception"])
    assert launching.node_command(tmp_path)[0] == sys.executable
    executable = tmp_path / "lib" / "oodseg_ros" / "perception"
    executable.parent.mkdir(parents=True)
    executable.touch()
    assert launching.node_command(tmp_path) == (str(executable), [])


@pytest.mark.parametrize(
    ("namespace", "name"),
    [("", "perception"), ("/", "perception"), ("car", "car.perception"), ("/a/b", "a.b.perception")],
)
def test_logger_name(namespace, name):
    assert launching.logger_name(namespace) == name


def test_rviz_config_for_another_camera():
    text = launching.rviz_config((config_dir() / "oodseg.rviz").read_text(), "/car", "front")
    values = {d["Topic"]["Value"] for d in yaml.safe_load(text)["Visualization Manager"]["Displays"] if "Topic" in d}
    assert "/car/front/overlay" in values
    assert not any("camera" in value for value in values)


def test_both_players_take_the_same_wishes():
    rosbag2 = launching.player_command("rosbag2", "/a bag", "0.5", loop=True)
    assert rosbag2 == ["ros2", "bag", "play", "/a bag", "--clock", "100", "--rate", "0.5", "--loop"]
    own = launching.player_command("oodseg", "/a bag", "0.5", loop=False)
    assert own == [sys.executable, "-m", "oodseg_ros.ros.bag_player", "/a bag", "--rate", "0.5"]
