"""Which torch `make setup` installs, from what a machine says of itself, and what it does where that cannot work."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "torch_build.sh"
SMI = "| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06    CUDA Version: {}     |"
SMI_610 = "| NVIDIA-SMI 610.43.02              KMD Version: 610.43.02     CUDA UMD Version: {}     |"
JETPACK_6 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic"
PYTHON = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
    *"import numpy"*) echo "$NUMPY" ;;
    *"device=\\"cuda\\""*)
        echo "RuntimeError: CUDA error: no kernel image is available for execution on the device" >&2
        exit 1 ;;
    *--index-url*) exit "$INDEX_FAILS" ;;
    "- "*) exit 1 ;;  # torch is not there yet
esac
"""


def machine(folder: Path, smi_says: str = "", release: str = "", kernel: str = "6.8.0-79-generic") -> dict[str, str]:
    """The environment that makes this machine look like another one."""
    smi, tegra = folder / "nvidia-smi", folder / "nv_tegra_release"
    if smi_says:
        smi.write_text(f"#!/bin/sh\necho '{smi_says}'\n")
        smi.chmod(0o755)
    if release:
        tegra.write_text(release)
    return {**os.environ, "NVIDIA_SMI": str(smi), "TEGRA_RELEASE": str(tegra), "KERNEL": kernel}


def run(folder: Path, choice: str, cuda: str = "", release: str = "") -> subprocess.CompletedProcess:
    environment = machine(folder, SMI.format(cuda) if cuda else "", release)
    return subprocess.run([SCRIPT, choice], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("choice", "cuda", "release", "requirement", "index"),
    [
        ("auto", "", "", "torch==2.13.0+cpu", "/cpu"),
        ("auto", "13.0", "", "torch==2.13.0", "/cu130"),
        ("auto", "12.8", "", "torch==2.13.0", "/cu126"),
        ("cpu", "13.0", "", "torch==2.13.0+cpu", "/cpu"),
        ("auto", "", JETPACK_6, "torch==2.8.0", "jp6/cu126"),
        ("auto", "13.0", "# R38 (release), REVISION: 4.0, GCID: 43443517", "torch==2.13.0", "/cu130"),
        ("auto", "13.2", "# R39 (release), REVISION: 2.0, GCID: 45750727", "torch==2.13.0", "/cu132"),
        ("installed", "", "", "", ""),
    ],
)
def test_the_build_follows_the_machine_or_what_was_asked_for(
    tmp_path: Path, choice: str, cuda: str, release: str, requirement: str, index: str
) -> None:
    done = run(tmp_path, choice, cuda, release)
    assert done.returncode == 0, done.stderr
    found, where, reason = done.stdout.strip().split("|")
    assert found == requirement
    assert where.endswith(index)
    assert reason


@pytest.mark.parametrize(
    ("choice", "cuda", "release", "sentence"),
    [
        ("cuda", "", "", "finds no driver"),
        ("auto", "11.4", "", "needs 12.6 or 13"),
        ("auto", "", "# R35 (release), REVISION: 4.1", "names L4T '35'"),
        ("gpu", "", "", "is not one of auto, cpu, cuda, installed"),
    ],
)
def test_what_would_not_work_is_said_with_what_to_do(
    tmp_path: Path, choice: str, cuda: str, release: str, sentence: str
) -> None:
    done = run(tmp_path, choice, cuda, release)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_drivers_from_610_on_call_it_otherwise(tmp_path: Path) -> None:
    environment = machine(tmp_path, SMI_610.format("13.3"))
    done = subprocess.run([SCRIPT, "auto"], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("torch==2.13.0|https://download.pytorch.org/whl/cu130|"), done.stderr


@pytest.mark.parametrize("choice", ["auto", "cuda"])
def test_a_container_on_a_jetson_is_told_what_to_mount(tmp_path: Path, choice: str) -> None:
    """It sees the kernel of its host, and not the release file: PyTorch's builds for servers would be taken."""
    environment = machine(tmp_path, SMI.format("12.6"), kernel="5.15.148-tegra")
    done = subprocess.run([SCRIPT, choice], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nv_tegra_release:ro" in done.stderr


def setup(folder: Path, architecture: str, environment: dict[str, str], **facts: str) -> tuple[str, list[str]]:
    """tools/setup.sh with a Python that only writes down how it was called: what it printed, those calls."""
    tools = folder / "bin"
    tools.mkdir()
    for path, text in ((tools / "uname", f"#!/bin/sh\necho {architecture}\n"), (folder / "venv/bin/python", PYTHON)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    environment |= {"PATH": f"{tools}:{os.environ['PATH']}", "VENV": str(folder / "venv"), "PYTHON": "python3"}
    environment |= {"CALLS": str(folder / "calls"), "NUMPY": "2", "INDEX_FAILS": "0", "ROS_DISTRO": "", **facts}
    done = subprocess.run(
        ["sh", "tools/setup.sh"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return f"{done.returncode}: {done.stdout}{done.stderr}", (folder / "calls").read_text().splitlines()


def test_a_jetson_without_ros_gets_what_it_can_have(tmp_path: Path) -> None:
    """There are no ROS wheels for it, and torch for JetPack 6 was built with numpy 1."""
    said, calls = setup(tmp_path, "aarch64", machine(tmp_path, release=JETPACK_6))
    assert said.startswith("0: ")
    assert "no ROS 2 is sourced" in said
    assert not [call for call in calls if "requirements/ros.txt" in call or "requirements/tensorrt_rtx.txt" in call]
    (base,) = [call for call in calls if "requirements/train.txt" in call]
    assert "base-numpy1.txt" in base
    assert "numpy>=1.26,<2" in (tmp_path / "venv" / "base-numpy1.txt").read_text()


def test_an_index_that_cannot_be_reached_ends_the_setup(tmp_path: Path) -> None:
    """Else what comes next would bring another index's torch."""
    said, calls = setup(tmp_path, "aarch64", machine(tmp_path, release=JETPACK_6), INDEX_FAILS="1")
    assert said.startswith("1: ")
    assert not [call for call in calls if "requirements/" in call]


def test_a_torch_without_code_for_the_device_is_said_last(tmp_path: Path) -> None:
    """`torch.cuda.is_available()` is True there all the same."""
    said, calls = setup(tmp_path, "x86_64", machine(tmp_path, SMI.format("13.0")))
    assert said.startswith("0: ")
    assert "no kernel image is available" in said.splitlines()[-1]
    assert "docs/install.md" in said.splitlines()[-1]
    assert [call for call in calls if "requirements/ros.txt" in call]
