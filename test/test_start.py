"""Ctrl-C while a process still imports: silence and status 130.

Freed image memory stays in the process where glibc rules.
"""

from __future__ import annotations

import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = re.findall(r'"(\w+) = ([\w.]+):(\w+)"', (ROOT / "setup.py").read_text())
WITH_MAIN = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "oodseg_ros" / "ros").glob("*.py"))
    if "import rclpy\n" in path.read_text() and "__main__" in path.read_text()
]
COMMANDS = {
    **{name: ["-c", f"from {module} import {call}; {call}()", "info"] for name, module, call in SCRIPTS},
    **{module: ["-m", module] for module in WITH_MAIN},
}


def test_there_is_something_to_interrupt() -> None:
    assert {"oodseg", "perception", "oodseg_ros.ros.perception", "oodseg_ros.ros.play_bag"} <= set(COMMANDS)


@pytest.mark.parametrize("ignored", [False, True], ids=["heard", "ignored"])
@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupt_during_imports_is_quiet(name: str, ignored: bool) -> None:
    imported = "typer" if name == "oodseg" else "numpy"
    if imported == "numpy":
        pytest.importorskip("rclpy")
    # -v tells each import, so that the signal comes in the midst of them. The disposition is that of a terminal.
    handler = signal.SIG_IGN if ignored else signal.SIG_DFL
    process = subprocess.Popen(
        [sys.executable, "-v", *COMMANDS[name]],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler),
    )
    try:
        for line in process.stderr:
            if line.startswith(f"import '{imported}."):
                break
        process.send_signal(signal.SIGINT)
        if ignored:
            # It goes on, since whoever started it wants it so.
            assert any(line.startswith("import 'oodseg_ros.") for line in process.stderr)
            return
        said = process.stderr.read()
        assert process.wait(60) == 130
        assert "Traceback" not in said
        assert "KeyboardInterrupt" not in said
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


CHECK = """
import resource, numpy as np
from oodseg_ros.process import keep_freed_memory
assert keep_freed_memory()
def faults():
    for _ in range(20):
        several = [np.ones(8_000_000, np.uint8) for _ in range(4)]
        del several
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt of glibc")
def test_images_are_allocated_without_new_pages() -> None:
    # In a process of its own: the setting is for a process's life.
    result = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    # Without it the 80 arrays map some 40000 pages anew.
    assert int(result.stdout) < 2000
