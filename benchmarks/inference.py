"""Engines against eager torch in one run: time to host memory, images per second, memory, answers.

    python benchmarks/inference.py [--case road_lite@1920x1080] [--engine openvino:int8] [--data scenes:12] [--runs 30]
    python benchmarks/inference.py --case road_lite@1920x1080 --json FILE [--against 65dd7b9] [--pairs 30]

A case is a bundle (name or folder), or a network with random weights: segformer_b0, vit_s. Every engine lives in a
process of its own; they take turns, so that all meet the same machine. BF16 and INT8 engines are built for the run, in
a cache of their own, and go through the acceptance gate on the same kind of data; one that fails it is timed all the
same and marked. Networks with random weights rank nothing: their gate is open, and they have no AP.

With `--json`, an earlier commit is checked out beside this one (git worktree) and its FP32 engine, with its own bundle
of that name, runs in turns with this commit's engines on the same pictures: `ratios` at the top level of FILE are old
over new, medians of pairs, for FP32 and for the fastest precision that passed its gate.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import inference_floor
import inference_process
import numpy as np
from inference_against import ROOT, EngineProcess, compare

from oodseg_ros.building import acceptance
from oodseg_ros.building.build import build_engine
from oodseg_ros.building.gate_data import calibration_frames
from oodseg_ros.building.order import Order
from oodseg_ros.bundle import load_bundle, save_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.evaluation.results import provenance
from oodseg_ros.scenes import scene

RESULTS = Path(__file__).resolve().parent / "results" / "inference.json"
ENGINES = ("torch:fp32", "openvino:fp32", "openvino:bf16", "openvino:int8")
CASES = ("road_lite@1920x1080", "segformer_b0@1024x512", "vit_s@1036x518")
RANDOM = {
    "segformer_b0": ({"name": "mit", "variant": "b0"}, {"name": "all_mlp", "channels": 256}, None, "energy", 32),
    "vit_s": (
        {"name": "dinov2", "variant": "s"},
        {"name": "dino_fpn"},
        {"name": "uem", "levels": [3], "hidden": 512, "width": 256},
        "likelihood_ratio",
        14,
    ),
}
CALIBRATION, CALIBRATION_RANDOM = 12, 4
"""Frames for INT8, which no gate sees; fewer where nothing is judged."""
ROUNDS = 3
MAX_SECONDS = 12.0
"""Per engine and case: slow engines get fewer runs."""


def random_bundle(name: str, folder: Path) -> Path:
    """A bundle of a known network with random weights, at native resolution."""
    import torch

    from oodseg_ros.inference.graph import DeployGraph
    from oodseg_ros.model_card import Calibration, InputSpec, Licence, ModelCard
    from oodseg_ros.networks.build import build_segmentor

    torch.manual_seed(0)
    backbone, decoder, head, score, multiple = RANDOM[name]
    classifier = {"name": "linear", "classes": 19}
    network = {"backbone": backbone, "decoder": decoder, "classifier": classifier, "head": head, "score": score}
    segmentor = build_segmentor(network).eval()
    spec = InputSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), pixels=1 << 21, multiple=multiple)
    image = scene(1, (multiple * 8, multiple * 16)).image
    with torch.inference_mode():
        labels, answer = DeployGraph(segmentor, spec, *image.shape[:2])(torch.from_numpy(image)[None])
    card = ModelCard(
        name=name,
        label_set="cityscapes19",
        network=network,
        input=spec,
        calibration=Calibration(threshold=0.0, table=[(-1.0, 0.0), (1.0, 1.0)], source="none: random weights"),
        licence=Licence(weights="none"),
    )
    golden = {"image": image, "labels": labels[0].numpy(), "score": answer[0].numpy()}
    save_bundle(folder / name, card, segmentor.state_dict(), golden)
    return folder / name


def build(bundle: Path, engine: str, precision: str, size: tuple[int, int], options: Any, judged: bool) -> str:
    """Build and accept an engine; returns the gate's sentence."""
    if precision == "fp32":
        return "reference" if engine == "torch" else "not needed in FP32"
    calibration = []
    if precision == "int8" and judged and options.calibration:
        calibration = calibration_frames(options.calibration, size=size)
    elif precision == "int8":
        count = CALIBRATION if judged else CALIBRATION_RANDOM
        calibration = [scene(20_000 + seed, size).image for seed in range(count)]

    def attempt(data: str, **allowed: float) -> str:
        pairs = inference_process.frames(data, size, first=100)
        named = data if data.startswith("scenes") else data.partition(":")[0]
        order = Order(engine, precision, *size, options.batch, threads=options.threads, **allowed)
        return build_engine(load_bundle(bundle), order, pairs, named, calibration).acceptance.sentence

    def open_gate() -> str:
        anything = dict.fromkeys(acceptance.GOLDEN_SHARE, float("inf"))
        with mock.patch.multiple(acceptance, LABELS_AGREE=0.0, GOLDEN_SHARE=anything):
            return attempt("scenes:2", allowed_ap=1.0, allowed_fpr95=1.0)

    if not judged:
        return "gate open (random weights); " + open_gate()
    try:
        return attempt(options.data)
    except EngineError as error:
        open_gate()
        return f"NOT ACCEPTED: {error}"


