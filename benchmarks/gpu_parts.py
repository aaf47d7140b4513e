"""One part of gpu.py, in a process of its own: a part that fails, hangs or breaks the device takes no other with it.

    python benchmarks/gpu_parts.py OUT '{"part": "machine" | "case" | "training" | "engine", ...}'

Needs torch, transformers and numpy; parts that load a bundle or train also pydantic, safetensors and lightning.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gpu_carry import FACTS, PLAN_FILE
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.inference.engines.captured import CapturedGraph
from oodseg_ros.inference.graph import DeployGraph
from oodseg_ros.inference.precision import half_parts, lower
from oodseg_ros.networks.build import build_segmentor

LINEAR = {"name": "linear", "classes": 19}
UEM = {"name": "uem", "levels": [3], "hidden": 512, "width": 256}
SMALL_VIT = {"variant": "s", "image_size": 70, "width": 48, "depth": 4, "heads": 3, "taps": [0, 1, 2, 3]}
WINDOWS = SimpleNamespace(height=518, width=1036, stride_y=506, stride_x=338, even=False)


def _spec(backbone: dict, decoder: dict, classifier: dict, head: dict, score: str) -> dict[str, Any]:
    return {"backbone": backbone, "decoder": decoder, "classifier": classifier, "head": head, "score": score}


NETWORKS = {
    "uem": _spec({"name": "dinov2", "variant": "b"}, {"name": "dino_fpn"}, LINEAR, UEM, "likelihood_ratio"),
    "uem_tiny": _spec(
        {"name": "dinov2", **SMALL_VIT}, {"name": "dino_fpn", "channels": 16, "hidden": 24}, LINEAR, UEM,
        "likelihood_ratio",
    ),
    "rpl": _spec(
        {"name": "wide_resnet38"}, {"name": "deeplab"}, {**LINEAR, "bias": False}, {"name": "residual_pattern"},
        "residual_energy",
    ),
    "rpl_tiny": _spec(
        {"name": "wide_resnet38", "divisor": 16}, {"name": "deeplab", "channels": 16, "fine": 6},
        {**LINEAR, "bias": False}, {"name": "residual_pattern"}, "residual_energy",
    ),
    "lite": _spec(
        {"name": "efficientnet_lite", "variant": 0}, {"name": "fpn", "channels": 64}, {"name": "linear", "classes": 11},
        {"name": "uem", "levels": [0, 1, 2, 3], "hidden": 160, "width": 96}, "likelihood_ratio",
    ),
}  # fmt: skip
MULTIPLE = {"uem": 14, "uem_tiny": 14}
PIXELS = {"lite": 1 << 19}
MAX_SECONDS = 8.0
"""Per measurement: slow engines get fewer runs."""


def machine(device: torch.device, tiny: bool) -> dict[str, Any]:
    """What the device is, and its measured matrix-product rates and bandwidth: what floors are made of."""
    size, found = 256 if tiny else 8192, {"torch": torch.__version__, "python": sys.version.split()[0]}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "name": properties.name,
            "capability": f"sm_{properties.major}{properties.minor}",
            "memory_gib": round(properties.total_memory / 2**30, 1),
            "multiprocessors": properties.multi_processor_count,
            "cuda": torch.version.cuda,
        }
    torch.backends.cuda.matmul.allow_tf32 = False
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        rates[name] = 2 * size**3 / device_seconds(lambda a=a, b=b: a @ b, device, 10) / 1e12
    source = torch.randint(0, 255, ((1 << 22) if tiny else (4 << 30),), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = device_seconds(lambda: target.copy_(source), device, 10)
    return found | {"matmul_tflops": rates, "bandwidth_gb_s": 2 * source.numel() / seconds / 1e9}


def device_seconds(call: Callable[[], Any], device: torch.device, runs: int) -> float:
    """Median seconds of one call on the device (events on CUDA, the clock on a CPU), after three warm-ups."""
    for _ in range(3):
        call()
    seconds = []
    for _ in range(runs):
        if device.type != "cuda":
            start = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - start)
            continue
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        call()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e3)
    return float(np.median(seconds))


def network(name: str) -> Any:
    """The network with random weights, the same in every process."""
    torch.manual_seed(0)
    return build_segmentor(NETWORKS[name]).eval()


def input_spec(name: str, windows: bool) -> Any:
    """What a bundle's `input` would say."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    multiple, pixels = MULTIPLE.get(name, 32), PIXELS.get(name, 1 << 26)
    return SimpleNamespace(
        mean=mean, std=std, pixels=pixels, multiple=multiple, windows=WINDOWS if windows else None, resize=None,
        channel_order="rgb", output_stride=1,
    )  # fmt: skip


