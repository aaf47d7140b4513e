"""Everything that needs a GPU, in one command of less than eight minutes: eager FP32, torch.compile with a CUDA graph,
and TensorRT, at the papers' sizes, beside the floor that this very device sets; and how many cameras one GPU serves.

    python benchmarks/gpu.py [--device cuda] [--out benchmarks/results/gpu.json] [--seconds 470]

Each measurement runs in a process of its own and may fail without harm: the failure is recorded. What the time does not
reach is recorded as not run. torch, transformers and numpy are enough for all but TensorRT. `--tiny --device cpu` walks
the same code with small networks on any machine, to see that it works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # this checkout, on machines where nothing is installed

MAX_PART_S = 170.0
"""Seconds for one part; a compiler that hangs must not eat the others' time."""
CAMERA_RATE = 10.0
"""Images per second of a camera, for the count of cameras."""


def tasks(tiny: bool) -> list[dict[str, Any]]:
    """What is measured, most wanted first."""
    uem, rpl = ("uem_tiny", "rpl_tiny") if tiny else ("uem", "rpl")
    sizes = {"window": [70, 140], "frame": [96, 192]} if tiny else {"window": [518, 1036], "frame": [1024, 2048]}
    cases = [
        {"case": "UEM ViT-B, one window", "network": uem, "size": sizes["window"], "windows": False},
        {"case": "RPL WRN38", "network": rpl, "size": sizes["frame"], "windows": False},
        {"case": "UEM ViT-B, 8 windows", "network": uem, "size": sizes["frame"], "windows": not tiny},
    ]
    precise = ["eager fp32", "compiled bf16"] if tiny else ["eager fp32", "compiled fp16", "tensorrt fp16"]
    rest = ["eager bf16", "tensorrt fp16"] if tiny else ["tensorrt_rtx fp16", "compiled bf16", "captured fp16"]
    listed = [{**case, "engine": engine} for engine in precise for case in cases]
    batches = (1, 2) if tiny else (1, 2, 4, 8)
    cameras = {"case": "cameras", "network": "lite", "size": [96, 192] if tiny else [1080, 1920], "windows": False}
    how = "eager bf16" if tiny else "captured fp16"
    listed += [{**cameras, "engine": how, "batch": batch} for batch in batches]
    return listed + [{**case, "engine": engine} for engine in rest for case in cases]


def run_part(task: dict[str, Any], seconds: float, folder: Path) -> dict[str, Any]:
    """One part in its own process; a failure comes back as `{"failed": last line of what it said}`."""
    out = folder / "part.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "gpu_parts.py"), str(out), json.dumps({**task, "folder": str(folder)})]
    try:
        done = subprocess.run(
            command, cwd=HERE.parent, capture_output=True, text=True, timeout=max(1.0, seconds), check=False,
            env=environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"took longer than {seconds:.0f} s"}
    if done.returncode == 0 and out.is_file():
        return json.loads(out.read_text())
    lines = [line for line in (done.stderr + done.stdout).strip().splitlines() if line.strip()]
    return {"failed": lines[-1][:300] if lines else f"ended with status {done.returncode} and no word"}


def environment() -> dict[str, str]:
    """Of the parts: this checkout comes first."""
    import os

    return {**os.environ, "PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}"}


def gpu_tests(seconds: float) -> str:
    """The last line of `pytest -m gpu`, with what time is left."""
    if seconds < 20:
        return "not run: the time was up"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "test/inference"]
    try:
        done = subprocess.run(
            command, cwd=HERE.parent, capture_output=True, text=True, timeout=seconds, check=False, env=environment()
        )
    except subprocess.TimeoutExpired:
        return f"took longer than {seconds:.0f} s"
    return (done.stdout.strip().splitlines() or [done.stderr[-200:]])[-1]


