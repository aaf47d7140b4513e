"""The soak tells a good run from a bad one; ten minutes of it among the slow tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    spec = importlib.util.spec_from_file_location("soak_figures", FILE.with_name("soak_figures.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Heard:
    """What a consumer heard in twenty seconds with two cameras."""

    def __init__(self, sequences: list[int]) -> None:
        self.sequences = sequences
        self.times = [0.1 * index for index in range(len(sequences))]
        self.states = {"CLEAR ok": 400}
        ages = {"age_p50_s": "0.01", "age_p99_s": "0.05", "age_max_s": "0.2"}
        self.accounts = {name: dict(ages) for name in ("a", "b")}


def figures(soak: ModuleType, sequences: list[int], memory: Any = None, **counts: int) -> dict[str, Any]:
    good = {"received": 990, "answered": 900, "lost_in_transport": 10, "dropped_overwritten": 90}
    samples = memory or [(float(second), 200.0) for second in range(40)]
    return soak.figures(Heard(sequences), ["a", "b"], 1000, good | counts, samples, 20.0)


def test_a_good_run_has_no_trouble_and_a_row(soak: ModuleType) -> None:
    run = figures(soak, list(range(5, 205)))
    assert run["trouble"] == []
    assert run["dropped"] == {"overwritten": 90}
    assert run["heartbeats"] == 200
    row = soak.table([run]).splitlines()[-1]
    assert "| 2 | 20 | 1000 | 990 | 900 | 10 | 90 overwritten | 0 | 10/50/200 | 200 (0) |" in row


@pytest.mark.parametrize(
    ("counts", "trouble"),
    [
        ({"lost_in_transport": 9}, "sent are not accounted for"),
        ({"lost_in_transport": 11}, "sent are not accounted for"),
        ({"answered": 899}, "received are not accounted for"),
        ({"answered": 0, "dropped_overwritten": 990}, "nothing was answered"),
    ],
)
def test_one_frame_too_few_or_too_many_is_noticed(soak: ModuleType, counts: dict[str, int], trouble: str) -> None:
    (said,) = figures(soak, list(range(200)), **counts)["trouble"]
    assert trouble in said


def test_a_lost_heartbeat_is_noticed(soak: ModuleType) -> None:
    run = figures(soak, [*range(100), *range(102, 200)])
    assert run["heartbeats_lost"] == 2
    assert run["trouble"] == ["heartbeats were lost"]


def test_a_leak_is_noticed_and_breathing_is_not(soak: ModuleType) -> None:
    leak = [(float(second), 200.0 + 0.5 * second) for second in range(40)]
    assert figures(soak, list(range(200)), leak)["trouble"] == ["memory grows"]
    breath = [(float(second), 200.0 + 3.0 * (second % 3)) for second in range(40)]
    assert figures(soak, list(range(200)), breath)["trouble"] == []


@pytest.mark.slow
def test_ten_minutes(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    command = [sys.executable, str(FILE), "--minutes", "10", "--out", str(tmp_path / "soak.json")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stdout + result.stderr
