"""Play a bag through the node `perception` and measure what comes out, live; ends with the bag.

oodseg replay <bundle> <bag> --out offline
ros2 launch oodseg_ros replay_evaluation.launch.py bag:=<bag> out:=live offline:=offline cameras:=front
"""

import sys
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
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
]


def generate_launch_description():
    """Called by launch."""
    replay = PythonLaunchDescriptionSource(str(Path(__file__).resolve().parent / "replay.launch.py"))
    # Without the viewer: what RViz subscribes to costs frames, and it is the frames that are counted here.
    # A required argument must be handed on by name, the others reach it as they were given.
    given = {"bag": LaunchConfiguration("bag"), "rviz": "false"}
    include = IncludeLaunchDescription(replay, launch_arguments=given.items())
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=compose), include])


def compose(context):
    """The node that measures; it writes its results when the bag's end shuts the launch down."""

    def value(name):
        return context.launch_configurations.get(name, "").strip()

    cameras = launching.parse_cameras(value("cameras")) or launching.cameras_in(value("params_file")) or ["camera"]
    texts = {name: ParameterValue(value(name), value_type=str) for name in ("out", "truth", "offline")}
    listed = ParameterValue(cameras, value_type=list[str])
    evaluation = Node(
        namespace=value("namespace"),
        executable=sys.executable,
        arguments=["-m", "oodseg_ros.ros.evaluation"],
        exec_name="evaluation",
        parameters=[{**texts, "cameras": listed, "use_sim_time": True}],
        output="screen",
        # Reading the last frames and writing the figures may take longer than the 5 s that launch allows.
        sigterm_timeout="60",
    )
    return [evaluation]
