"""A process that used OpenVINO survives signals: Ctrl-C after an engine was exchanged must not kill it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SIGNAL = """
import gc, os, signal
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
def check():
    gc.collect()
    os.kill(os.getpid(), signal.SIGUSR1)
"""
ENGINES = """
from oodseg_ros.bundle import load_bundle
from oodseg_ros.inference.engines.openvino import OpenVinoEngine
bundle = load_bundle("road_lite")
first, second = OpenVinoEngine(bundle), OpenVinoEngine(bundle)
for engine in (first, second):
    engine.compile(1, 64, 64)
del engine, first
gc.collect()
del second
check()
"""
FOREIGN_CORES = """
import openvino
from oodseg_ros.inference.engines.openvino import kept_signal_stack, openvino_core
openvino_core()
with kept_signal_stack():
    one, two = openvino.Core(), openvino.Core()
    for core in (one, two):
        core.get_property("CPU", "FULL_DEVICE_NAME")
    del core, one
    gc.collect()
    del two
check()
"""


@pytest.mark.parametrize("script", [ENGINES, FOREIGN_CORES], ids=["engines", "foreign cores"])
def test_signals_after_engines_came_and_went(script: str) -> None:
    run = subprocess.run([sys.executable, "-c", SIGNAL + script], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout) == (0, "handled\n"), run.stderr
