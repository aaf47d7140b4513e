from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"


def run(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)


@pytest.fixture
def carry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_carry

    return gpu_carry


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path: Path) -> None:
    done = run("--out", str(tmp_path / "gpu.json"))
    assert done.returncode == 0, done.stderr
    assert "no CUDA device" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_part_ends_with_all_that_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A compiler's worker that holds the output open and outlives its part: neither is waited for."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    pid = tmp_path / "pid"
    start = time.monotonic()
    status, printed, _ = gpu.bounded(["sh", "-c", f"sleep 300 & echo $! >{pid}; echo done"], 60)
    assert (status, printed) == (0, "done")
    ended(int(pid.read_text()))
    status, printed, complained = gpu.bounded(
        ["sh", "-c", f"sleep 300 & echo $! >{pid}; echo begun; echo no >&2; wait"], 1
    )
    assert (status, printed, complained) == (None, "begun", "no")
    ended(int(pid.read_text()))
    assert time.monotonic() - start < 60


def ended(pid: int) -> None:
    """The process is gone, or dead and not yet collected by whoever adopted it."""
    for _ in range(100):
        status = Path(f"/proc/{pid}/status")
        if not status.is_file() or "State:\tZ" in status.read_text():
            return
        time.sleep(0.1)
    raise AssertionError(f"{pid} still runs")


def test_the_list_of_gpu_tests_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu

    marked = [
        file for file in (ROOT / "test").rglob("test_*.py") if re.search(r"^@pytest\.mark\.gpu", file.read_text(), re.M)
    ]
    assert sorted(gpu.GPU_TESTS) == sorted(str(file.relative_to(ROOT)) for file in marked)


def test_what_is_packed_is_cut_and_put_together_again(carry, tmp_path: Path) -> None:
    content, folder, place = tmp_path / "content", tmp_path / "folder", tmp_path / "place"
    (content / "site").mkdir(parents=True)
    place.mkdir()
    data = bytes(torch.randint(0, 256, (5000,), dtype=torch.uint8).tolist())
    (content / "site" / "library.so").write_bytes(data)
    parts = carry.pack(folder, content, 1000)
    assert len(parts) >= 6
    sizes = [part.stat().st_size for part in parts]
    assert max(sizes) <= 1000 < sum(sizes) / (len(sizes) - 1)  # one part fewer would not do
    assert max(sizes) - min(sizes) < len(parts)
    site = carry.unpack(folder, place)
    assert site == place / "site"
    assert (site / "library.so").read_bytes() == data
    parts[-1].unlink()
    with pytest.raises(SystemExit, match="a part is missing or damaged"):
        carry.unpack(folder, place)
    parts[1].unlink()
    with pytest.raises(SystemExit, match=r"holds \['0/part', '2/part', .*not 0/part, 1/part"):
        carry.unpack(folder, place)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("tensorrt_rtx_bindings") is None, reason="TensorRT-RTX is not installed")
def test_all_of_it_runs_with_small_networks_on_a_cpu(carry, tiny_bundle: Path, tmp_path: Path) -> None:
    """The engine is built without a target, packed, carried, unpacked; it is asked for its validity, and OpenVINO goes
    through the acceptance in its place.
    """
    content = tmp_path / "content"
    (content / "site" / "carried_package").mkdir(parents=True)
    carry.build_engine(str(tiny_bundle), (64, 128), content)
    carry.pack(tmp_path / "carried", content, 1_000_000)
    arguments = ["--dry-run", "--carried", str(tmp_path / "carried"), "--out", str(tmp_path / "gpu.json")]
    done = run(*arguments, "--seconds", "1200", seconds=1260)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["machine"]["matmul_tflops"]["fp32"] > 0
    brought, tests, *rows = report["rows"]
    assert brought["part"] == "engine"
    assert brought["brought"]["tensors"]["images"] == "UINT8 1x64x128x3"
    if not torch.cuda.is_available():
        assert brought["validity"] == "INVALID"
        assert brought["reasons"]
    assert "failed" not in brought, brought
    assert brought["accepted"]
    assert brought["acceptance"].startswith("accepted on 2 frames")
    assert set(brought["golden_inputs"]) == {"as it is", "dark", "bright", "noise"}
    assert brought["p50_ms"] > 0
    assert "skipped" in tests["tests"] or "passed" in tests["tests"]
    failed = {row["engine"].split()[0] for row in rows if "failed" in row}
    assert failed == ({"tensorrt"} if not torch.cuda.is_available() else set())  # and each is recorded with its reason
    steps = [row for row in rows if row["part"] == "training"]
    assert {(row["method"], row["precision"]) for row in steps} == {
        (method, precision) for method in ("uem", "inlier") for precision in ("fp32", "bf16")
    }
    assert all(row["images_per_second"] > 0 and row["tflop"] > 0 for row in steps)
    measured = [row for row in rows if row["part"] == "case" and "failed" not in row]
    assert {row["engine"] for row in measured} == {"eager fp32", "captured bf16", "compiled bf16"}
    for row in measured:
        assert row["p50_ms"] > 0
        assert row["tflop"] > 0
        assert row["label_agreement"] > 0.9
        assert (row["max_abs_delta"] == 0) == (row["engine"] == "eager fp32")
    assert report["cameras"]["batch"] in (1, 2)