def images(batch: int, height: int, width: int) -> np.ndarray:
    """Smooth random images: what cameras see is not white noise, and noise would hide rounding."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (batch, height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    fine = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width].astype(np.int16)
    return np.clip(fine + rng.integers(-12, 13, fine.shape), 0, 255).astype(np.uint8)


def case(task: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Time and answers of one network at one size on one engine, beside eager FP32 in the same process."""
    name, (height, width), batch = task["network"], task["size"], task.get("batch", 1)
    how, precision = task["engine"].split()
    spec, frames = input_spec(name, task["windows"]), images(batch, height, width)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        graph = DeployGraph(build_segmentor(NETWORKS[name]).eval(), spec, height, width)
        graph(torch.zeros(batch, height, width, 3, dtype=torch.uint8))
    segmentor = network(name)
    weights = sum(p.numel() for p in segmentor.parameters())
    with torch.inference_mode():
        eager = DeployGraph(segmentor.to(device), spec, height, width).to(device).eval()
        labels, score = (answer.cpu().numpy() for answer in eager(torch.from_numpy(frames).to(device)))
    start = time.perf_counter()
    run, device_call = ENGINES[how](task, name, spec, precision, (batch, height, width), device, eager)
    prepared = time.perf_counter() - start
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    answer_labels, answer_score = run(frames)
    walls = wall_seconds(lambda: run(frames), task["tiny"])
    on_device = device_seconds(device_call, device, 10) if device_call else float(np.median(walls))
    tflop, size = counter.get_total_flops() / 1e12, {"fp32": 4}.get(precision, 2)
    delta = np.abs(answer_score - score)
    return {
        "tflop": tflop,
        # The least that must cross the memory bus: weights, images and answers once.
        "gigabytes": (weights * size + frames.nbytes + 5 * frames.nbytes / 3) / 1e9,
        "prepare_seconds": round(prepared, 1),
        **{f"p{q}_ms": float(np.percentile(walls, q)) * 1e3 for q in (50, 95, 99)},
        "runs": len(walls),
        "device_ms": on_device * 1e3,
        "images_per_second": batch / float(np.median(walls)),
        "achieved_tflops": tflop / on_device,
        "peak_memory_mb": torch.cuda.max_memory_allocated(device) / 1e6 if device.type == "cuda" else None,
        "max_abs_delta": float(delta.max()),
        "mean_abs_delta": float(delta.mean()),
        "score_deviation": float(score.std()),
        "label_agreement": float((answer_labels == labels).mean()),
    }


