from __future__ import annotations

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.pipeline import reasons
from oodseg_ros.ros.tools.faults.catalog import ALL, choose
from oodseg_ros.ros.tools.faults.messages import PICTURES
from oodseg_ros.ros.tools.faults.node import GOOD, MODES
from oodseg_ros.ros.tools.faults.script import KNOWN, SILENCE, VICTIM, WITNESS


def test_there_are_enough_faults_and_no_name_is_used_twice() -> None:
    assert len(ALL) >= 40
    assert len({script.name for script in ALL}) == len(ALL)
    groups = {script.group for script in ALL}
    assert groups == {
        "camera", "message", "engine", "load", "recorder", "parameters", "services", "time", "process",
    }  # fmt: skip


@pytest.mark.parametrize("script", ALL, ids=lambda script: script.name)
def test_every_fault_demands_something_that_can_be_seen(script: object) -> None:
    assert script.begin
    assert script.states <= KNOWN | {SILENCE}
    assert script.reasons <= set(reasons.SENTENCES), "a reason that no alert can carry"
    # A script that all states satisfy must demand something else.
    assert script.states != KNOWN or script.stays or script.reasons
    assert script.victim in (VICTIM, WITNESS)
    assert script.node == "own" or script.exit is None
    for act in (*script.begin, *script.end):
        if act.kind == "camera":
            assert act.options.get("picture", "good") in PICTURES
        if act.kind == "engine" and not act.options["mode"].startswith("load_"):
            assert act.options["mode"].partition(":")[0] in {GOOD, *MODES}


def test_choosing_by_name_group_and_wildcard() -> None:
    assert [script.name for script in choose(["engine_nan", "sigkill"])] == ["engine_nan", "sigkill"]
    assert {script.group for script in choose(["time"])} == {"time"}
    assert all(script.name.startswith("stamp_") for script in choose(["stamp_*"]))
    assert choose() == ALL
    with pytest.raises(ConfigError, match="no fault is called 'flood'; groups: camera, message"):
        choose(["flood"])