def started(bundle: Path, name: str, size: tuple[int, int], options: Any) -> EngineProcess:
    """An engine's process."""
    engine, precision = name.split(":")
    task = {"bundle": str(bundle), "engine": engine, "precision": precision, **asked(size, options)}
    return EngineProcess(ROOT, Path(os.environ["OODSEG_CACHE"]), task)


def asked(size: tuple[int, int], options: Any) -> dict[str, Any]:
    """What every engine of a case is asked for."""
    return {"size": size, "device": options.device, "threads": options.threads, "batch": options.batch}


def measure(case: str, options: Any, folder: Path) -> dict[str, Any]:
    """All engines on one case."""
    name, size = case.split("@")[0], tuple(map(int, case.split("@")[1].split("x")))[::-1]
    judged = name not in RANDOM
    path = load_bundle(name).path if judged else random_bundle(name, folder)
    names = list(dict.fromkeys(("torch:fp32", *(options.engine or ENGINES))))
    gates = {one: build(path, *one.split(":"), size, options, judged) for one in names}
    cold = {}
    for one in names:  # the first start fills the graph cache; the second is what a vehicle sees
        engine = started(path, one, size, options)
        cold[one] = engine.started["start_seconds"]
        engine.close()
    engines = {one: started(path, one, size, options) for one in names}
    seconds: dict[str, list[float]] = {one: [] for one in names}
    once = {one: engine.ask(runs=2)["seconds"][1] for one, engine in engines.items()}
    per_round = {
        one: int(np.clip(MAX_SECONDS / ROUNDS / length, 2, options.runs // ROUNDS)) for one, length in once.items()
    }
    for round_ in range(ROUNDS):
        for one, engine in engines.items():
            found = engine.ask(runs=per_round[one] + 1)["seconds"]
            seconds[one] += found[1:]  # the first after a pause finds cold caches
            print(f"{case} {one} round {round_ + 1}: {np.median(found[1:]) * 1e3:.1f} ms", flush=True)
    answers = {}
    for one, engine in engines.items():
        data = options.data if judged else "scenes:2"
        answers[one] = engine.ask(judge=data, keep=str(folder / f"{one.replace(':', '_')}.npz"))
    memory = {one: engine.ask(memory=True) for one, engine in engines.items()}
    reference = np.load(folder / "torch_fp32.npz")
    floors = inference_floor.floors(load_bundle(path), size, options.batch)
    rows = []
    for one, engine in engines.items():
        kept, (_, precision) = np.load(folder / f"{one.replace(':', '_')}.npz"), one.split(":")
        p50, p95, p99 = (float(np.percentile(seconds[one], q)) * 1e3 for q in (50, 95, 99))
        row = {"engine": one, "identity": engine.started["identity"], "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
        row |= {"runs": len(seconds[one]), "images_per_second": options.batch / p50 * 1e3}
        row |= {"times_faster_than_eager": float(np.median(seconds["torch:fp32"])) * 1e3 / p50}
        row |= {"start_seconds": engine.started["start_seconds"], "first_start_seconds": cold[one], **memory[one]}
        row |= {"max_abs_delta": float(np.abs(kept["scores"] - reference["scores"]).max())}
        row |= {"label_agreement": float((kept["labels"] == reference["labels"]).mean()), "gate": gates[one]}
        if judged:
            row |= {**answers[one], "delta_ap": answers[one]["ap"] - answers["torch:fp32"]["ap"]}
        rows.append(row | floors.get(precision, {}))
        engine.close()
    # Names of datasets, not where they lie on this machine.
    data = options.data if options.data.startswith("scenes") else options.data.partition(":")[0]
    return {"case": case, "batch": options.batch, "data": data if judged else None, "rows": rows}


def ratios(case: str, options: Any, folder: Path) -> dict[str, Any]:
    """An earlier commit's FP32 over this commit's engines; what did not pass its gate takes no part."""
    name, size = case.split("@")[0], tuple(map(int, case.split("@")[1].split("x")))[::-1]
    path = load_bundle(name).path
    names = options.engine or [one for one in ENGINES if one.startswith("openvino")]
    gates = {one: build(path, *one.split(":"), size, options, True) for one in dict.fromkeys(("openvino:fp32", *names))}
    for one, sentence in gates.items():
        print(f"{one}: {sentence}", flush=True)
    passed = {one: sentence for one, sentence in gates.items() if not sentence.startswith("NOT")}
    return compare(options.against, path, options.old_bundle, passed, asked(size, options), options.pairs, folder)


def show(result: dict[str, Any]) -> None:
    """A table on standard output."""
    print(f"\n{result['case']}, batch {result['batch']}")
    for row in result["rows"]:
        ap = f", ΔAP {row['delta_ap'] * 100:+.2f}" if "delta_ap" in row else ""
        floor = f", floor {row['floor_ms']:.0f} ms" if row.get("floor_ms") else ""
        print(
            f"  {row['engine']:14s} p50 {row['p50_ms']:7.1f} p95 {row['p95_ms']:7.1f} p99 {row['p99_ms']:7.1f} ms, "
            f"{row['times_faster_than_eager']:.2f}x eager{floor}, {row['peak_memory_mb']:.0f} MB, "
            f"start {row['start_seconds']:.1f} s, max |Δ| {row['max_abs_delta']:.2g}{ap}; {row['gate']}"
        )


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", help=f"BUNDLE@WIDTHxHEIGHT; again for more ({', '.join(CASES)})")
    parser.add_argument("--engine", action="append", help=f"ENGINE:PRECISION; again for more ({', '.join(ENGINES)})")
    parser.add_argument("--data", default="scenes:12", help="scenes:COUNT or DATASET:FOLDER[:EVERY], for gate and AP")
    parser.add_argument(
        "--calibration", help="int8: bag, video or folder of other pictures; default: procedural scenes"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--runs", type=int, default=30, help="per engine at most; slow ones do fewer")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--json", type=Path, help="write ratios to an earlier commit here, and nothing else")
    parser.add_argument("--against", default="65dd7b9", help="the earlier commit")
    parser.add_argument("--old-bundle", default="road_lite", help="its bundle")
    parser.add_argument("--pairs", type=int, default=30)
    options = parser.parse_args()
    report: dict[str, Any] = {"provenance": provenance(), "load_at_start": os.getloadavg()[0], "cases": []}
    if not options.json:
        report["machine"] = inference_floor.machine(half=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="oodseg_inference_") as folder:
        os.environ["OODSEG_CACHE"] = folder
        if options.json:
            report |= ratios((options.case or CASES)[0], options, Path(folder))
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report, indent=1) + "\n")
            print(json.dumps({key: report[key] for key in ("ratios", "against")}, indent=1))
            return
        for case in options.case or CASES:
            report["cases"].append(measure(case, options, Path(folder)))
            show(report["cases"][-1])
            options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
