"""Start the node `perception`, bring it to active, and show it in RViz if asked.

ros2 launch oodseg_ros perception.launch.py --show-args
"""

import tempfile
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from oodseg_ros.inference.engine import ENGINES
from oodseg_ros.ros.node import launching, viewers

# launch/ and config/ lie side by side: in a checkout, in share/, and behind the links of `--symlink-install`.
SHARE = Path(__file__).resolve().parent.parent
BASE_FRAME = "base_link"
ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and its topics, e.g. /car"),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="false",
        description="Take the time from /clock (bags, simulation)",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value="",
        description="Parameters of the node, a copy of config/perception.yaml, whose values are the defaults; the "
        "arguments of this launch file win over it",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        description="Configure and activate the node whenever its process starts; a later deactivate stays",
    ),
    DeclareLaunchArgument(
        "bundle",
        default_value="",
        description="Model: name of a shipped bundle or path of a folder; empty = params_file",
    ),
    DeclareLaunchArgument(
        "engine",
        default_value="",
        choices=["", "auto", *ENGINES],
        description="Inference engine; empty = params_file",
    ),
    DeclareLaunchArgument(
        "device",
        default_value="",
        description="Where the engine runs: cpu, cuda, cuda:<index>; empty = params_file",
    ),
    DeclareLaunchArgument(
        "threshold",
        default_value="",
        description="Score from which a pixel is unknown (obstacles.threshold); empty = params_file",
    ),
    DeclareLaunchArgument(
        "cameras", default_value="", description="Names of the cameras, e.g. front,rear; empty = params_file"
    ),
    DeclareLaunchArgument(
        "image_topic",
        default_value="",
        description="Image topic of every camera, in the order of cameras, with camera_info beside it; a topic that "
        "ends in /compressed, /ffmpeg or /foxglove is taken as that; empty = <camera>/image_raw",
    ),
    DeclareLaunchArgument(
        "image_reliability",
        default_value="",
        choices=["", "best_effort", "reliable"],
        description="QoS of the image subscriptions; empty = params_file (best_effort, which matches every driver)",
    ),
    DeclareLaunchArgument(
        "rviz", default_value="false", description="Start RViz for the cameras, where it is installed"
    ),
    DeclareLaunchArgument(
        "warm_size",
        default_value="",
        description="Image size to compile for before the first image, e.g. 1920x1080; empty = params_file",
    ),
    DeclareLaunchArgument(
        "alert_rate", default_value="", description="Heartbeats of the alert per second; empty = params_file"
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severity that the node logs",
    ),
    DeclareLaunchArgument(
        "use_respawn",
        default_value="false",
        description="Start the node again 2 s after it ended by itself",
    ),
    DeclareLaunchArgument(
        "build_only",
        default_value="false",
        description="Build and check the bundle's engine, then end; nothing is subscribed",
    ),
]


def generate_launch_description():
    """Called by launch."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=compose)])


def compose(context):
    """Actions for the values that the arguments have."""

    def value(name):
        return LaunchConfiguration(name).perform(context).strip()

    def is_on(name):
        return launching.is_on(name, value(name))

    namespace = launching.full_namespace(context.launch_configurations.get("ros_namespace"), value("namespace"))
    params_file = value("params_file")
    given = launching.parameter_file(params_file, f"{namespace}/{launching.NODE}") if params_file else None
    asked = launching.parse_cameras(value("cameras"))
    cameras = asked or (given and given.cameras) or ["camera"]
    remappings, overrides = launching.image_inputs(cameras, value("image_topic"))
    for name in ("bundle", "engine", "device", "warm_size"):
        overrides |= {name: value(name)} if value(name) else {}
    topics = launching.parse_list(value("image_topic"))
    for camera in cameras if not topics else ():
        transport = given.value(f"{camera}.transport", "raw") if given else "raw"
        topics.append(f"{camera}/image_raw{'' if transport == 'raw' else f'/{transport}'}")
    overrides |= launching.reliability(namespace, topics, value("image_reliability"))
    # launch guesses types from the text otherwise: a bundle named 1e3 would arrive as a number.
    overrides = {name: ParameterValue(text, value_type=str) for name, text in overrides.items()}
    if asked:
        overrides["cameras"] = ParameterValue(asked, value_type=list[str])
    for name, parameter in (("alert_rate", "alert_rate"), ("threshold", "obstacles.threshold")):
        overrides |= {parameter: launching.number(name, value(name))} if value(name) else {}
    build_only = is_on("build_only")
    respawn = is_on("use_respawn") and not build_only
    # The node brings itself up. Asking it by service from here has two traps: the request to a respawned process
    # goes to the dead one and is never answered, and a node that the user deactivates is easily activated again.
    overrides.update(autostart=is_on("autostart"), use_sim_time=is_on("use_sim_time"), build_only=build_only)
    # All that can be refused comes before the node: what fails after it has started leaves it behind.
    base_frame = given.value("base_frame", BASE_FRAME) if given else BASE_FRAME
    rviz = [_rviz(viewers.rviz_config(cameras, namespace, base_frame), is_on("use_sim_time"))] if is_on("rviz") else []
    executable, arguments = launching.node_command(_prefix())
    node = LifecycleNode(
        name=launching.NODE,
        namespace=value("namespace"),
        executable=executable,
        arguments=arguments,
        exec_name=launching.NODE,
        parameters=[*([given.path] if given else []), overrides],
        remappings=remappings,
        ros_arguments=["--log-level", f"{launching.logger_name(namespace)}:={value('log_level')}"],
        output="screen",
        emulate_tty=True,
        respawn=respawn,
        respawn_delay=2.0,
        # Unloading an engine takes Python up to seconds; a busy machine longer than launch's usual 5 s.
        sigterm_timeout="15",
    )
    profile = launching.dds_profile(context.environment, SHARE)
    actions = [SetEnvironmentVariable(name, path) for name, path in profile.items()]
    if profile:
        path = next(iter(profile.values()))
        actions.append(
            LogInfo(msg=f"Fast DDS profile {path}; processes that publish images on this machine need it too")
        )
    if not respawn:
        ended = OnProcessExit(target_action=node, on_exit=_end_build if build_only else _ended)
        actions.append(RegisterEventHandler(ended))
    return [*actions, node, *([] if build_only else rviz)]


def _end_build(event, context):
    _ended(event, context)
    return None if context.is_shutdown else Shutdown(reason="the build has ended")


def _ended(event, context):
    """A node that failed makes `ros2 launch` exit with a status other than 0; what else was launched goes on."""
    if launching.failed(context, event.returncode):
        launching.fail(context, f"the node ended with status {event.returncode}; its log says why")


def _rviz(text, sim_time):
    try:
        installed = (Path(get_package_prefix("rviz2")) / "lib" / "rviz2" / "rviz2").is_file()
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        installed = False
    if not installed:
        return LogInfo(msg="rviz:=true: RViz is not installed (ros-<distro>-rviz2); going on without it")
    with tempfile.NamedTemporaryFile("w", suffix=".rviz", prefix="oodseg_", delete=False) as file:
        file.write(text)
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", file.name],
        parameters=[{"use_sim_time": sim_time}],
        output="screen",
    )


def _prefix():
    try:
        return Path(get_package_prefix("oodseg_ros"))
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        return None
