"""A bundle's whole graph as ONNX: uint8 images in, uint8 labels and float32 score out.

What other tools take (`export_bundle` compares with torch before it writes the file), and what TensorRT's parser reads.
"""

from __future__ import annotations

import ast
import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..bundle import Bundle
from ..errors import EngineError
from ..inference.golden_check import stretched
from ..inference.graph import DeployGraph
from ..inference.precision import HALVES, check_headroom, lower
from ..inference.sizes import network_size, resized_frame
from ..model_card import InputSpec
from ..networks.segmentor import Segmentor
from ..paths import completed
from .acceptance import largest_difference
from .view import check_shape

OPSET = 20
INPUT, OUTPUTS = "images", ("labels", "score")
SCOPE = "scope"
PRECISIONS = ("fp32", "fp16")  # convolutions in bf16 are not in opset 20
EXACT = 1e-3
"""Largest |Δscore| of an FP32 export against torch; mixed precision is shown, not judged: gates need labeled frames."""
LABELS_AGREE = 0.98


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        max_abs_delta, label_agreement: of ONNX Runtime against torch in FP32, on one image.
    """

    bytes: int
    opset: int
    max_abs_delta: float
    label_agreement: float


def export_bundle(
    bundle: Bundle,
    height: int,
    width: int,
    batch: int,
    out: Path,
    precision: str = "fp32",
    image: np.ndarray | None = None,
) -> Export:
    """Export, run once on the CPU, compare, write.

    Args:
        height, width, batch: of the images that the file will take.
        precision: one of `PRECISIONS`.
        image: RGB uint8 of any size to compare on; None = the golden frame.

    Raises:
        EngineError: unknown precision, an operation that ONNX has not, or another answer than torch's (then nothing is
            written).
    """
    if precision not in PRECISIONS:
        raise EngineError(f"ONNX files are exported in {', '.join(PRECISIONS)}, not in {precision!r}")
    if image is not None:
        check_shape((height, width), image.shape[:2], "--image")
    image = stretched(bundle, height, width) if image is None else resized_frame(image, height, width)
    segmentor = bundle.segmentor()
    check_headroom(segmentor, bundle.card.input, bundle.golden()["image"], precision, bundle.id)
    model = export_onnx(segmentor, bundle.card.input, batch, height, width, precision)
    labels, score = OnnxRuntimeEngine(model)(image)
    # The whole graph resizes in float; the engines of this package resize in uint8, outside of it.
    with torch.inference_mode():
        wanted = DeployGraph(segmentor, bundle.card.input, height, width).eval()(torch.from_numpy(image)[None])
    (wanted_labels,), (wanted_score,) = (answer.numpy() for answer in wanted)
    delta, agreement = largest_difference(wanted_score, score), float((labels == wanted_labels).mean())
    if not (delta <= EXACT or precision != "fp32") or np.isnan(delta) or agreement < LABELS_AGREE:
        raise EngineError(
            f"the exported graph does not answer as torch does: max |Δscore| {delta:.3g}, labels agree on "
            f"{agreement:.2%}; nothing was written; report this with the bundle"
        )
    describe(model, bundle)
    save_onnx(model, out)
    return Export(out.stat().st_size, OPSET, delta, agreement)


def describe(model: Any, bundle: Bundle) -> None:
    """Put into a model's metadata what whoever runs it must know: all values are text, lists and tables are JSON."""
    calibration, spec = bundle.card.calibration, bundle.card.input
    _, height, width, _ = (axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim)
    rules = {"objects": calibration.objects, "evidence": calibration.evidence, "second_look": calibration.second_look}
    facts = {
        "bundle": bundle.id,
        "weights_sha256": bundle.weights_hash,
        "channel_order": "RGB",
        "layout": "NHWC",
        "value_range": "0..255",
        "normalisation": "inside the graph; mean and std are of RGB in 0..1",
        "mean": json.dumps(spec.mean),
        "std": json.dumps(spec.std),
        "label_set": bundle.labels.name,
        "classes": json.dumps(bundle.labels.names),
        "score": str(getattr(bundle, "score", "") or bundle.card.network.get("score")),
        "threshold": repr(calibration.threshold),
        "network_size": json.dumps(network_size(height, width, spec)),  # a second look counts in its pixels
        **{name: "null" if rule is None else rule.model_dump_json() for name, rule in rules.items()},
        "score_table": json.dumps(calibration.table),
        "calibrated_on": calibration.source,
        "licence_of_weights": bundle.card.licence.weights,
    }
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


