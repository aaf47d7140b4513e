"""Play a bag through the node `perception` and show it in RViz; ends with the bag.

ros2 launch oodseg_ros replay.launch.py bag:=<bag> image_topic:=/front/image_raw

Only what the node subscribes to is played, from the moment at which it listens; the launch ends when it has answered.
Status 0: the bag was played and frames of it were answered, or Ctrl-C.
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
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from oodseg_ros.ros.node import launching

SHARE = Path(__file__).resolve().parent.parent
ARGUMENTS = [
    DeclareLaunchArgument("bag", description="Bag to play (folder, or .mcap/.db3 file)"),
    DeclareLaunchArgument("rate", default_value="1.0", description="Speed of the replay, 1.0 = as recorded"),
    DeclareLaunchArgument("loop", default_value="false", description="Play again and again until Ctrl-C"),
    DeclareLaunchArgument("start_offset", default_value="0.0", description="Seconds of the bag to leave out"),
    DeclareLaunchArgument(
        "start_paused",
        default_value="false",
        description="Hold at the first message until the service resume of /rosbag2_player or /bag_player is called",
    ),
    DeclareLaunchArgument(
        "topics",
        default_value="",
        description="Topics of the bag to play beside those that the node subscribes to, e.g. for RViz",
    ),
    DeclareLaunchArgument(
        "player",
        default_value="rosbag2",
        choices=list(launching.PLAYERS),
        description="What plays the bag: `ros2 bag play`, or the package's own player where rosbag2 is not installed",
    ),
    DeclareLaunchArgument(
        "wait_for", default_value="", description="Services (std_srvs/Trigger) that must say yes before the first frame"
    ),
    DeclareLaunchArgument(
        "rviz", default_value="true", description="Start RViz for the cameras, where it is installed"
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="true", description="Take the time from the bag, so that ages are true"
    ),
]


def generate_launch_description():
    """Called by launch."""
    perception = PythonLaunchDescriptionSource(str(Path(__file__).resolve().parent / "perception.launch.py"))
    # Its other arguments reach it as they were given on the command line.
    own = {name: LaunchConfiguration(name) for name in ("rviz", "use_sim_time")}
    include = IncludeLaunchDescription(perception, launch_arguments=own.items())
    # What can be refused is refused first, then the node's file is asked: what fails later leaves processes behind.
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=check), include, OpaqueFunction(function=play)])


def check(context):
    """Refuse what cannot be played; the DDS profile, which the player needs as well: it publishes the images."""
    given = context.launch_configurations
    size = launching.check_replay(given["bag"].strip(), given["player"], context.environment.get("PATH"))
    given["warm_size"] = given.get("warm_size") or size
    for name in ("loop", "start_paused"):
        launching.is_on(name, given[name])
    profile = launching.dds_profile(context.environment, SHARE)
    return [SetEnvironmentVariable(name, path) for name, path in profile.items()]


def play(context):
    """The player."""

    def value(name):
        return context.launch_configurations.get(name, "").strip()

    def is_on(name, default="false"):
        return launching.is_on(name, value(name) or default)

    namespace = launching.full_namespace(context.launch_configurations.get("ros_namespace"), value("namespace"))
    switches = [name for name in ("loop", "start_paused") if is_on(name)]
    switches += [] if is_on("autostart", "true") else ["no_autostart"]
    words = {name: value(name) for name in ("rate", "start_offset", "topics", "wait_for")}
    command = launching.play_command(value("bag"), value("player"), f"{namespace}/{launching.NODE}", *switches, **words)
    player = ExecuteProcess(cmd=command, name="play_bag", output="screen", on_exit=_played, sigterm_timeout="15")
    ended = [] if is_on("use_respawn") else [RegisterEventHandler(OnProcessExit(on_exit=_node_ended))]
    return [*ended, player]


def _played(event, context):
    if launching.failed(context, event.returncode):
        launching.fail(context, f"the bag was not replayed: the player ended with status {event.returncode}")
    # A second shutdown would be an error of its own.
    return None if context.is_shutdown else Shutdown(reason="the bag has ended")


def _node_ended(event, context):
    """Without the node there is nothing to play to; perception.launch.py says with which status it ended."""
    if event.process_name.rpartition("-")[0] == launching.NODE and not context.is_shutdown:
        return Shutdown(reason="the node has ended")
    return None
