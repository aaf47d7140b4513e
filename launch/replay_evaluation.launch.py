"""Play a bag through the node `perception` and measure what comes out, live; ends with the bag.

oodseg replay <bundle> <bag> --out offline
ros2 launch oodseg_ros replay_evaluation.launch.py bag:=<bag> out:=live offline:=offline cameras:=front
"""

import sys
from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from oodseg_ros.ros.node import launching

ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Bag to play (folder, or .mcap/.db3 file)"),
    DeclareLaunchArgument("out", description="Folder for metrics.json and alerts.csv of the live run"),
    DeclareLaunchArgument(
        "truth", default_value="", description="Folder of masks <stamp in ns>.png with 0, 1 and 255; empty = none"
    ),
    DeclareLaunchArgument(
        "offline",
        default_value="",
        description="Folder of an `oodseg replay` of this bag to compare with; empty = none",
    ),
    DeclareLaunchArgument("alert_rate", default_value="50.0", description="Heartbeats of the alert per second"),
]


def generate_launch_description():
    """Called by launch."""
    replay = PythonLaunchDescriptionSource(str(Path(__file__).resolve().parent / "replay.launch.py"))
    # Without the viewer: what RViz subscribes to costs frames, and it is the frames that are counted here.
    # A required argument must be handed on by name, the others reach it as they were given.
    given = {
        "bag": LaunchConfiguration("bag"),
        "rviz": "false",
        "wait_for": LaunchConfiguration("wait_for"),
        # Every frame's verdict shall be heard, also where frames are faster than the usual heartbeat.
        "alert_rate": LaunchConfiguration("alert_rate"),
    }
    include = IncludeLaunchDescription(replay, launch_arguments=given.items())
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=check), include, OpaqueFunction(function=evaluate)])


def check(context):
    """Name the service that the player waits for: the evaluation must have found the node before the first frame."""
    given = context.launch_configurations
    namespace = launching.full_namespace(given.get("ros_namespace"), given.get("namespace", "").strip())
    given["wait_for"] = f"{namespace}/evaluation/ready"


def evaluate(context):
    """The node that measures; it writes its results when the bag's end shuts the launch down."""

    def value(name):
        return context.launch_configurations.get(name, "").strip()

    namespace = launching.full_namespace(context.launch_configurations.get("ros_namespace"), value("namespace"))
    asked, params_file = launching.parse_cameras(value("cameras")), value("params_file")
    if not asked and params_file:
        asked = launching.parameter_file(params_file, f"{namespace}/{launching.NODE}").cameras
    texts = {name: ParameterValue(value(name), value_type=str) for name in ("out", "truth", "offline")}
    listed = ParameterValue(asked or ["camera"], value_type=list[str])
    evaluation = Node(
        name="evaluation",
        namespace=value("namespace"),
        executable=sys.executable,
        arguments=["-m", "oodseg_ros.ros.evaluation"],
        exec_name="evaluation",
        parameters=[{**texts, "cameras": listed, "use_sim_time": True}],
        output="screen",
        # Reading the last frames and writing the figures may take longer than the 5 s that launch allows.
        sigterm_timeout="60",
    )
    return [RegisterEventHandler(OnProcessExit(target_action=evaluation, on_exit=_evaluated)), evaluation]


def _evaluated(event, context):
    if launching.failed(context, event.returncode):
        launching.fail(context, f"the evaluation ended with status {event.returncode}; its log says why")
    return None if context.is_shutdown else Shutdown(reason="the evaluation has ended")
