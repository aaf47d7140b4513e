"""Every requirements file can be installed with every Python of the supported releases; nothing is installed here.

Humble and JetPack 6 have Python 3.10 on Ubuntu 22.04 (glibc 2.35), Jazzy and Kilted 3.12, Lyrical 3.12 to 3.14.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).parent / "uv"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
X86_ONLY = {"ros.txt", "interfaces.txt"}
"""The ROS wheels are made for x86-64 only; an aarch64 machine has ROS from apt."""
SOURCES = "empy==4.2.1 ; python_version < '3'\n"
"""Left out: pure Python without a wheel. Whatever else has no wheel would need a compiler on the vehicle."""
CASES = [
    (file.name, python, machine)
    for file in sorted((ROOT / "requirements").glob("*.txt"))
    for python in PYTHONS
    for machine in ("x86_64", "aarch64")
    if machine == "x86_64" or file.name not in X86_ONLY
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "python", "machine"), CASES, ids=["-".join(case) for case in CASES])
def test_it_resolves_from_wheels(name, python, machine, tmp_path):
    resolve(ROOT / "requirements" / name, python, machine, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", PYTHONS)
def test_torch_of_the_package_resolves(python, machine, tmp_path):
    """tools/setup.sh takes its CPU build, which PyTorch's own index has."""
    (tmp_path / "torch.txt").write_text(re.search(r"torch==[\d.]+", (ROOT / "setup.py").read_text())[0])
    resolve(tmp_path / "torch.txt", python, machine, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_base_resolves_beside_a_distribution_with_numpy_1(python, machine, tmp_path):
    """Humble and Jazzy, JetPack 6: see tools/setup.sh and the Dockerfile."""
    text = re.sub(r"(?m)^numpy==.*$", "numpy>=1.26,<2", (ROOT / "requirements" / "base.txt").read_text())
    text = re.sub(r"(?m)^(opencv-python-headless)==.*$", r"\1", text)
    (tmp_path / "base.txt").write_text(text)
    resolve(tmp_path / "base.txt", python, machine, tmp_path)


def resolve(file: Path, python: str, machine: str, tmp_path: Path) -> None:
    if not UV.is_file():
        pytest.skip("uv is not installed beside this Python")
    (tmp_path / "overrides.txt").write_text(SOURCES)
    command = [
        *(str(UV), "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
        *("--python-version", python, "--python-platform", f"{machine}-manylinux_2_35"),
        *("--only-binary", ":all:", "--override", str(tmp_path / "overrides.txt")),
        str(file),
    ]
    done = subprocess.run(command, text=True, capture_output=True, timeout=600, check=False)
    if done.returncode and "Failed to fetch" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
