from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import yaml
from bags import compressed, write_bag

from oodseg_ros.errors import BagError, ConfigError
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


@pytest.mark.parametrize("text", ["true", "True", "1", " TRUE "])
def test_switches_as_launch_reads_them(text):
    assert launching.is_on("rviz", text)
    assert not launching.is_on("rviz", {"true": "false", "True": "False", "1": "0", " TRUE ": "FALSE"}[text])


@pytest.mark.parametrize("text", ["", "yes", "2", "tru"])
def test_what_is_no_switch_is_refused(text):
    with pytest.raises(ConfigError, match="rviz:="):
        launching.is_on("rviz", text)


@pytest.mark.parametrize(
    ("pushed", "given", "full"),
    [
        (None, "", ""),
        (None, "/", ""),
        ("/", "", ""),
        (None, "car", "/car"),
        ("/fleet", "", "/fleet"),
        ("/fleet", "car/front", "/fleet/car/front"),
        ("/fleet", "/car", "/car"),
    ],
)
def test_namespace_inside_a_pushed_one(pushed, given, full):
    assert launching.full_namespace(pushed, given) == full


@pytest.mark.parametrize(
    ("text", "name", "cameras"),
    [
        ("/**:\n  ros__parameters:\n    cameras: [front, left]\n", "/car/perception", ["front", "left"]),
        ("/car/perception:\n  ros__parameters:\n    cameras: [front]\n", "/car/perception", ["front"]),
        ("car:\n  perception:\n    ros__parameters:\n      cameras: [front]\n", "/car/perception", ["front"]),
        ("/**/perception:\n  ros__parameters:\n    cameras: [front]\n", "/a/b/perception", ["front"]),
        ("/*/perception:\n  ros__parameters:\n    cameras: [front]\n", "/a/perception", ["front"]),
        ("perception:\n  ros__parameters:\n    bundle: x\n", "/perception", []),
        # The last block that applies wins; those of other nodes do not count.
        (
            "/**:\n  ros__parameters:\n    cameras: [a]\nother:\n  ros__parameters:\n    cameras: [b]\n",
            "/perception",
            ["a"],
        ),
        (
            "/perception:\n  ros__parameters:\n    cameras: [a]\n/**:\n  ros__parameters:\n    cameras: [b]\n",
            "/perception",
            ["b"],
        ),
    ],
)
def test_parameters_that_apply_to_the_node(tmp_path, text, name, cameras):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    found = launching.parameter_file(str(file), name)
    assert (found.path, found.cameras) == (str(file), cameras)


def test_the_shipped_parameter_file_applies_everywhere():
    shipped = str(config_dir() / "perception.yaml")
    for name in ("/perception", "/car/perception"):
        found = launching.parameter_file(shipped, name)
        assert (found.path, found.cameras) == (shipped, ["camera"])
        assert found.value("obstacles.min_area") == 100
        assert found.value("no.such.name") is None


@pytest.mark.parametrize(
    "head",
    ["perception:\n", "# of the node\n'perception': # key\n", "other:\n  ros__parameters: {x: 1}\nperception:\n"],
)
def test_a_relative_root_key_is_taken_in_the_namespace(tmp_path, head):
    """As nav2 does; rcl would look for a node /perception and apply nothing. All else stays as it is written."""
    file = tmp_path / "p.yaml"
    tail = "  ros__parameters:\n    cameras: [front]\n    obstacles: {threshold: 1e-3}  # perception: stays\n"
    file.write_text(head + tail)
    found = launching.parameter_file(str(file), "/car/perception")
    assert found.cameras == ["front"]
    text = Path(found.path).read_text()
    assert text.endswith(tail)
    assert yaml.safe_load(text)["/car/perception"]["ros__parameters"]["cameras"] == ["front"]
    assert launching.parameter_file(found.path, "/car/perception").path == found.path
    Path(found.path).unlink()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("/perception:\n  ros__parameters:\n    bundle: x\n", "those of /perception"),
        ("cameras: [front]\n", "no `ros__parameters`"),
        ("", "no `ros__parameters`"),
        ("/rear/*:\n  ros__parameters: {}\n", "/rear/*"),
    ],
)
def test_a_file_without_parameters_of_this_node_is_refused(tmp_path, text, sentence):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"/car/perception") as caught:
        launching.parameter_file(str(file), "/car/perception")
    assert sentence in str(caught.value)


@pytest.mark.parametrize("content", [None, ":\n- : {"])
def test_unreadable_parameter_file(tmp_path, content):
    file = tmp_path / "p.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match="cannot be read"):
        launching.parameter_file(str(file), "/perception")


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


def test_reliability_of_the_image_topics():
    name = "qos_overrides.{}.subscription.reliability"
    given = launching.reliability("/car", ["/front/image_raw", "rear/image_raw"], "reliable")
    assert given == {name.format("/front/image_raw"): "reliable", name.format("/car/rear/image_raw"): "reliable"}
    assert launching.reliability("", ["rear/image_raw"], "") == {}


def test_commands_of_the_players():
    command = launching.play_command("/a bag", "oodseg", "/car/perception", "loop", rate="0.5", topics="/a,/b")
    assert command[1:4] == ["-m", "oodseg_ros.ros.play_bag", "/a bag"]
    assert command[4:] == [
        *("--player", "oodseg", "--node", "/car/perception", "--loop"),
        *("--rate", "0.5", "--topics", "/a", "/b"),
    ]
    rosbag2 = launching.rosbag2_command("/a bag", ["/a", "/b"], 0.5, loop=True, offset=2.5)
    assert rosbag2[:9] == ["ros2", "bag", "play", "/a bag", "--clock", "100", "--rate", "0.5", "--start-paused"]
    assert rosbag2[9:13] == ["--disable-keyboard-controls", "--loop", "--delay", "1"]
    assert rosbag2[13:] == ["--start-offset", "2.5", "--topics", "/a", "/b"]


def test_what_cannot_be_replayed_is_refused_before_anything_starts(tmp_path):
    with pytest.raises(BagError, match="does not exist"):
        launching.check_replay(str(tmp_path / "none"), "oodseg")
    (tmp_path / "bag").mkdir()
    cv2.imwrite(str(tmp_path / "bag" / "a.png"), np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(BagError, match="is no bag"):
        launching.check_replay(str(tmp_path / "bag"), "oodseg")
    with pytest.raises(ConfigError, match="ros2 bag"):
        launching.check_replay(str(tmp_path / "bag"), "rosbag2", path=str(tmp_path))


def test_size_of_the_first_image(tmp_path):
    message = compressed(10**9, np.zeros((30, 40, 3), np.uint8), "png")
    write_bag(tmp_path / "bag", [("/front/image_raw/compressed", 10**9, message)])
    assert launching.check_replay(str(tmp_path / "bag"), "oodseg") == "40x30"


@pytest.mark.parametrize(
    ("status", "is_shutdown", "failed"),
    [(0, False, False), (1, True, True), (70, False, True), (130, False, True), (130, True, False), (-2, True, False)],
)
def test_what_ctrl_c_ended_while_it_imported_has_not_failed(status, is_shutdown, failed):
    assert launching.failed(SimpleNamespace(is_shutdown=is_shutdown), status) is failed
