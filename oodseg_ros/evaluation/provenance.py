"""Where figures come from: the command, the versions and the machine that made them."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("oodseg_ros", "numpy", "opencv-python-headless", "torch", "openvino", "nncf", "transformers", "rosbags")


def provenance(**more: str) -> dict[str, str]:
    """Names and values, all text; `more` is put in front."""
    return {
        **more,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "code": code_version(),
        "versions": ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name))),
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {processor()}",
    }


def code_version() -> str:
    """Commit of the checkout, marked where files were changed since; the package's version in an installation."""
    root = Path(__file__).resolve().parents[2]
    commit = _git(root, "rev-parse", "--short=12", "HEAD") if (root / ".git").exists() else ""
    if not commit:
        return f"oodseg_ros {_version('oodseg_ros') or 'of unknown version'}"
    return f"commit {commit}{' with changes' if _git(root, 'status', '--porcelain', '--untracked-files=no') else ''}"


def processor() -> str:
    """Model name of the CPU and the number of its logical cores that this process may use."""
    import os

    name = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name or 'unknown CPU'}, {len(os.sched_getaffinity(0))} cores"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
