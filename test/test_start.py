"""Ctrl-C while a process still imports: silence and status 130.

Freed image memory stays in the process where glibc rules; weights that were read do not.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from oodseg_ros.process import drop_mapped

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


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="/proc")
def test_mapped_files_leave_memory_and_can_be_read_again(tmp_path: Path) -> None:
    mapped = {}
    for name in ("weights.bin", "other.dat"):
        (tmp_path / name).write_bytes(b"w" * (1 << 20))
        with (tmp_path / name).open("rb") as stream:
            mapped[name] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        assert set(mapped[name][:]) == set(b"w")

    def resident(name: str) -> int:
        after = Path("/proc/self/smaps").read_text().partition(f"{tmp_path / name}\n")[2]
        return int(re.search(r"Rss: +(\d+)", after)[1])

    drop_mapped(".bin")
    assert (resident("weights.bin"), resident("other.dat")) == (0, 1024)
    assert set(mapped["weights.bin"][:]) == set(b"w")


def test_what_a_private_mapping_holds_stays(tmp_path: Path) -> None:
    """As in an executable called `.bin`, whose tables are written and then protected."""
    (tmp_path / "tool.bin").write_bytes(b"f" * mmap.PAGESIZE)
    with (tmp_path / "tool.bin").open("rb") as file:
        table = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    table[:] = b"t" * mmap.PAGESIZE
    address = ctypes.addressof(ctypes.c_char.from_buffer(table))
    protect = ctypes.CDLL(None).mprotect
    assert protect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ) == 0
    drop_mapped(".bin")
    assert set(table[:]) == set(b"t")
