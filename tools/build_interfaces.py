"""Generates the message packages under test/interfaces into this Python environment. Called by tools/setup.sh.

vision_msgs is not on PyPI, and tests shall exercise the real thing. The environment's prefix is the ament
prefix, so the packages are installed into it and need no sourcing. A second call ends at once if nothing changed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parents[1]
DEFINITIONS = ROOT / "test" / "interfaces"
PREFIX = Path(sys.prefix)
WORK = PREFIX / "interfaces"
STAMP = WORK / "built"


def main() -> int:
    """Build what changed; exit status 1 with the end of the compiler's output when that fails."""
    wanted = fingerprint()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return 0
    if os.environ.get("AMENT_PREFIX_PATH", str(PREFIX)) != str(PREFIX):
        print("interfaces: a ROS 2 is sourced; its own packages are used")
        return 0
    started = time.monotonic()
    point_to_this_python(PREFIX)
    for folder in sorted(path.parent for path in DEFINITIONS.glob("*/package.xml")):
        error = build(folder)
        if error:
            print(
                f"interfaces: {folder.name} could not be generated (a C++ compiler is needed):\n{error}",
                file=sys.stderr,
            )
            return 1
    STAMP.write_text(wanted)
    print(f"interfaces: generated in {time.monotonic() - started:.0f} s")
    return 0


def fingerprint() -> str:
    """Hash of everything that decides the result: definitions, generator versions, this file, the interpreter."""
    digest = hashlib.sha256(f"{sys.version} {numpy.__version__} {PREFIX}".encode())
    versions = [ROOT / "requirements" / name for name in ("ros.txt", "interfaces.txt")]
    files = [file for file in DEFINITIONS.rglob("*") if file.is_file()]
    for file in [*sorted(files), *versions, Path(__file__)]:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def point_to_this_python(prefix: Path) -> None:
    """The wheels' CMake exports name the include folders of the machine that built them; name ours. Safe to repeat."""
    ours = [
        (re.compile(r"/opt/python/[^;\"]*/numpy/_?core/include"), numpy.get_include()),
        (re.compile(r"/opt/python/[^;\"/]*/include/python[0-9.]+"), sysconfig.get_path("include")),
    ]
    for file in prefix.glob("share/*/cmake/*Export.cmake"):
        text = changed = file.read_text()
        for pattern, folder in ours:
            changed = pattern.sub(lambda _, folder=folder: folder, changed)
        if changed != text:
            file.write_text(changed)


def build(folder: Path) -> str | None:
    """Configure, compile and install one package; None, or the end of the output of the step that failed."""
    build_folder = WORK / folder.name
    # CMake refuses a folder that was configured for another checkout.
    shutil.rmtree(build_folder, ignore_errors=True)
    cmake = str(PREFIX / "bin" / "cmake")
    # Not optimized: a few hundred messages in tests do not need it, and it halves the compile time.
    options = {
        "CMAKE_INSTALL_PREFIX": PREFIX,
        "CMAKE_MAKE_PROGRAM": PREFIX / "bin" / "ninja",
        "Python3_EXECUTABLE": sys.executable,
        "CMAKE_BUILD_TYPE": "None",
        "CMAKE_C_FLAGS": "-O0",
        "CMAKE_CXX_FLAGS": "-O0",
        "BUILD_TESTING": "OFF",
    }
    steps = [
        [cmake, "-G", "Ninja", "-S", str(folder), "-B", str(build_folder), *(f"-D{k}={v}" for k, v in options.items())],
        [cmake, "--build", str(build_folder)],
        [cmake, "--install", str(build_folder)],
    ]
    path = f"{PREFIX / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "AMENT_PREFIX_PATH": str(PREFIX), "CMAKE_PREFIX_PATH": str(PREFIX)}
    for step in steps:
        result = subprocess.run(step, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode:
            return result.stdout[-4000:]
    return None


if __name__ == "__main__":
    sys.exit(main())
