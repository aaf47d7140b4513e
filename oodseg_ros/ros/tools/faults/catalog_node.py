"""Faults of load, engine, disk, time, parameters and services."""

from __future__ import annotations

from .pictures import SIZES
from .script import CLEAR, KNOWN, UNKNOWN, VICTIM, WITNESS, Script, act

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
