"""What the launch files decide, as plain functions: no `launch` and no rclpy needed to import or test them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ...bounded_yaml import dotted
from ...errors import BagError, ConfigError, why
from ...process import INTERRUPTED

NODE = "perception"
PLAYERS = ("rosbag2", "oodseg")
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
"""Fast DDS 3.x (Kilted) reads the first, 2.x (Humble, Jazzy) the second."""

_FASTDDS_2 = ("humble", "iron", "jazzy")
_CAMERA = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TRANSPORTS = ("compressed", "ffmpeg", "foxglove")


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


def is_on(name: str, text: str) -> bool:
    """A switch of a launch file, as launch's own conditions read it: true, false, 1 and 0 in any case.

    Raises:
        ConfigError: it is none of them.
    """
    if (lower := text.strip().lower()) not in ("true", "1", "false", "0"):
        raise ConfigError(f"{name}:={text}: give true or false")
    return lower in ("true", "1")


def number(name: str, text: str) -> float:
    """A number of a launch file.

    Raises:
        ConfigError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{name}:={text}: give a number") from None


def full_namespace(pushed: str | None, given: str) -> str:
    """Namespace of the node: `given` inside the one that the including launch file has pushed; `""` or `/a/b`."""
    parts = [given] if given.startswith("/") else [pushed or "", given]
    return "".join(f"/{part}" for text in parts for part in text.split("/") if part)


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


@dataclass(frozen=True)
class ParameterFile:
    """A parameter file as it applies to one node.

    Attributes:
        path: the file to give to the node; another one than was asked for where its root key had to be rewritten.
        blocks: its parameters, the last one wins.
    """

    path: str
    blocks: tuple[Mapping[str, Any], ...]

    @property
    def cameras(self) -> list[str]:
        """Names that it gives to the node; `[]` where it names none."""
        found = self.value("cameras", [])
        return [str(camera) for camera in found] if isinstance(found, list) else []

    def value(self, name: str, default: Any = None) -> Any:
        """A parameter by its dotted name, however the file nests it."""
        for block in reversed(self.blocks):
            found = dotted(block)
            if name in found:
                return found[name]
        return default


def parameter_file(params_file: str, name: str) -> ParameterFile:
    """Read a parameter file for the node of the full name `name`, e.g. `/car/perception`.

    A key without a leading slash (`perception:`) is taken relative to the node's namespace, where rcl would look for a
    node `/perception` and, in a namespace, apply nothing without a word.

    Raises:
        ConfigError: it cannot be read, or holds nothing for this node.
    """
    try:
        text = Path(params_file).expanduser().read_text()
        root = yaml.compose(text)
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"params_file:={params_file} cannot be read: {why(error)}") from error
    namespace = name.rpartition("/")[0]
    blocks = list(_blocks(data if isinstance(data, dict) else {}))
    rewrite: set[str] = set()
    applied: list[Mapping[str, Any]] = []
    for keys, parameters in blocks:
        key = "/".join(keys)
        relative = not key.startswith("/") and not _applies(key, name)
        if relative and _applies(f"{namespace}/{key}", name):
            rewrite.add(keys[0])
        elif not _applies(key, name):
            continue
        applied.append(parameters)
    if not applied:
        others = ", ".join("/".join(keys) for keys, _ in blocks) or "nothing (no `ros__parameters`)"
        raise ConfigError(
            f"params_file:={params_file} holds no parameters of {name}; it holds those of {others}. "
            f"Name the block {name} or /**"
        )
    if not rewrite or root is None:
        return ParameterFile(str(Path(params_file).expanduser()), tuple(applied))
    marks = [(key.start_mark.index, key.end_mark.index, key.value) for key, _ in root.value if key.value in rewrite]
    for start, end, key in reversed(marks):
        # In the text: what YAML libraries write again may be another type (1e-3).
        text = f'{text[:start]}"{namespace}/{key}"{text[end:]}'
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="oodseg_params_", delete=False) as file:
        file.write(text)
    return ParameterFile(file.name, tuple(applied))


