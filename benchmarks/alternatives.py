"""What a user would take instead of this package, in one run: time, CPU, memory and answers on the same pictures.

    python benchmarks/alternatives.py [--bundle road_lite] [--size 1920x1080] [--venvs FOLDER] [--runs 12]

Every way is a process of its own with only its library in it, on all cores; they take turns. All but model_api run
the same exported graph, uint8 pictures of the camera's size to labels and score of that size, in FP32 (OpenVINO decides
that itself; the table says in what). Two ways need packages that are none of this project's: onnxruntime-openvino,
which cannot live beside onnxruntime, and openvino-model-api. `--venvs FOLDER` makes an environment for each there, by
pip; without it they are recorded as not run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import inference_floor
import numpy as np
from alternatives_process import WAYS
from inference_against import ROOT, EngineProcess

from oodseg_ros.building.onnx_export import export_bundle
from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.evaluation.results import provenance
from oodseg_ros.inference.sizes import network_size, parse_size
from oodseg_ros.scenes import scene

PACKAGES = {"onnxruntime_openvino": "onnxruntime-openvino==1.24.1", "model_api": "openvino-model-api==0.4.7"}
REFERENCE = "torch_eager"
PICTURES, ROUNDS = 4, 3
MAX_SECONDS = 8.0
"""Per way: slow ones get fewer runs."""


def environments(folder: Path | None) -> dict[str, str]:
    """Way → Python that has its package, made where it is missing; ways without one are absent."""
    found = {}
    for way, package in PACKAGES.items():
        if folder is None:
            continue
        python = folder / way / "bin" / "python"
        if not python.is_file():
            subprocess.run([sys.executable, "-m", "venv", str(folder / way)], check=True)
            command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", package]
            if subprocess.run(command, check=False).returncode:
                print(f"{way}: pip could not install {package}")
                continue
        found[way] = str(python)
    return found


def logits_graph(bundle: Bundle, size: tuple[int, int], file: Path) -> None:
    """What model_api takes: normalised float32 `[1, 3, H, W]` at the network's size to logits, as OpenVINO's `.xml`."""
    import openvino
    import torch

    segmentor = bundle.segmentor()
    network = network_size(*size, bundle.card.input)
    segmentor.prepare(*network)

    class Logits(torch.nn.Module):
        """The class maps alone."""

        def __init__(self) -> None:
            super().__init__()
            self.segmentor = segmentor

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.segmentor(x).logits

    example = torch.zeros(1, 3, *network)
    with torch.no_grad():
        model = openvino.convert_model(torch.export.export(Logits().eval(), (example,)))
    model.reshape([1, 3, *network])
    openvino.save_model(model, file, compress_to_fp16=False)


def started(way: str, task: dict[str, Any], python: str, patience: float, folder: Path) -> EngineProcess | str:
    """The process of one way, or why there is none."""
    try:
        return EngineProcess(ROOT, folder, {**task, "way": way}, "alternatives_process.py", python, patience)
    except RuntimeError as error:
        return str(error)


def measured(running: dict[str, EngineProcess], runs: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Times taken in turns, memory and answers of every way."""
    once = {way: engine.ask(runs=2)["seconds"][1] for way, engine in running.items()}
    rows: dict[str, dict[str, Any]] = {way: {"seconds": [], "cpu": []} for way in running}
    for _ in range(ROUNDS):
        for way, engine in running.items():
            count = int(np.clip(MAX_SECONDS / ROUNDS / once[way], 2, max(2, runs // ROUNDS)))
            found = engine.ask(runs=count + 1)
            rows[way]["seconds"] += found["seconds"][1:]  # the first after a pause finds cold caches
            rows[way]["cpu"].append(found["cpu_seconds"])
    for way, engine in running.items():
        engine.ask(keep=str(folder / f"{way}.npz"))
        seconds = rows[way].pop("seconds")
        rows[way] = {
            "identity": engine.started["identity"],
            **{f"p{q}_ms": float(np.percentile(seconds, q)) * 1e3 for q in (50, 95)},
            "runs": len(seconds),
            "cpu_ms": float(np.median(rows[way]["cpu"])) * 1e3,
            "start_seconds": engine.started["start_seconds"],
            **engine.ask(memory=True),
        }
    return rows


def answers(rows: dict[str, dict[str, Any]], folder: Path) -> None:
    """Adds how each way's answers differ from eager torch's."""
    wanted = np.load(folder / f"{REFERENCE}.npz")
    for way, row in rows.items():
        found = np.load(folder / f"{way}.npz")
        row["label_agreement"] = float((found["labels"] == wanted["labels"]).mean())
        same = found["scores"].shape == wanted["scores"].shape
        row["max_abs_delta"] = float(np.abs(found["scores"] - wanted["scores"]).max()) if same else None


def main() -> None:
    """Prepare, measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="road_lite")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--venvs", type=Path)
    parser.add_argument("--way", action="append", choices=list(WAYS), help="again for more; default: all")
    parser.add_argument("--runs", type=int, default=12, help="per way at most; slow ones do fewer")
    parser.add_argument("--patience", type=float, default=120.0, help="seconds for a way's start, compiling included")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "alternatives.json")
    options = parser.parse_args()
    size, ways = parse_size(options.size), dict.fromkeys((REFERENCE, *(options.way or WAYS)))
    pythons = environments(options.venvs)
    report: dict[str, Any] = {"provenance": provenance(), "bundle": options.bundle, "size": options.size}
    report |= {"load_at_start": os.getloadavg()[0], "machine": inference_floor.machine(half=False)}
    bundle = load_bundle(options.bundle)
    report["floor"] = inference_floor.floors(bundle, size, 1, half=False)["fp32"]
    with tempfile.TemporaryDirectory(prefix="oodseg_alternatives_") as name:
        folder = Path(name)
        np.savez(folder / "images.npz", images=[scene(9000 + index, size).image for index in range(PICTURES)])
        spec = bundle.card.input
        task = {"bundle": str(bundle.path), "size": size, "images": str(folder / "images.npz")}
        task |= {"model": str(folder / "model.onnx"), "logits": str(folder / "logits.xml")}
        task |= {"mean": [255 * value for value in spec.mean], "scale": [255 * value for value in spec.std]}
        export_bundle(bundle, *size, 1, folder / "model.onnx", "fp32", None)
        if "model_api" in pythons:
            logits_graph(bundle, size, folder / "logits.xml")
        running: dict[str, EngineProcess] = {}
        missing: dict[str, str] = {}
        for way in ways:
            if way in PACKAGES and way not in pythons:
                missing[way] = f"needs {PACKAGES[way]}: --venvs FOLDER"
                continue
            python = pythons.get(way, sys.executable)
            if way == "ours":  # a vehicle's start finds the converted graph
                first = started(way, task, python, options.patience, folder)
                isinstance(first, EngineProcess) and first.close()
            one = started(way, task, python, options.patience, folder)
            print(f"{way}: {one if isinstance(one, str) else one.started}", flush=True)
            if isinstance(one, str):
                missing[way] = one
            else:
                running[way] = one
        try:
            rows = measured(running, options.runs, folder)
        finally:
            for engine in running.values():
                engine.close()
        answers(rows, folder)
    report |= {"rows": [{"way": way, **row} for way, row in rows.items()], "missing": missing}
    report["load_at_end"] = os.getloadavg()[0]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    for row in report["rows"]:
        print(
            f"{row['way']:21s} p50 {row['p50_ms']:7.1f} p95 {row['p95_ms']:7.1f} ms, CPU {row['cpu_ms']:6.0f} ms, "
            f"{row['peak_memory_mb']:5.0f} MB, start {row['start_seconds']:5.1f} s, labels "
            f"{row['label_agreement']:.2%}, max |Δ| {row['max_abs_delta']}; {row['identity']}"
        )
    print(f"floor {report['floor']['floor_ms']:.0f} ms; not run: {missing}; written to {options.out}")


if __name__ == "__main__":
    main()
