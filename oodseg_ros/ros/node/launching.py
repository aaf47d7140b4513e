"""What the launch files decide, as plain functions: no `launch` and no rclpy needed to import or test them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from ...errors import ConfigError

NODE = "perception"
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Fast DDS 3.x (Kilted) reads the first, 2.x (Humble, Jazzy) the second."""

_FASTDDS_2 = ("humble", "iron", "jazzy")
_CAMERA = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_RVIZ_CAMERA = "/camera/"
_COMPRESSED = "/compressed"


def dds_profile(environment: Mapping[str, str], share: Path) -> dict[str, str]:
    """Variables that select the shipped Fast DDS profile; empty where the user has chosen a profile.

    Where `ROS_DISTRO` is not set both names are used: Kilted reads the older one too, but warns.
    """
    if any(environment.get(name) for name in PROFILE_VARIABLES):
        return {}
    newer, older = PROFILE_VARIABLES
    distro = environment.get("ROS_DISTRO", "")
    names = PROFILE_VARIABLES if not distro else (older,) if distro in _FASTDDS_2 else (newer,)
    return {name: str(share / "config" / "fastdds_shm.xml") for name in names}


def parse_list(text: str) -> list[str]:
    """`a,b`, `a b` or `[a, "b"]` → `['a', 'b']`; empty text → `[]`."""
    return [item for item in re.split(r"[\s,]+", text.strip().strip("[]").replace('"', "").replace("'", "")) if item]


def parse_cameras(text: str) -> list[str]:
    """Camera names of the launch argument `cameras`.

    Raises:
        ConfigError: a name that cannot be part of a topic, or the same name twice.
    """
    cameras = parse_list(text)
    for camera in cameras:
        if not _CAMERA.fullmatch(camera):
            raise ConfigError(
                f"cameras:={text}: {camera!r} is no camera name; use letters, digits and _, e.g. front,rear_left"
            )
    if len(set(cameras)) != len(cameras):
        raise ConfigError(f"cameras:={text}: every camera may be named once")
    return cameras


def cameras_in(params_file: str) -> list[str]:
    """Camera names that a parameter file gives to the node; `[]` for no file and where it names none.

    Raises:
        ConfigError: the file cannot be read.
    """
    if not params_file:
        return []
    try:
        data = yaml.safe_load(Path(params_file).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"params_file:={params_file} cannot be read: {error}") from error
    blocks = data.values() if isinstance(data, dict) else ()
    given = [block.get("ros__parameters") for block in blocks if isinstance(block, dict)]
    lists = [parameters["cameras"] for parameters in given if isinstance(parameters, dict) and "cameras" in parameters]
    return [str(camera) for camera in lists[-1]] if lists and isinstance(lists[-1], list) else []


def image_inputs(cameras: list[str], image_topic: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Remappings (from, to) and parameters that make the cameras listen to the topics of `image_topic`.

    `camera_info` is expected beside the image, as image_transport does. A topic that ends in `/compressed` switches the
    camera's transport.

    Args:
        cameras: names of the cameras, in the order of the topics.
        image_topic: one topic per camera, separated by commas; empty = the default topics `<camera>/image_raw`.

    Raises:
        ConfigError: the number of topics is not the number of cameras.
    """
    topics = parse_list(image_topic)
    if topics and len(topics) != len(cameras):
        raise ConfigError(
            f"image_topic:={image_topic} names {len(topics)} topics for {len(cameras)} cameras ({', '.join(cameras)}); "
            "give one topic per camera, in the order of cameras:="
        )
    remappings, parameters = [], {}
    for camera, topic in zip(cameras, topics, strict=False):
        compressed = topic.endswith(_COMPRESSED)
        base = topic[: -len(_COMPRESSED)] if compressed else topic
        suffix = _COMPRESSED if compressed else ""
        folder = base.rpartition("/")[0]
        info = f"{folder}/camera_info" if "/" in base else "camera_info"
        remappings += [(f"{camera}/image_raw{suffix}", topic), (f"{camera}/camera_info", info)]
        parameters[f"{camera}.transport"] = "compressed" if compressed else "raw"
    return remappings, parameters


def node_command(prefix: Path | None) -> tuple[str, list[str]]:
    """Program and arguments that start the node.

    Args:
        prefix: where the package is installed as colcon does it; None or a prefix without the executable (a plain
            `pip install`, a checkout) = the Python that runs the launch file.
    """
    executable = prefix / "lib" / "oodseg_ros" / NODE if prefix else None
    if executable and executable.is_file():
        return str(executable), []
    return sys.executable, ["-m", f"oodseg_ros.ros.{NODE}"]


def player_command(player: str, bag: str, rate: str, loop: bool) -> list[str]:
    """Command that plays a bag with `/clock`.

    Args:
        player: `rosbag2` (`ros2 bag play`, all topics) or `oodseg` (the package's own player, camera topics only; for
            machines without rosbag2).
    """
    if player == "rosbag2":
        command = ["ros2", "bag", "play", bag, "--clock", "100", "--rate", rate]
    else:
        command = [sys.executable, "-m", "oodseg_ros.ros.bag_player", bag, "--rate", rate]
    return [*command, "--loop"] if loop else command


def logger_name(namespace: str) -> str:
    """Name of the node's logger: its full name with dots."""
    return ".".join([*(part for part in namespace.split("/") if part), NODE])


def rviz_config(template: str, namespace: str, camera: str) -> str:
    """The shipped RViz configuration (for `/camera/...`) for another namespace and camera."""
    parts = [part for part in namespace.split("/") if part]
    return template.replace(f"Value: {_RVIZ_CAMERA}", f"Value: /{'/'.join([*parts, camera])}/")
