from __future__ import annotations

import json
from pathlib import Path

from oodseg_ros.ros.tools.faults.run import markdown, write
from oodseg_ros.ros.tools.faults.script import Outcome

GOOD = Outcome("black", "camera", "a black | picture", True, ["UNKNOWN black", "CLEAR ok"], 0.123, 0.4, 7, 0.2, 0.05)
BAD = Outcome("sigkill", "process", "killed", False, [], None, None, 0, 0.0, 3.0, -9, ["not CLEAR again within 8 s"])


def test_the_table_tells_what_failed_and_says_how_it_was_made() -> None:
    page = markdown([GOOD, BAD], "oodseg faults --out x", "2 cores", 1.0)
    assert "1 of 2 faults were handled" in page
    assert "`oodseg faults --out x` on 2 cores" in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    head = next(line for line in page.splitlines() if line.startswith("| fault"))
    assert {row.count("|") for row in rows} == {head.count("|")}
    assert "UNKNOWN black; CLEAR ok | 0.12 | 0.40 | 7 frames, 0.20 s | 0.05" in rows[0]
    assert "**failed**: not CLEAR again within 8 s, exit -9" in rows[1]


def test_json_holds_everything(tmp_path: Path) -> None:
    write([GOOD, BAD], tmp_path, "c", "m", 2.0, {"version": "1"})
    data = json.loads((tmp_path / "faults.json").read_text())
    assert data["timeout_s"] == 2.0
    assert [fault["passed"] for fault in data["faults"]] == [True, False]
    assert data["faults"][1]["exit"] == -9
    assert (tmp_path / "reliability.md").read_text().startswith("# What the node does")
