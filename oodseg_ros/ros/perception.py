"""The lifecycle node `perception`: camera messages in; labels, scores, obstacles and the alert out.

Two threads: the executor's stores messages, sends heartbeats and answers services; the inference thread does the rest.
"""

from __future__ import annotations

from ..process import begin_node

if __name__ == "__main__":
    begin_node()

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from ..errors import ConfigError, UserError
from ..inference.runner import Runner
from ..parameters.settings import Settings
from ..pipeline.obstacles.release import release_threshold
from .node.loading import build_engines, load_runner
from .node.outputs import make_folders, write_answer
from .node.parameters import NodeParameters
from .node.qos import check_overrides
from .node.session import Session
from .node.topics import names

HELP = """usage: perception [--ros-args [-p NAME:=VALUE] [--params-file FILE] [-r FROM:=TO] ...]

The lifecycle node `perception` of oodseg_ros: camera images in; labels, scores, obstacles and the alert out.
Every parameter stands in config/perception.yaml, every topic in docs/node.md. With cameras, RViz and a DDS profile:
  ros2 launch oodseg_ros perception.launch.py --show-args"""
EXIT_REFUSED = 1
EXIT_ENGINE_FAILED = 70
"""Exit status for a respawn: the engine failed again and again."""

SUCCESS, FAILURE, ERROR = (
    TransitionCallbackReturn.SUCCESS,
    TransitionCallbackReturn.FAILURE,
    TransitionCallbackReturn.ERROR,
)