def _blocks(data: Mapping[Any, Any], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    for key, value in data.items():
        if key == "ros__parameters":
            yield keys, value if isinstance(value, dict) else {}
        elif isinstance(value, dict):
            yield from _blocks(value, (*keys, str(key)))


def _applies(key: str, name: str) -> bool:
    """Whether rcl gives the parameters under `key` to the node: `*` is one name, `**` any number of them."""
    parts = [part for part in key.split("/") if part]
    patterns = {"**": r"(/\w+)*", "*": r"/\w+"}
    return re.fullmatch("".join(patterns.get(part, f"/{re.escape(part)}") for part in parts), name) is not None


def image_inputs(cameras: list[str], image_topic: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Remappings (from, to) and parameters that make the cameras listen to the topics of `image_topic`.

    `camera_info` is expected beside the image, as image_transport does. Topics that end in `/compressed`, `/ffmpeg`
    or `/foxglove` switch the camera's transport.

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
        last = topic.rpartition("/")[2]
        transport = last if last in _TRANSPORTS else "raw"
        suffix = "" if transport == "raw" else f"/{transport}"
        base = topic.removesuffix(suffix)
        folder = base.rpartition("/")[0]
        info = f"{folder}/camera_info" if "/" in base else "camera_info"
        remappings += [(f"{camera}/image_raw{suffix}", topic), (f"{camera}/camera_info", info)]
        parameters[f"{camera}.transport"] = transport
    return remappings, parameters


def reliability(namespace: str, topics: list[str], word: str) -> dict[str, str]:
    """Parameters that subscribe to the image topics `reliable` or `best_effort`; empty word = none.

    Args:
        namespace: of the node; topics without a leading slash lie in it.
    """
    full = [topic if topic.startswith("/") else f"{namespace}/{topic}" for topic in topics]
    return {f"qos_overrides.{topic}.subscription.reliability": word for topic in full if word}


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


def check_replay(bag: str, player: str, path: str | None = None) -> str:
    """Refuse a bag that cannot be replayed; returns the size of its first image, e.g. `1920x1080`.

    An engine that is compiled when the first image comes misses that image and those after it.

    Args:
        player: one of `PLAYERS`.
        path: folders to look for `ros2` in, as in PATH.

    Raises:
        ConfigError: the player is not installed.
        BagError: the bag is not there, cannot be read, or holds no image.
    """
    if player == "rosbag2" and (
        shutil.which("ros2", path=path) is None or importlib.util.find_spec("rosbag2_interfaces") is None
    ):
        raise ConfigError(
            "player:=rosbag2: `ros2 bag` is not installed (ros-<distro>-ros2bag); use player:=oodseg, which needs none"
        )
    from ...sources.bags import open_bag  # a second's import that starting the node alone does without

    frame = next(iter(open_bag(Path(bag).expanduser())), None)
    if frame is None:
        raise BagError(f"bag:={bag} holds no image that can be decoded")
    height, width = frame.image.shape[:2]
    return f"{width}x{height}"


def play_command(bag: str, player: str, node: str, *switches: str, **values: str) -> list[str]:
    """Command that plays a bag to the node of the full name `node`; see `ros/play_bag.py`.

    Args:
        switches: options without a value, e.g. `loop`.
        values: options with words, e.g. `rate="2"`; empty text = left out.
    """
    command = [sys.executable, "-m", "oodseg_ros.ros.play_bag", bag, "--player", player, "--node", node]
    command += [f"--{name.replace('_', '-')}" for name in switches]
    for name, text in values.items():
        command += [f"--{name.replace('_', '-')}", *parse_list(text)] if text else []
    return command


def rosbag2_command(bag: str | Path, topics: list[str], rate: float, loop: bool, offset: float) -> list[str]:
    """`ros2 bag play` of these topics, paused, with /clock. Every word is known from Humble to Kilted."""
    command = ["ros2", "bag", "play", str(bag), "--clock", "100", "--rate", f"{rate:g}", "--start-paused"]
    command += ["--disable-keyboard-controls"]
    # Without a delay /clock jumps back right behind the last message, which then lies in the node's future.
    command += ["--loop", "--delay", "1"] if loop else []
    command += ["--start-offset", f"{offset:g}"] if offset else []
    return [*command, "--topics", *topics]


def failed(context: Any, status: int) -> bool:
    """Whether a process of a launch failed: not if Ctrl-C ended it while it still imported."""
    return status != 0 and not (context.is_shutdown and status in (INTERRUPTED, -signal.SIGINT))


def fail(context: Any, text: str) -> None:
    """Make a launch end with status 1, whenever it ends; whatever else it runs goes on.

    Raising in an event handler would do so, too, and keep the event from those who have to end their processes.
    """
    context.asyncio_loop.call_exception_handler({"message": text})


def logger_name(namespace: str) -> str:
    """Name of the node's logger: its full name with dots."""
    return ".".join([*(part for part in namespace.split("/") if part), NODE])
