"""Faults after which the process ends, or is another one."""

from __future__ import annotations

from .script import SILENCE, Script, act

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
