"""Everything that needs a GPU, in one command of less than eight minutes, most wanted first: whether the engine that
was built on a machine without a GPU is accepted here; `pytest -m gpu`; eager FP32 against FP16 with a CUDA graph at the
papers' sizes, beside the floor that this very device sets; training in BF16; how many cameras one GPU serves.

    python benchmarks/gpu_carry.py out/gpu         # before, on any machine: out/gpu/0/part, out/gpu/1/part
    python benchmarks/gpu.py [--carried FOLDER] [--device cuda] [--out benchmarks/results/gpu.json] [--seconds 470]

`--carried` names the folder with the parts; without it, what is installed here is used and no engine is brought. Each
measurement runs in a process of its own and may fail without harm: the failure is recorded. What the time does not
reach is recorded as not run. `--dry-run` walks all of it with small networks on a CPU, to see that it works; its
figures mean nothing, and OpenVINO stands in for the engine that cannot run there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # this checkout, on machines where nothing is installed

import gpu_carry  # noqa: E402

MAX_PART_S = 170.0
"""Seconds for one part; a compiler that hangs must not eat the others' time."""
GPU_TESTS = ("test/inference/engines/test_tensorrt.py", "test/inference/engines/test_torch_engine.py")
"""Those with tests of the mark `gpu` (a test holds this list against the mark): the others' imports are not carried."""
CAMERA_RATE = 10.0
"""Images per second of a camera, for the count of cameras."""


def tasks(tiny: bool) -> list[dict[str, Any]]:
    """What is measured, most wanted first."""
    uem, rpl = ("uem_tiny", "rpl_tiny") if tiny else ("uem", "rpl")
    sizes = {"window": [70, 140], "frame": [96, 192]} if tiny else {"window": [518, 1036], "frame": [1024, 2048]}
    brought = {"case": "engine built without a GPU", "part": "engine", "frames": 2 if tiny else 24}
    cases = [
        {"case": "UEM ViT-B, one window", "network": uem, "size": sizes["window"], "windows": False},
        {"case": "RPL WRN38", "network": rpl, "size": sizes["frame"], "windows": False},
        {"case": "UEM ViT-B, 8 windows", "network": uem, "size": sizes["frame"], "windows": not tiny},
    ]
    first = ["eager fp32", "captured bf16"] if tiny else ["eager fp32", "captured fp16"]
    rest = ["compiled bf16", "tensorrt fp16"] if tiny else ["compiled fp16", "tensorrt fp16", "compiled bf16"]
    listed = [brought, {"case": "pytest -m gpu", "part": "tests"}]
    listed += [{**case, "part": "case", "engine": engine} for case in cases[:2] for engine in first]
    step = {"part": "training", "network": uem, "size": sizes["window"], "batch": 2 if tiny else 8, "steps": 8}
    listed += [
        {**step, "case": f"training UEM ViT-B, stage {method}", "method": method, "precision": precision}
        for method in ("uem", "inlier")
        for precision in ("fp32", "bf16")
    ]
    listed += [{**cases[2], "part": "case", "engine": engine} for engine in first]
    cameras = {"case": "cameras", "part": "case", "network": "lite", "windows": False, "engine": first[1]}
    cameras["size"] = [96, 192] if tiny else [1080, 1920]
    listed += [{**cameras, "batch": batch} for batch in ((1, 2) if tiny else (1, 2, 4, 8))]
    return listed + [
        {**case, "part": "case", "engine": engine} for engine in rest for case in (cases[:1] if tiny else cases)
    ]


def bounded(command: list[str], seconds: float) -> tuple[int | None, str, str]:
    """Exit status, None where the time was up, and what was printed to both streams. Whatever the command started ends
    with it: a compiler's worker that outlives it would slow down what is measured next.
    """
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complained:
        # Files, because whoever reads a pipe also waits for every process that holds it open.
        process = subprocess.Popen(
            command, cwd=HERE.parent, stdout=printed, stderr=complained, env=environment(), start_new_session=True
        )
        try:
            status = process.wait(max(1.0, seconds))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for stream in (printed, complained):
            stream.seek(0)
        return status, printed.read().strip(), complained.read().strip()


def run_part(task: dict[str, Any], seconds: float, folder: Path) -> dict[str, Any]:
    """One part in its own process; a failure comes back as `{"failed": last line of what it said}`."""
    out = folder / "part.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "gpu_parts.py"), str(out), json.dumps({**task, "folder": str(folder)})]
    status, printed, complained = bounded(command, seconds)
    if status == 0 and out.is_file():
        return json.loads(out.read_text())
    if status is None:
        return {"failed": f"took longer than {seconds:.0f} s"}
    lines = [line for line in (complained + printed).splitlines() if line.strip()]
    return {"failed": lines[-1][:300] if lines else f"ended with status {status} and no word"}


def environment() -> dict[str, str]:
    """Of the parts: this checkout comes first, then what was carried here (`main` puts it into PYTHONPATH)."""
    return {**os.environ, "PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}"}


