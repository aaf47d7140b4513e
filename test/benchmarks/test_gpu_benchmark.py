from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    done = run("--out", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    assert "no CUDA device" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_all_of_it_runs_with_small_networks_on_a_cpu(tmp_path: Path) -> None:
    done = run("--tiny", "--device", "cpu", "--seconds", "1200", "--out", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["machine"]["matmul_tflops"]["fp32"] > 0
    failed = {row["engine"].split()[0] for row in report["rows"] if "failed" in row}
    assert failed == ({"tensorrt"} if not torch.cuda.is_available() else set())  # and each is recorded with its reason
    measured = [row for row in report["rows"] if "failed" not in row]
    assert {row["engine"] for row in measured} == {"eager fp32", "eager bf16", "compiled bf16"}
    for row in measured:
        assert row["p50_ms"] > 0
        assert row["tflop"] > 0
        assert row["label_agreement"] > 0.9
        assert (row["max_abs_delta"] == 0) == (row["engine"] == "eager fp32")
    assert report["cameras"]["batch"] in (1, 2)