def with_floor(row: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """Adds what the device could do at best (FLOPs over the measured rate, bytes over the measured bandwidth)."""
    rate = machine.get("matmul_tflops", {}).get(row["engine"].split()[1])
    if "failed" in row or not rate:
        return row
    floor = max(row["tflop"] / rate, row["gigabytes"] / machine["bandwidth_gb_s"]) * 1e3
    share = row["achieved_tflops"] / rate
    return {**row, "floor_ms": floor, "times_floor": row["device_ms"] / floor, "share_of_matmul_rate": share}


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds how many times faster than eager FP32 of the same case."""
    eager = {row["case"]: row["p50_ms"] for row in rows if row["engine"] == "eager fp32" and "p50_ms" in row}
    return [
        {**row, "times_faster_than_eager": eager[row["case"]] / row["p50_ms"]}
        if "p50_ms" in row and row["case"] in eager
        else row
        for row in rows
    ]


def cameras(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How many cameras one GPU serves by the network alone, from the best batch."""
    measured = [row for row in rows if row["case"] == "cameras" and "p50_ms" in row]
    if not measured:
        return None
    best = max(measured, key=lambda row: row["images_per_second"])
    count = int(best["images_per_second"] / CAMERA_RATE)
    return {"rate": CAMERA_RATE, "cameras": count, "batch": best["batch"], "batch_p99_ms": best["p99_ms"]}


def show(rows: list[dict[str, Any]]) -> None:
    """One line per measurement."""
    for row in rows:
        where = f"{row['case']}, {row['size'][1]}x{row['size'][0]}, batch {row.get('batch', 1)}, {row['engine']}"
        if "failed" in row:
            print(f"{where}: not measured: {row['failed']}")
            continue
        floor = f", {row['times_floor']:.1f}x its floor of {row['floor_ms']:.2f} ms" if "floor_ms" in row else ""
        ratio = f", {row['times_faster_than_eager']:.1f}x eager" if "times_faster_than_eager" in row else ""
        print(
            f"{where}: p50 {row['p50_ms']:.2f} p95 {row['p95_ms']:.2f} p99 {row['p99_ms']:.2f} ms to host memory, "
            f"{row['device_ms']:.2f} ms on the device{floor}{ratio}, max |Δ| {row['max_abs_delta']:.2g}"
        )


def main() -> None:
    """Measure part after part, print, write JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks, to see that everything runs")
    parser.add_argument("--seconds", type=float, default=470.0, help="for everything together")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gpu.json")
    options = parser.parse_args()
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: nothing was measured. Run this on a machine with a GPU: python benchmarks/gpu.py")
        return
    if not options.tiny and not options.device.startswith("cuda"):
        parser.error("at the papers' sizes this is for CUDA devices; on a CPU use --tiny")
    from oodseg_ros.evaluation.results import provenance

    end = time.monotonic() + options.seconds
    common = {"device": options.device, "tiny": options.tiny}
    if options.tiny:
        common["backend"] = "eager"  # traces the whole graph; a C++ compiler is no part of what is tried
    report: dict[str, Any] = {"provenance": provenance(), "tiny": options.tiny, "rows": []}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="oodseg_gpu_") as folder:
        report["machine"] = run_part({**common, "part": "machine"}, MAX_PART_S, Path(folder))
        print(f"machine: {report['machine']}", flush=True)
        rows: list[dict[str, Any]] = []
        for task in tasks(options.tiny):
            left = end - time.monotonic()
            result = {"failed": "not run: the time was up"}
            if left > 5:
                result = run_part({**common, **task, "part": "case"}, min(MAX_PART_S, left), Path(folder))
            row = {key: value for key, value in {**task, **result}.items() if key not in ("folder", "tiny", "backend")}
            rows.append(with_floor(row, report["machine"]))
            show(with_ratios(rows)[-1:])
            report |= {"rows": with_ratios(rows), "cameras": cameras(rows)}
            options.out.write_text(json.dumps(report, indent=1) + "\n")
    if not options.tiny:
        report["tests"] = gpu_tests(max(0.0, end - time.monotonic()))
        options.out.write_text(json.dumps(report, indent=1) + "\n")
        print(f"pytest -m gpu: {report['tests']}")
    if report["cameras"]:
        print(f"cameras: {report['cameras']}")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