def engine(task: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """The engine that was built without a target on a machine without a GPU: whether TensorRT-RTX would load it on this
    card; if so, all that `oodseg build` and a start on a vehicle ask of an engine, and its time.

    On a CPU the validity is asked all the same, and OpenVINO's FP32 engine goes through the rest in its place.
    """
    from oodseg_ros.building.acceptance import gated
    from oodseg_ros.building.gate_data import gate_data
    from oodseg_ros.building.order import Frames, Order
    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.inference.engine_cache import default_dir, draft
    from oodseg_ros.inference.engines import openvino, tensorrt, tensorrt_api
    from oodseg_ros.inference.runner import Runner

    facts = json.loads((Path(task["carried"]) / FACTS).read_text())
    bundle, (height, width) = load_bundle(task["bundle"] or facts["bundle"]), facts["size"]
    plan, cuda = (Path(task["carried"]) / PLAN_FILE).read_bytes(), device.type == "cuda"
    api = tensorrt_api.load_api("tensorrt_rtx")
    found: dict[str, Any] = {"brought": facts, "library": api.__version__, "model": bundle.id}
    validity, reasons = api.Runtime(api.Logger(api.Logger.ERROR)).get_engine_validity(plan)
    found["validity"] = validity.name
    found["reasons"] = [text for bit, text in tensorrt_api.INVALID.items() if int(reasons) & bit] or ["its log tells"]
    if cuda and validity == api.EngineValidity.INVALID:
        return {**found, "accepted": False, "failed": f"not valid on this card: {' and '.join(found['reasons'])}"}
    name, precision = ("tensorrt_rtx", facts["precision"]) if cuda else ("openvino", "fp32")
    os.environ["OODSEG_CACHE"] = task["folder"]
    order = Order(name, precision, height, width, device=str(device))
    if cuda:
        target = tensorrt_api.architecture(name, str(device))
        wanted = tensorrt_api.tensorrt_identity(bundle, name, precision, 1, height, width, target)
    else:
        wanted = openvino.openvino_identity(bundle, precision, 1, height, width)
    data = gate_data((height, width), limit=task["frames"])
    with draft(wanted, default_dir()) as place:
        if cuda:
            place.path(tensorrt_api.PLAN).write_bytes(plan)
            loaded = tensorrt.TensorRtEngine(bundle, device=str(device), precision=precision, engine=name)
            run = loaded.load(place.path(tensorrt_api.PLAN), 1, height, width)
        else:
            run = openvino.OpenVinoEngine(bundle).compile(1, height, width)
        stored, acceptance = gated(place, bundle, run, Frames(data, data.name), {}, order)
    # As a vehicle starts: found by its identity, checked against the golden frame, then asked.
    start = time.perf_counter()
    runner = Runner.load(bundle, name, str(device), precision)
    runner.warm(height, width)
    started, frames = time.perf_counter() - start, images(1, height, width)
    walls = wall_seconds(lambda: runner([frames[0]]), task["tiny"])
    return {
        **found,
        "ran": runner.engine_identity,
        "accepted": stored.side.accepted,
        "acceptance": acceptance.sentence,
        "golden_inputs": stored.side.built["golden_inputs"],
        "golden_error": runner.golden_error,
        "start_seconds": started,
        **{f"p{q}_ms": float(np.percentile(walls, q)) * 1e3 for q in (50, 95, 99)},
        "runs": len(walls),
    }


def training(task: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Images per second of optimiser steps of one stage in one precision, on pictures of noise that lie on the device
    already: what data loading costs is another question (training_step.py).
    """
    from oodseg_ros.model_card import InputSpec
    from oodseg_ros.training.methods import StageSpec, stage_class
    from oodseg_ros.training.plan import CONVOLUTION_BACKWARD, backward_flops, measure_step

    name, (height, width), batch = task["network"], task["size"], task["batch"]
    spec = InputSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), pixels=1 << 26, multiple=MULTIPLE[name])
    rates = {"backbone_lr": 0.1} if task["method"] == "inlier" else {}
    stage = StageSpec(method=task["method"], steps=10, batch=batch, lr=5e-4, **rates)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    module = stage_class(stage.method)(network(name), spec, stage)
    target = torch.randint(0, LINEAR["classes"], (batch, height, width), dtype=torch.uint8)
    target[:, : height // 4, : width // 4] = 254  # a pasted unknown
    samples = [torch.randint(0, 256, (batch, 3, height, width), dtype=torch.uint8), target]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds, memory = measure_step(module, samples, task["steps"], task["precision"])
    with FlopCounterMode(display=False, custom_mapping={CONVOLUTION_BACKWARD: backward_flops}) as counter:
        measure_step(module, samples, 1, task["precision"])
    tflop = counter.get_total_flops() / 1e12
    return {
        "seconds": seconds,
        "images_per_second": batch / seconds,
        "memory_mb": memory / 1e6,
        "tflop": tflop,
        "achieved_tflops": tflop / seconds,
        "trained": sum(p.numel() for p in module.parameters() if p.requires_grad),
    }


def wall_seconds(call: Callable[[], Any], tiny: bool) -> np.ndarray:
    """Seconds of calls one after the other, host memory to host memory; of few where they mean nothing."""
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    seconds = []
    for _ in range(5 if tiny else int(np.clip(MAX_SECONDS / max(once, 1e-4), 5, 200))):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return np.asarray(seconds)


def _eager(task: dict, name: str, spec: Any, precision: str, shape: tuple, device: torch.device, eager: Any) -> Any:
    return _plain(eager if precision == "fp32" else _lowered(name, spec, precision, shape, device), shape, device)


def _plain(graph: Any, shape: tuple, device: torch.device) -> Any:
    held = torch.from_numpy(images(*shape)).to(device)

    def run(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            labels, score = graph(torch.from_numpy(frames).to(device))
            return labels.cpu().numpy(), score.float().cpu().numpy()

    def on_device() -> None:
        with torch.inference_mode():
            graph(held)

    return run, on_device


def _lowered(name: str, spec: Any, precision: str, shape: tuple, device: torch.device) -> Any:
    segmentor = network(name)
    DeployGraph(segmentor, spec, *shape[1:])
    lower(segmentor, precision).to(device, memory_format=torch.channels_last)
    return DeployGraph(segmentor, spec, *shape[1:]).to(device).eval()


def _captured(task: dict, name: str, spec: Any, precision: str, shape: tuple, device: torch.device, eager: Any) -> Any:
    graph = _lowered(name, spec, precision, shape, device)
    if task["engine"].startswith("compiled"):
        graph = torch.compile(graph, dynamic=False, backend=task.get("backend", "inductor"))
    if device.type != "cuda":
        return _plain(graph, shape, device)
    captured = CapturedGraph(graph, shape, device, task["engine"])
    return captured, captured.replay


def _tensorrt(task: dict, name: str, spec: Any, precision: str, shape: tuple, device: torch.device, eager: Any) -> Any:
    from oodseg_ros.building.onnx_export import export_onnx
    from oodseg_ros.building.tensorrt_plan import build_plan
    from oodseg_ros.inference.engines.tensorrt import TensorRtEngine

    kind, segmentor = task["engine"].split()[0], network(name)
    engine = TensorRtEngine(
        None, device=str(device), precision=precision, engine=kind
    )  # first: it says what is missing
    parts = list(half_parts(segmentor)) if precision != "fp32" else []
    model = export_onnx(segmentor, spec, *shape, precision)
    plan = build_plan(model, kind, half_parts=parts)
    file = Path(task["folder"]) / f"{name}-{kind}.plan"
    file.write_bytes(plan.data)
    captured = engine.bind(file, shape, shape)
    return captured, captured.replay


ENGINES = {
    "eager": _eager,
    "captured": _captured,
    "compiled": _captured,
    "tensorrt": _tensorrt,
    "tensorrt_rtx": _tensorrt,
}


PARTS = {"case": case, "engine": engine, "training": training}


def main() -> None:
    """Run the part, write its result."""
    out, task = Path(sys.argv[1]), json.loads(sys.argv[2])
    device = torch.device(task.pop("device"))
    torch.cuda.is_available() and torch.cuda.set_device(device)
    part = task.pop("part")
    result = machine(device, task["tiny"]) if part == "machine" else PARTS[part](task, device)
    out.write_text(json.dumps(result))


if __name__ == "__main__":
    main()