def export_onnx(
    segmentor: Segmentor,
    spec: InputSpec,
    batch: int,
    height: int,
    width: int,
    precision: str = "fp32",
    whole: bool = True,
) -> Any:
    """An `onnx.ModelProto` for images uint8 `[batch, height, width, 3]`.

    Args:
        segmentor: float32, in eval mode; it is not changed.
        batch, height, width: of the images; fixed in the graph.
        precision: fp32, or fp16 or bf16 for mixed precision (see `precision.lower`).
        whole: see `DeployGraph`.

    Raises:
        EngineError: the network holds an operation that ONNX has not.
    """
    graph = DeployGraph(copy.deepcopy(segmentor), spec, height, width, whole).eval()
    if precision in HALVES:
        lower(inner_segmentor(graph), precision)
    example = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                torch.export.export(graph, (example,), strict=False),
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
                verbose=False,
            )
    except EngineError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise EngineError(f"this network cannot be exported to ONNX: {reason}; use engine: torch") from error
    return _with_scopes_only(_same_types(program.model_proto))


def _same_types(model: Any) -> Any:
    """The model with kernels and biases in the type of their convolution's output: where the exporter folds a batch
    norm into a BF16 convolution, it leaves them in float32.
    """
    from onnx import TensorProto, numpy_helper

    halves = {
        value.name for value in model.graph.value_info if value.type.tensor_type.elem_type == TensorProto.BFLOAT16
    }
    constants = {entry.name: entry for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv" and node.output[0] in halves:
            for entry in (constants[name] for name in node.input[1:] if name in constants):
                if entry.data_type == TensorProto.FLOAT:
                    values = torch.from_numpy(numpy_helper.to_array(entry).copy()).bfloat16()
                    name, dims = entry.name, list(entry.dims)
                    entry.Clear()
                    entry.name, entry.data_type = name, TensorProto.BFLOAT16
                    entry.dims.extend(dims)
                    entry.raw_data = values.view(torch.int16).numpy().tobytes()
    return model


def scopes(model: Any) -> dict[str, str]:
    """Node name → dotted name of the module that it came from, e.g. `segmentor.backbone.stem`."""
    return {node.name: entry.value for node in model.graph.node for entry in node.metadata_props if entry.key == SCOPE}


def _with_scopes_only(model: Any) -> Any:
    """The model with one entry of metadata per node; the exporter adds stack traces with paths of this machine."""
    for node in model.graph.node:
        kept = next((entry.value for entry in node.metadata_props if entry.key == "pkg.torch.onnx.name_scopes"), None)
        del node.metadata_props[:]
        node.doc_string = ""
        if kept is not None:
            # A list of names, outermost first; the last is the operation's own.
            names = [name for name in ast.literal_eval(kept)[:-1] if name]
            node.metadata_props.add(key=SCOPE, value=names[-1] if names else "")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
        value.doc_string = ""
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    return model


def inner_segmentor(graph: DeployGraph) -> Segmentor:
    """The network inside of a graph, with or without sliding windows around it."""
    inner = graph.segmentor
    return inner if isinstance(inner, Segmentor) else inner.segmentor


def save_onnx(model: Any, file: Path) -> None:
    """Write the model, complete or not at all; weights beyond 2 GB go into `<file>.data`."""
    import onnx

    with completed(file) as part:
        if model.ByteSize() < (1 << 31) - (1 << 20):
            part.write_bytes(model.SerializeToString())
        else:
            onnx.save_model(model, str(part), save_as_external_data=True, location=f"{file.name}.data")


class OnnxRuntimeEngine:
    """Runs a model on the CPU by ONNX Runtime, to check it: one image in, labels and score out."""

    def __init__(self, model: Any, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.batch = self._session.get_inputs()[0].shape[0]

    def __call__(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """RGB uint8 `[H, W, 3]` → labels uint8 `[H, W]`, score float32 `[H, W]`."""
        images = np.repeat(np.ascontiguousarray(image)[None], self.batch, axis=0)
        labels, score = self._session.run(list(OUTPUTS), {INPUT: images})
        return labels[0], score[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of torchvision operators that nobody asked for, and of torch's own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        logger.setLevel(level)
