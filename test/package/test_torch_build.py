"""Which torch `make setup` installs, from what a machine says of itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "torch_build.sh"
SMI = "| NVIDIA-SMI 580.65.06    Driver Version: 580.65.06    CUDA Version: {}     |"


def run(folder: Path, choice: str, cuda: str = "", release: str = "") -> subprocess.CompletedProcess:
    smi, tegra = folder / "nvidia-smi", folder / "nv_tegra_release"
    if cuda:
        smi.write_text(f"#!/bin/sh\necho '{SMI.format(cuda)}'\n")
        smi.chmod(0o755)
    if release:
        tegra.write_text(release)
    environment = {**os.environ, "NVIDIA_SMI": str(smi), "TEGRA_RELEASE": str(tegra)}
    return subprocess.run([SCRIPT, choice], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("choice", "cuda", "release", "requirement", "index"),
    [
        ("auto", "", "", "torch==2.13.0+cpu", "/cpu"),
        ("auto", "13.0", "", "torch==2.13.0", "/cu130"),
        ("auto", "12.8", "", "torch==2.13.0", "/cu126"),
        ("cpu", "13.0", "", "torch==2.13.0+cpu", "/cpu"),
        ("auto", "", "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic", "torch", "jp6/cu126"),
        ("auto", "13.0", "# R38 (release), REVISION: 2.0, GCID: 41844464", "torch==2.13.0", "/cu130"),
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
