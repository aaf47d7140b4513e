"""One way of running a bundle, in a process of its own with nothing in it that this way does not need. See
alternatives.py. Talks JSON lines: a command in, an answer out.

    python benchmarks/alternatives_process.py '{"way": "onnxruntime", "model": FILE.onnx, "images": FILE.npz, …}'
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Ask = Callable[[np.ndarray], tuple[np.ndarray, Any]]
"""RGB uint8 `[H, W, 3]` → labels `[H, W]`, and the score `[H, W]` or None where this way has none."""


def ours(task: dict[str, Any]) -> tuple[Ask, str]:
    """This package, FP32."""
    from oodseg_ros.inference.runner import Runner

    runner = Runner.load(task["bundle"], "openvino")

    def ask(image: np.ndarray) -> tuple[np.ndarray, Any]:
        (prediction,) = runner([image])
        return prediction.labels, prediction.score

    return ask, runner.engine_identity


def openvino(task: dict[str, Any]) -> tuple[Ask, str]:
    """The exported graph, compiled as OpenVINO's first example does."""
    import openvino

    compiled = openvino.Core().compile_model(task["model"], "CPU")
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").to_string()

    def ask(image: np.ndarray) -> tuple[np.ndarray, Any]:
        found = compiled(image[None])
        return found["labels"][0], found["score"][0]

    return ask, f"openvino {openvino.__version__.split('-')[0]}, computes in {precision}"


def _session(task: dict[str, Any], options: Any, **more: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(task["model"], options, **more)


def _asks(session: Any) -> Ask:
    def ask(image: np.ndarray) -> tuple[np.ndarray, Any]:
        labels, score = session.run(["labels", "score"], {"images": image[None]})
        return labels[0], score[0]

    return ask


def onnxruntime(task: dict[str, Any]) -> tuple[Ask, str]:
    """The exported graph, as ONNX Runtime's first example does."""
    import onnxruntime

    session = _session(task, None, providers=["CPUExecutionProvider"])
    return _asks(session), f"onnxruntime {onnxruntime.__version__}"


def onnxruntime_tuned(task: dict[str, Any]) -> tuple[Ask, str]:
    """The fastest of ONNX Runtime's own settings on the first picture, three runs each."""
    import onnxruntime

    found = []
    cores = len(os.sched_getaffinity(0))
    for threads, parallel, spinning, flush in (
        (0, 1, "1", "0"), (cores, 1, "1", "0"), (cores, 1, "0", "0"), (cores, 1, "1", "1"), (1, cores, "1", "0"),
    ):  # fmt: skip
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads, options.inter_op_num_threads = threads, parallel
        if parallel > 1:
            options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
        options.add_session_config_entry("session.set_denormal_as_zero", flush)
        ask = _asks(_session(task, options, providers=["CPUExecutionProvider"]))
        said = f"intra_op {threads}, inter_op {parallel}, spinning {spinning}, denormal_as_zero {flush}"
        found.append((_median(ask, task), said, ask))
    _, said, ask = min(found, key=lambda entry: entry[0])
    return ask, f"onnxruntime {onnxruntime.__version__}, {said}"


def _median(ask: Ask, task: dict[str, Any]) -> float:
    image, seconds = np.load(task["images"])["images"][0], []
    ask(image)
    for _ in range(3):
        begin = time.perf_counter()
        ask(image)
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def onnxruntime_openvino(task: dict[str, Any]) -> tuple[Ask, str]:
    """ONNX Runtime with OpenVINO's execution provider (a package of its own, onnxruntime-openvino)."""
    import onnxruntime

    name = "OpenVINOExecutionProvider"
    if name not in onnxruntime.get_available_providers():
        raise SystemExit(f"this onnxruntime has no {name}")
    session = _session(task, None, providers=[(name, {"device_type": "CPU"})])
    return _asks(session), f"onnxruntime-openvino {onnxruntime.__version__}"


def torch_eager(task: dict[str, Any]) -> tuple[Ask, str]:
    """The same graph in torch."""
    return _torch(task, compiled=False)


def torch_compile(task: dict[str, Any]) -> tuple[Ask, str]:
    """The same graph through torch.compile with its defaults."""
    return _torch(task, compiled=True)


def _torch(task: dict[str, Any], compiled: bool) -> tuple[Ask, str]:
    import torch

    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.inference.graph import DeployGraph

    bundle = load_bundle(task["bundle"])
    graph = DeployGraph(bundle.segmentor(), bundle.card.input, *task["size"]).eval()
    run = torch.compile(graph, dynamic=False) if compiled else graph

    def ask(image: np.ndarray) -> tuple[np.ndarray, Any]:
        with torch.inference_mode():
            labels, score = run(torch.from_numpy(image)[None])
        return labels[0].numpy(), score[0].numpy()

    return ask, f"torch {torch.__version__}"


def model_api(task: dict[str, Any]) -> tuple[Ask, str]:
    """OpenVINO's model API: its segmentation pipeline (resize and normalise in the graph, argmax and resize after it)
    on the network's logits. It knows no anomaly score.
    """
    from importlib.metadata import version

    from model_api.models import SegmentationModel

    network = SegmentationModel.create_model(
        task["logits"],
        model_type="Segmentation",
        configuration={
            "mean_values": task["mean"],
            "scale_values": task["scale"],
            "soft_threshold": float("inf"),  # plain argmax
            "return_soft_prediction": False,
        },
        device="CPU",
    )

    def ask(image: np.ndarray) -> tuple[np.ndarray, Any]:
        found = network(image)
        return getattr(found, "resultImage", found), None

    return ask, f"openvino-model-api {version('openvino-model-api')}"


WAYS: dict[str, Callable[[dict[str, Any]], tuple[Ask, str]]] = {
    way.__name__: way
    for way in (
        ours, openvino, model_api, onnxruntime, onnxruntime_tuned, onnxruntime_openvino, torch_eager, torch_compile,
    )
}  # fmt: skip


def main() -> None:
    """Load, answer once, then answer commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not an answer
    task = json.loads(sys.argv[1])
    begin = time.perf_counter()
    ask, identity = WAYS[task["way"]](task)
    with np.load(task["images"]) as stored:
        images = list(stored["images"])
    ask(images[0])

    def say(**answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    say(identity=identity, start_seconds=time.perf_counter() - begin)
    for line in sys.stdin:
        command = json.loads(line)
        if "runs" in command:
            seconds, busy = [], time.process_time()
            for index in range(command["runs"]):
                begin = time.perf_counter()
                ask(images[index % len(images)])
                seconds.append(time.perf_counter() - begin)
            say(seconds=seconds, cpu_seconds=(time.process_time() - busy) / command["runs"])
        elif "keep" in command:
            found = [ask(image) for image in images]
            scores = [score for _, score in found if score is not None]
            np.savez(command["keep"], labels=np.stack([labels for labels, _ in found]).astype(np.int64), scores=scores)
            say(kept=True)
        else:
            status = Path("/proc/self/status").read_text()
            peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
            say(peak_memory_mb=int(peak.split()[1]) / 1024)


if __name__ == "__main__":
    main()
