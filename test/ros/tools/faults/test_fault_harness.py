"""The harness against the real node: a fast choice of faults always, all of them among the slow tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from oodseg_ros.paths import share_dir
from oodseg_ros.ros.node import launching
from oodseg_ros.ros.tools.faults.catalog import choose
from oodseg_ros.ros.tools.faults.harness import Harness
from oodseg_ros.ros.tools.faults.run import run_all, run_script
from oodseg_ros.ros.tools.faults.script import Script, act

TIMEOUT = 3.0
"""Of the node: a busy machine is not a silent camera."""
FAST = (
    "zero_size", "jpeg_garbage", "png_bomb", "engine_nan", "engine_too_few", "engine_sees_obstacle", "parameter_storm",
    "parameter_locked", "service_storm", "cleanup_while_active", "record_folder_gone", "disk_full", "stamp_jitters",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _profile() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in launching.dds_profile(os.environ, share_dir()).items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory, _profile: None) -> Iterator[Harness]:
    with Harness(tmp_path_factory.mktemp("faults"), TIMEOUT) as harness:
        yield harness


@pytest.mark.parametrize("script", choose(FAST), ids=lambda script: script.name)
def test_a_fast_choice_of_faults(harness: Harness, script: Script) -> None:
    assert run_script(harness, script).trouble == []


def test_the_harness_notices_what_it_should(harness: Harness) -> None:
    """Scripts that demand what does not happen must fail, or the table would mean nothing."""
    nothing = act("wait", seconds=0.0)
    wrong = (
        Script("unseen", "test", "nothing happens", (nothing,), within=0.5),
        Script("left", "test", "it does not stay", (act("engine", mode="nan", count=2, size="240x320"),),
               states=frozenset({"CLEAR"}), stays=True, hold=1.0),
        Script("both", "test", "the witness is hit", (act("engine", mode="nan", count=9),), hold=0.5),
        Script("accepted", "test", "no refusal", (act("parameters", name="overlay_rate", values=[3.0]),),
               states=frozenset({"CLEAR"}), stays=True, refused=True),
        Script("reason", "test", "another reason", (act("engine", mode="nan", count=4, size="240x320"),),
               reasons=frozenset({"black"}), within=1.0),
    )  # fmt: skip
    troubles = {script.name: " ".join(run_script(harness, script).trouble) for script in wrong}
    assert "not seen within" in troubles["unseen"]
    assert "left CLEAR: UNKNOWN" in troubles["left"]
    assert "the other camera was UNKNOWN" in troubles["both"]
    assert "accepted what it should have refused" in troubles["accepted"]
    assert "not seen within" in troubles["reason"]


@pytest.mark.slow
def test_all_faults(tmp_path: Path) -> None:
    outcomes = run_all(choose(), tmp_path, TIMEOUT)
    assert {outcome.name: outcome.trouble for outcome in outcomes if not outcome.passed} == {}