def gpu_tests(seconds: float) -> dict[str, Any]:
    """The last line of `pytest -m gpu`."""
    status, printed, complained = bounded([sys.executable, "-m", "pytest", "-m", "gpu", *GPU_TESTS], seconds)
    if status is None:
        return {"failed": f"took longer than {seconds:.0f} s"}
    last = (printed.splitlines() or [complained[-300:]])[-1]
    # 5: no test was selected. Tests that skip themselves say so in the last line.
    return {"tests": last} if status == 0 else {"failed": f"status {status}: {last}"}


def with_floor(row: dict[str, Any], machine: dict[str, Any]) -> dict[str, Any]:
    """Adds what the device could do at best (FLOPs over the measured rate, bytes over the measured bandwidth)."""
    precision = row["engine"].split()[1] if row["part"] == "case" else row.get("precision")
    rate = machine.get("matmul_tflops", {}).get(precision)
    if "failed" in row or not rate:
        return row
    if row["part"] == "training":
        return {**row, "share_of_matmul_rate": row["achieved_tflops"] / rate}
    floor = max(row["tflop"] / rate, row["gigabytes"] / machine["bandwidth_gb_s"]) * 1e3
    share = row["achieved_tflops"] / rate
    return {**row, "floor_ms": floor, "times_floor": row["device_ms"] / floor, "share_of_matmul_rate": share}


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds how many times faster than eager FP32 of the same case."""
    eager = {row["case"]: row["p50_ms"] for row in rows if row.get("engine") == "eager fp32" and "p50_ms" in row}
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


def show(row: dict[str, Any]) -> None:
    """One line per measurement."""
    size = f", {row['size'][1]}x{row['size'][0]}, batch {row.get('batch', 1)}" if "size" in row else ""
    where = f"{row['case']}{size}" + (f", {row.get('engine') or row.get('precision')}" if size else "")
    if "failed" in row:
        print(f"{where}: not measured: {row['failed']}", flush=True)
    elif row["part"] == "case":
        floor = f", {row['times_floor']:.1f}x its floor of {row['floor_ms']:.2f} ms" if "floor_ms" in row else ""
        ratio = f", {row['times_faster_than_eager']:.1f}x eager" if "times_faster_than_eager" in row else ""
        print(
            f"{where}: p50 {row['p50_ms']:.2f} p95 {row['p95_ms']:.2f} p99 {row['p99_ms']:.2f} ms to host memory, "
            f"{row['device_ms']:.2f} ms on the device{floor}{ratio}, max |Δ| {row['max_abs_delta']:.2g}",
            flush=True,
        )
    else:
        told = {key: value for key, value in row.items() if key not in ("case", "part", "size", "batch", "network")}
        print(f"{where}: {told}", flush=True)


def main() -> None:
    """Measure part after part, print, write JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--carried", type=Path, help="folder with the parts that gpu_carry.py made")
    parser.add_argument("--bundle", help="the engine's, if it lies elsewhere than where it was built")
    parser.add_argument("--dry-run", action="store_true", help="small networks on a CPU, to see that everything runs")
    parser.add_argument("--seconds", type=float, default=470.0, help="for everything together")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "gpu.json")
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="oodseg_gpu_") as name:
        folder = Path(name)
        if options.carried is not None:
            site = gpu_carry.unpack(options.carried, folder)
            sys.path.insert(0, str(site))
            os.environ["PYTHONPATH"] = f"{site}:{os.environ.get('PYTHONPATH', '')}"
        measure(options, folder, end)


def measure(options: Any, folder: Path, end: float) -> None:
    """Part after part."""
    import torch

    if not options.dry_run and not (options.device.startswith("cuda") and torch.cuda.is_available()):
        print("no CUDA device: nothing was measured. Run this on a machine with a GPU: python benchmarks/gpu.py")
        return
    from oodseg_ros.evaluation.results import provenance

    common = {"device": "cpu" if options.dry_run else options.device, "tiny": options.dry_run}
    common |= {"folder": str(folder), "carried": str(folder), "bundle": options.bundle}
    if options.dry_run:
        common["backend"] = "eager"  # traces the whole graph; a C++ compiler is no part of what is tried
    report: dict[str, Any] = {"provenance": provenance(), "dry_run": options.dry_run, "rows": []}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    report["machine"] = run_part({**common, "part": "machine"}, MAX_PART_S, folder)
    print(f"machine: {report['machine']}", flush=True)
    rows: list[dict[str, Any]] = []
    for task in tasks(options.dry_run):
        left = end - time.monotonic()
        if left < 5:
            result = {"failed": "not run: the time was up"}
        elif task["part"] == "engine" and options.carried is None:
            result = {"failed": "not run: no engine was brought (--carried)"}
        elif task["part"] == "tests":
            result = gpu_tests(min(MAX_PART_S, left))
        else:
            result = run_part({**common, **task}, min(MAX_PART_S, left), folder)
        row = {key: value for key, value in {**task, **result}.items() if key not in {*common, "frames", "steps"}}
        rows.append(with_floor(row, report["machine"]))
        show(with_ratios(rows)[-1])
        report |= {"rows": with_ratios(rows), "cameras": cameras(rows)}
        options.out.write_text(json.dumps(report, indent=1) + "\n")
    if report["cameras"]:
        print(f"cameras: {report['cameras']}")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
