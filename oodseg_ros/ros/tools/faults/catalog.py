"""All faults: of cameras and messages, of load, engine, disk, time, parameters and services, of the process."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from ....errors import ConfigError
from .messages import SIZES
from .script import CLEAR, KNOWN, SILENCE, UNKNOWN, VICTIM, WITNESS, Script, act

BACK = (act("camera", camera=VICTIM),)
SIDE_BACK = (act("camera", camera=WITNESS),)


def _camera(name: str, what: str, *reasons: str, **options: object) -> Script:
    given = {key: options.pop(key) for key in ("picture", "message", "stamp", "info", "silent") if key in options}
    return Script(
        name, "camera", what, (act("camera", camera=VICTIM, **given),), BACK, reasons=frozenset(reasons), **options
    )


def _message(name: str, what: str, *reasons: str, victim: str = VICTIM, **options: object) -> Script:
    begin = (act("camera", camera=victim, message=name),)
    end = BACK if victim == VICTIM else SIDE_BACK
    given = frozenset(reasons or ("decode_failed", "wrong_size", "encoding_changed", "camera_info"))
    return Script(name, "message", what, begin, end, reasons=given, victim=victim, **options)


CAMERA = (
    _camera("camera_silent", "the camera stops sending", "no_image", silent=True),
    _camera("camera_frozen", "the same picture again and again under new stamps", "frozen", picture="frozen", within=8),
    _camera("camera_black", "a black picture with sensor noise", "black", picture="black"),
    _camera("camera_over_exposed", "a white picture", "over_exposed", picture="over_exposed"),
    _camera("camera_in_fog", "fog that leaves a tenth of the contrast", "low_contrast", picture="fog"),
    _camera("camera_blurred", "out of focus", "blurred", "blocked", picture="blurred", within=20, recover=20),
    _camera(
        "camera_blocked", "three quarters of the lens covered", "blocked", "blurred", picture="blocked", within=20,
        recover=20,
    ),
    _camera("camera_wrong_size", "half the size from one frame to the next", "wrong_size", picture="small"),
    _camera("camera_changing_size", "another size in every frame", "wrong_size", picture="changing"),
    _camera("camera_other_encoding", "mono8 instead of bgr8", "encoding_changed", message="mono"),
    _camera("stamp_in_future", "stamped 5 s in the future", "stamp_in_future", stamp="future"),
    _camera("stamp_in_past", "stamped 5 s in the past", "too_old", "stamp_went_back", "no_image", stamp="past"),
    _camera("stamp_repeats", "the same stamp again and again", "repeated_stamp", "no_image", "late", stamp="repeat"),
    _camera("stamp_goes_back", "every frame is stamped before the last one", "stamp_went_back", "too_old", "starting",
            "recovering", stamp="back"),
    _camera("stamp_jitters", "stamps swap places: every second one lies before the last",
            "stamp_went_back", "starting", "recovering", stamp="swap"),
    _camera("stamp_zero", "no stamp at all", "no_stamp", "no_image", "late", stamp="zero"),
    _camera("camera_info_contradicts", "camera_info is of images of another shape", "camera_info", info="shape"),
    _camera("camera_info_nan", "camera_info holds NaN", "camera_info", info="nan"),
    _camera("camera_info_absurd", "camera_info with a focal length of 1e300 and an endless distortion",
            "camera_info", info="absurd"),
)  # fmt: skip

MESSAGE = (
    _message("zero_size", "an image of 0 x 0 pixels"),
    _message("wrong_step", "a row step smaller than a row"),
    _message("huge_step", "a row step of 4 GB"),
    _message("truncated", "half of the data is missing"),
    _message("no_data", "no data at all"),
    _message("enormous", "4294967295 x 4294967295 pixels by its header"),
    _message("unknown_encoding", "an encoding that does not exist"),
    _message("depth_encoding", "32FC1, which is no picture"),
    _message("long_encoding", "an encoding name of 100 kB"),
    _message("empty_header", "neither stamp nor frame_id", "no_stamp", "no_image", "late", "decode_failed"),
    _message("alternating", "every second message is garbage", "decode_failed", "recovering", "starting", "wrong_size"),
    _message("jpeg_garbage", "random bytes as JPEG", victim=WITNESS),
    _message("jpeg_truncated", "half a JPEG", victim=WITNESS),
    _message("jpeg_empty", "a compressed image without data", victim=WITNESS),
    _message("jpeg_flipped", "flipped bits in the header of a JPEG", victim=WITNESS),
    _message("png_bomb", "a PNG of 50000 x 50000 pixels in 100 bytes", victim=WITNESS),
    _message("gif", "a GIF in a CompressedImage", victim=WITNESS),
    Script(
        "camera_dies_and_returns", "camera", "the driver's publisher goes away for a while and comes back",
        (act("driver_dies", camera=VICTIM),), (act("driver_returns", camera=VICTIM),),
        states=UNKNOWN, reasons=frozenset({"no_image"}), hold=1.0, recover=15.0,
    ),
)  # fmt: skip


_FRONT = "{}x{}".format(*SIZES[VICTIM])
GOOD = (act("engine", mode="good", size=_FRONT),)
FRESH = ("starting", "recovering")


def _engine(name: str, what: str, mode: str, *reasons: str, count: int = 0, **options: object) -> Script:
    begin = (act("engine", mode=mode, count=count, size=_FRONT),)
    return Script(name, "engine", what, begin, () if count else GOOD, reasons=frozenset(reasons), **options)


def _stays(name: str, group: str, what: str, *begin: object, end: tuple = (), hold: float = 1.5, **options: object):
    return Script(name, group, what, begin, end, states=CLEAR, stays=True, hold=hold, **options)


ENGINE = (
    _engine("engine_raises_once", "the engine raises on one frame", "raise", "engine_error", *FRESH, count=1),
    _engine("engine_raises", "the engine raises on every frame of one camera", "raise", "engine_error"),
    _engine("engine_memory", "device out of memory, three frames", "memory", "engine_error", *FRESH, count=3),
    _engine("engine_nan", "one NaN in the score", "nan", "score_not_finite"),
    _engine("engine_infinite", "one infinity in the score", "nan:inf", "score_not_finite"),
    _engine("engine_one_class", "every pixel is road", "one_class", "one_class", within=8),
    _engine("engine_saturated", "every score above the threshold", "shift:50", "score_saturated", "score_drift",
            within=8, states=UNKNOWN),
    _engine("engine_drifted", "scores unlike any road: all of them 2.5 higher", "shift:2.5", "score_drift",
            "score_saturated", within=12, recover=20),
    _engine("engine_wrong_size", "an answer of another size than the image", "size", "internal_error",
            "engine_error", "decode_failed"),
    _engine("engine_too_few", "no answer for an image", "short", "internal_error", "engine_error", "late"),
    _engine("engine_sees_obstacle", "an obstacle: not a fault, but it must still be seen", "obstacle",
            states=frozenset({"OBSTACLE"})),
    _engine("engine_hangs", "the engine hangs for 3 s and comes back", "hang:3", "late", "inference_blocked",
            "too_old", "recovering", count=1, shared=True, recover=15.0),
    Script("engine_slow", "engine", "each image takes 1.5 s", (act("engine", mode="hang:1.5"),),
           (act("engine", mode="good"),), reasons=frozenset({"late", "too_old", "inference_blocked"}), shared=True,
           recover=15.0),
)  # fmt: skip

LOAD = (
    _stays("burst", "load", "ten times the frame rate", act("rate", camera=VICTIM, factor=10.0),
           end=(act("rate", camera=VICTIM, factor=1.0),), hold=3.0),
    _stays("slow_subscriber", "load", "a reliable subscriber of score and overlay that sleeps in its callback",
           act("slow_listener", on=True), end=(act("slow_listener", on=False),), hold=3.0),
    _stays("subscribers_come_and_go", "load", "fifty subscriptions to every output, made and destroyed",
           act("subscription_storm", count=50)),
    _stays("publishers_come_and_go", "load", "a second driver appears and goes twenty times without sending",
           act("publisher_storm", count=20)),
)  # fmt: skip

DISK = (
    _stays("disk_full", "recorder", "no file may grow any further while a bag is written (RLIMIT_FSIZE)",
           act("file_limit", bytes=40_000), act("snapshot", expect=None), act("recorder", counts="failed"),
           end=(act("file_limit", bytes=None), act("snapshot"), act("recorder", counts="written"))),
    _stays("record_folder_gone", "recorder", "the folder of the bags is removed while it records",
           act("remove_records"), act("snapshot", expect=None), act("recorder", counts="written")),
    _stays("record_folder_is_a_file", "recorder", "a file stands where the folder of the bags should be",
           act("block_records", on=True), act("snapshot", expect=None), act("recorder", counts="failed"),
           end=(act("block_records", on=False),)),
    _stays("snapshot_storm", "recorder", "thirty snapshots in a row", act("snapshot", times=30), hold=3.0),
)  # fmt: skip

PARAMETERS = (
    _stays("parameter_storm", "parameters", "200 changes of runtime parameters",
           act("parameters", name="overlay_rate", values=[2.0 + i % 7 for i in range(200)])),
    _stays("parameter_wrong_type", "parameters", "a text for a number",
           act("parameters", name="max_age", values=["soon"]), refused=True),
    _stays("parameter_out_of_range", "parameters", "a time-out of -1 s",
           act("parameters", name="image_timeout", values=[-1.0]), refused=True),
    _stays("parameter_nan", "parameters", "NaN where a number with a range is meant",
           act("parameters", name="max_age", values=[float("nan")]), refused=True),
    _stays("parameter_locked", "parameters", "another bundle while the node drives",
           act("parameters", name="bundle", values=["/etc"]), refused=True),
    _stays("parameter_unknown", "parameters", "a parameter that does not exist",
           act("parameters", name="no_such_thing", values=[1]), refused=True),
    _stays("parameter_huge", "parameters", "a text of one megabyte",
           act("parameters", name="bundle", values=["x" * 1_000_000]), refused=True),
    Script("evidence_reset_storm", "parameters", "thirty changes of obstacles.min_area, each of which resets evidence",
           (act("parameters", name="obstacles.min_area", values=[100 + i for i in range(30)] + [100]),),
           states=KNOWN, stays=True, hold=1.0, shared=True),
)  # fmt: skip

SERVICES = (
    Script("disabled", "services", "switched off by ~/enable", (act("enable", on=False),), (act("enable", on=True),),
           reasons=frozenset({"disabled"}), shared=True),
    _stays("service_storm", "services", "a hundred calls of ~/enable", act("enable", on=True, times=100)),
    _stays("configure_while_active", "services", "configure of an active node",
           act("lifecycle", transition="configure"), refused=True),
    _stays("cleanup_while_active", "services", "cleanup of an active node",
           act("lifecycle", transition="cleanup"), refused=True),
    Script("deactivated", "services", "deactivated and activated", (act("lifecycle", transition="deactivate"),),
           (act("lifecycle", transition="activate"),), reasons=frozenset({"inactive"}), shared=True),
    Script("deactivated_while_engine_hangs", "services", "deactivate has to wait for an engine that hangs for 4 s",
           (act("engine", mode="hang:4", count=1), act("wait", seconds=0.3),
            act("lifecycle", transition="deactivate", wait=False)),
           (act("wait", seconds=5.0), act("bring", state="active")),
           reasons=frozenset({"inactive", "inference_blocked", "late"}), shared=True, recover=15.0),
    Script("reconfigured", "services", "deactivate, cleanup, configure, activate",
           (act("lifecycle", transition="deactivate"), act("lifecycle", transition="cleanup")),
           (act("lifecycle", transition="configure"), act("lifecycle", transition="activate")),
           reasons=frozenset({"inactive"}), shared=True, recover=15.0),
    Script("lifecycle_storm", "services", "ten times deactivate and activate",
           tuple(act("lifecycle", transition=("activate", "deactivate")[i % 2]) for i in range(1, 20)),
           (act("lifecycle", transition="activate"),), reasons=frozenset({"inactive"}), shared=True, within=8.0),
)  # fmt: skip

TIME = (
    Script("clock_forward", "time", "simulation time jumps 60 s ahead, images follow",
           (act("clock", jump=60.0),), states=KNOWN, stays=True, hold=2.0, shared=True, node="sim", recover=15.0),
    Script("clock_back", "time", "simulation time jumps 60 s back, as when a bag begins anew",
           (act("clock", jump=-60.0),), reasons=frozenset({*FRESH, "stamp_went_back", "no_image", "late"}),
           states=KNOWN, shared=True, node="sim", recover=15.0),
    Script("bag_loops", "time", "simulation time jumps 5 s back three times",
           tuple(part for _ in range(3) for part in (act("clock", jump=-5.0), act("wait", seconds=1.0))),
           states=KNOWN, stays=True, hold=1.0, shared=True, node="sim", recover=15.0),
    Script("clock_stops", "time", "simulation time and images stop, as when a bag is paused",
           (act("clock", running=False), act("camera", camera=VICTIM, silent=True),
            act("camera", camera=WITNESS, silent=True)),
           (act("clock", running=True), act("camera", camera=VICTIM), act("camera", camera=WITNESS)),
           reasons=frozenset({"no_image"}), shared=True, node="sim", recover=15.0),
    Script("clock_stops_images_do_not", "time", "simulation time stops, images go on with stamps ahead of it",
           (act("clock", running=False),), (act("clock", running=True),),
           reasons=frozenset({"stamp_in_future"}), shared=True, node="sim", recover=15.0),
)  # fmt: skip


RESPAWN = (act("respawn"),)
STATES = ("unconfigured", "inactive", "active")


def _ends(name: str, what: str, *begin: object, exit: int = 0, within: float = 30.0, **options: object) -> Script:
    return Script(
        name, "process", what, begin, RESPAWN, states=frozenset({SILENCE}), within=within, recover=60.0, shared=True,
        node="own", exit=exit, **options,
    )  # fmt: skip


PROCESS = (
    *(
        _ends(f"{number.lower()}_{state}", f"{number} while {state}", act("bring", state=state),
              act("signal", number=number))
        for number in ("SIGINT", "SIGTERM")
        for state in STATES
    ),
    _ends("sigint_twice", "SIGINT twice in a row, as under ros2 launch", act("signal", number="SIGINT", times=2)),
    _ends("sigint_configuring", "SIGINT while the engine is being loaded",
          act("bring", state="unconfigured"), act("engine", mode="load_slowly"),
          act("lifecycle", transition="configure", wait=False), act("wait", seconds=0.5),
          act("signal", number="SIGINT")),
    _ends("sigterm_engine_hangs", "SIGTERM while the engine hangs for a minute",
          act("engine", mode="hang:60", count=1), act("wait", seconds=1.0), act("signal", number="SIGTERM")),
    _ends("sigkill", "SIGKILL and respawn", act("signal", number="SIGKILL"), exit=-9),
    _ends("engine_gives_up", "the engine raises on every frame of every camera", act("engine", mode="raise"), exit=70),
    _ends("engine_memory_for_ever", "device out of memory on every frame", act("engine", mode="memory"), exit=70),
    _ends("engine_hangs_for_ever", "the engine never comes back (health.stall_exit 5 s)",
          act("engine", mode="hang:60", count=1), exit=70),
    Script("sigstop", "process", "the process is stopped for 2 s",
           (act("signal", number="SIGSTOP"),), (act("signal", number="SIGCONT"),),
           states=frozenset({SILENCE}), within=10.0, hold=1.0, recover=15.0, shared=True, node="own"),
    Script("engine_refused", "process", "the engine cannot be loaded; configure is refused, later it can",
           (act("bring", state="unconfigured"), act("engine", mode="load_refused"),
            act("lifecycle", transition="configure")),
           (act("engine", mode="load_good"), act("lifecycle", transition="configure"),
            act("lifecycle", transition="activate")),
           states=frozenset({SILENCE}), refused=True, within=10.0, recover=30.0, shared=True, node="own"),
)  # fmt: skip


ALL: tuple[Script, ...] = (*CAMERA, *MESSAGE, *ENGINE, *LOAD, *DISK, *PARAMETERS, *SERVICES, *TIME, *PROCESS)


def choose(only: Sequence[str] = ()) -> tuple[Script, ...]:
    """The faults whose name or group fits one of the patterns (`camera_*`, `time`), in the order of the catalog.

    Raises:
        ConfigError: a pattern fits none.
    """
    for pattern in only:
        if not any(_fits(script, pattern) for script in ALL):
            raise ConfigError(
                f"no fault is called {pattern!r}; groups: {', '.join(dict.fromkeys(s.group for s in ALL))}; "
                f"faults: {', '.join(script.name for script in ALL)}"
            )
    return tuple(script for script in ALL if not only or any(_fits(script, pattern) for pattern in only))


def _fits(script: Script, pattern: str) -> bool:
    return script.group == pattern or fnmatch.fnmatchcase(script.name, pattern)
