"""Bytes of strangers: no crash, no hang, no unbounded memory. Some hundred inputs always, minutes of them when slow."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHILD = Path(__file__).parent / "child.py"
TARGETS = ("compressed", "raw", "yaml", "model", "recipe", "labels", "mcap", "sqlite")


def fuzz(target: str, count: int, seconds: float, seed: int, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(CHILD), target, str(count), str(seconds), str(seed), *more]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 300, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


@pytest.mark.parametrize("target", TARGETS)
def test_a_handful_of_bad_inputs(target: str) -> None:
    result = fuzz(target, 60, 5.0, 3)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["runs"] > 3
    assert told["refused"] > 0, "the inputs are not bad at all"


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_minute_of_bad_inputs(target: str) -> None:
    result = fuzz(target, 10**9, 60.0, 4)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_minute_of_inputs_that_look_for_new_paths(target: str) -> None:
    """Guided by coverage; atheris has wheels for some Pythons only."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    result = fuzz(target, 10**9, 60.0, 5, "--atheris")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


def test_the_child_notices_crashes_hangs_and_hunger(tmp_path: Path) -> None:
    """Otherwise nothing above could fail."""
    bodies = {
        "KeyError": "raise KeyError('oops')",
        "TimeoutError": "import time; time.sleep(30)",
        "MemoryError": "numpy.ones(4_000_000_000, numpy.uint8)",
    }
    for name in ("child.py", "mutations.py"):
        text = (CHILD.parent / name).read_text().replace("PATIENCE = 20", "PATIENCE = 1")
        root = str(CHILD.parents[2])
        (tmp_path / name).write_text(text.replace("str(Path(__file__).parents[2])", repr(root)))
    for error, body in bodies.items():
        (tmp_path / "targets.py").write_text(
            f"import numpy\ndef bad(data):\n    {body}\nTARGETS = {{'bad': bad}}\ndef seeds(name):\n    return [b'x']\n"
        )
        result = subprocess.run(
            [sys.executable, str(tmp_path / "child.py"), "bad", "1", "1", "0"], capture_output=True, text=True
        )
        assert result.returncode != 0
        assert error in result.stderr
        assert "input 78" in result.stdout