class Perception(LifecycleNode):
    """See config/parameters.yaml for its parameters and docs for its topics.

    Attributes:
        exit_code: None while the node should live; else the process ends with it.

    Args:
        load: settings, logger → runner and permanent warnings; benchmarks measure the node with another runner.
    """

    def __init__(
        self, load: Callable[[Settings, Any], tuple[Runner, tuple[str, ...]]] = load_runner, **options: Any
    ) -> None:
        super().__init__("perception", **options)
        self.exit_code: int | None = None
        self._load = load
        self._session: Session | None = None
        self._enabled = True
        self._stuck = False
        self._node_parameters = NodeParameters(self, changed=self._on_parameters)
        self._settings: Settings | None = None
        # Ends the executor's wait now and then, so that signals and `exit_code` are seen without any message.
        self._tick = self.create_timer(0.5, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/snapshot", self._on_snapshot)

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and verify bundle and engine; a refusal leaves the node unconfigured and says one sentence."""
        return self._guarded("configure", self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded("activate", self._activate)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded("deactivate", self._deactivate)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded("clean up", self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded("shut down", self._clean_up)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured with nothing left over."""
        return self._guarded("recover", self._clean_up)

    def build_only(self) -> None:
        """Build the engine, put it through its acceptance gate, load and warm it; it stays in the cache.

        Raises:
            UserError: it cannot.
        """
        settings = self._node_parameters.settings()
        build_engines(settings, self.get_logger())
        self._load(settings, self.get_logger())

    def asks_for(self, name: str) -> bool:
        return self.get_parameter(name).value

    def close(self) -> bool:
        """Free everything, in whatever state; False: the inference thread hangs in the engine."""
        try:
            self._clean_up(timeout=3.0)
        except Exception as error:  # nothing may keep the process from ending
            self.get_logger().error(f"while closing: {error}")
        self.destroy_node()
        return not self._stuck

    def _guarded(self, what: str, act: Callable[[], None]) -> TransitionCallbackReturn:
        # rclpy swallows what a transition raises without a word, so it is said here.
        try:
            act()
        except UserError as error:
            self.get_logger().error(f"cannot {what}: {error}")
            return FAILURE
        except Exception as error:
            self.get_logger().error(f"cannot {what}: {type(error).__name__}: {error}")
            return FAILURE if what == "configure" else ERROR
        return SUCCESS

    def _configure(self) -> None:
        self._settings = settings = self._node_parameters.settings()
        if unused := self._node_parameters.unused():
            self.get_logger().warning(
                f"parameters of cameras that are not in `cameras` are not used: {', '.join(unused)}"
            )
        self._check_qos_overrides(settings)
        runner, warnings = self._load(settings, self.get_logger())
        calibration = runner.bundle.card.calibration
        self._node_parameters.meanings = {
            "obstacles.threshold": calibration.threshold,
            "obstacles.release_threshold": release_threshold(calibration, calibration.threshold),
        }
        for step in self._node_parameters.less_careful():
            self.get_logger().warning(f"less careful than by default: {step}")
        self._session = Session(self, self._current, runner, warnings, self._on_engine_failed)
        self._session.enable(self._enabled)
        self._node_parameters.locked = True

    def _current(self) -> Settings:
        assert self._settings is not None  # set before anything asks
        return self._settings

    def _check_qos_overrides(self, settings: Settings) -> None:
        cameras = {camera.name: camera.transport for camera in settings.cameras}
        own = names(cameras, settings.odometry)
        publish, subscribe = ([self.resolve_topic_name(name) for name in own[way]] for way in ("publish", "subscribe"))
        if problems := check_overrides(self._node_parameters.qos_overrides(), publish, subscribe):
            raise ConfigError("; ".join(problems))

    def _activate(self) -> None:
        assert self._session is not None  # the lifecycle: only a configured node is activated
        self._session.activate()

    def _deactivate(self, timeout: float = 60.0) -> None:
        assert self._session is not None
        if not self._session.deactivate(timeout):
            self._stuck = True
            raise TimeoutError(f"the engine did not return within {timeout:g} s")

    def _clean_up(self, timeout: float = 60.0) -> None:
        session, self._session = self._session, None
        # Unlocked first: on shutdown nothing after this may fail half-way.
        self._node_parameters.locked = False
        if session is not None:
            self._stuck = not session.deactivate(timeout)
            session.destroy()

    def _on_parameters(self, settings: Settings) -> None:
        self._settings = settings

    def _on_engine_failed(self) -> None:
        self.exit_code = EXIT_ENGINE_FAILED

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        if self._session is not None:
            self._session.enable(request.data)
        response.success, response.message = True, "enabled" if request.data else "disabled: every camera is UNKNOWN"
        return response

    def _on_snapshot(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        session = self._session
        answers = session.newest() if session is not None else []
        if session is None or not answers:
            response.message = "no image has been answered yet"
            return response
        labels, settings = session.labels, self._current()
        try:
            paths = make_folders(settings.snapshot_dir, answers)
        except UserError as error:
            response.message = str(error)
            return response

        def write() -> None:
            try:
                for path, answer in zip(paths, answers, strict=True):
                    write_answer(path, answer, labels, settings.overlay_alpha)
            except Exception as error:
                self.get_logger().error(f"the snapshot was not written: {error}")

        # In a thread of its own: encoding PNGs and a slow disk would hold up the heartbeat.
        threading.Thread(target=write, name="snapshot", daemon=True).start()
        response.success, response.message = True, " ".join(map(str, paths))
        if session.recording.snapshot():
            response.message += f"; the last seconds go to {settings.record.folder}"
        return response


def main(args: Sequence[str] | None = None) -> None:
    """Entry point of the executable; ends with status 0 on SIGINT and SIGTERM."""
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        print(HELP)
        return
    sys.exit(run(Perception, args))


def run(make_node: Callable[[], Perception], args: Sequence[str] | None = None) -> int:
    """Run a node until it is told to stop; returns the exit status. For the main thread of a process."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _interrupt(stop))
    node = None
    code, clean = 0, True
    try:
        # rclpy's own handlers invalidate the context at once; ours leave time for a last alert that says `inactive`.
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
        code = _live(node, stop)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except UserError as error:
        (node.get_logger() if node is not None else get_logger("perception")).error(str(error))
        code = EXIT_REFUSED
    finally:
        stop.set()
        if node is not None:
            clean = node.close()
        rclpy.try_shutdown()
        # rclpy has just put the handlers of before back; Python needs seconds to unload an engine.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    if not clean or any(thread.daemon for thread in threading.enumerate()):
        # A thread that hangs in an engine, or still encodes a bag or snapshot, would abort the interpreter on its way
        # out: Python ends daemon threads inside C++ code, and C++ calls terminate.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _interrupt(stop: threading.Event) -> None:
    # Under launch Ctrl-C arrives twice; only the first one may interrupt, and nothing may interrupt the clean-up.
    if not stop.is_set():
        stop.set()
        raise KeyboardInterrupt


def _live(node: Perception, stop: threading.Event) -> int:
    if node.asks_for("build_only"):
        node.build_only()
        return 0
    if node.asks_for("autostart") and node.trigger_configure() == SUCCESS:
        node.trigger_activate()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while rclpy.ok() and node.exit_code is None and not stop.is_set():
        # The node's tick ends each wait. A timeout here would cost a new timer at every call.
        executor.spin_once()
    return node.exit_code or 0


if __name__ == "__main__":
    main()
