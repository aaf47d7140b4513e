"""Play a bag through the node `perception` and show it in RViz; ends with the bag.

ros2 launch oodseg_ros replay.launch.py bag:=<bag> image_topic:=/front/image_raw
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.event_handlers import OnStateTransition

from oodseg_ros.ros.node import launching

SHARE = Path(__file__).resolve().parent.parent
SWITCH = ["true", "false"]
ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Bag to play (folder, or .mcap/.db3 file)"),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the replay, 1.0 = as recorded"),
    DeclareLaunchArgument(
        "loop", default_value="false", choices=SWITCH, description="Play again and again until Ctrl-C"
    ),
    DeclareLaunchArgument(
        "player",
        default_value="rosbag2",
        choices=["rosbag2", "oodseg"],
        description="What plays the bag: `ros2 bag play`, or the package's own player where rosbag2 is not installed",
    ),
    DeclareLaunchArgument(
        "rviz", default_value="true", choices=SWITCH, description="Start RViz with config/oodseg.rviz"
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="true",
        choices=SWITCH,
        description="Take the time from the bag, so that ages are true",
    ),
]


def generate_launch_description():
    """Called by launch."""
    perception = PythonLaunchDescriptionSource(str(Path(__file__).resolve().parent / "perception.launch.py"))
    # Its other arguments reach it as they were given on the command line.
    own = {name: LaunchConfiguration(name) for name in ("rviz", "use_sim_time")}
    include = IncludeLaunchDescription(perception, launch_arguments=own.items())
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=compose), include])


def compose(context):
    """Actions for the values that the arguments have."""

    def value(name):
        return LaunchConfiguration(name).perform(context).strip()

    player = ExecuteProcess(
        cmd=launching.player_command(value("player"), value("bag"), value("rate"), value("loop") == "true"),
        output="screen",
        on_exit=Shutdown(reason="the bag has ended"),
    )
    return [
        # Before the player: it publishes the images, so it needs the profile as well.
        *(
            SetEnvironmentVariable(name, path)
            for name, path in launching.dds_profile(context.environment, SHARE).items()
        ),
        # A node that still loads its model would miss the first frames. Once: the user may deactivate and activate.
        RegisterEventHandler(
            OnStateTransition(start_state="activating", goal_state="active", entities=[player], handle_once=True)
        ),
    ]
