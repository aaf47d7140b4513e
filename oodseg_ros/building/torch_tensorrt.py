"""TensorRT engines by torch-tensorrt, from the exported program instead of ONNX. Only builders import it: it does not
load without CUDA, and the engine that it makes is loaded by TensorRT's runtime alone.
"""

from __future__ import annotations

import copy
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch

from ..errors import EngineError
from ..inference.engine_cache import EngineIdentity
from ..inference.graph import DeployGraph
from ..inference.precision import HALVES, lower
from ..model_card import InputSpec
from ..networks.segmentor import Segmentor
from ..paths import cache_dir
from .onnx_export import inner_segmentor


def torch_tensorrt_works() -> bool:
    """Whether torch_tensorrt is installed and its import works here."""
    if find_spec("torch_tensorrt") is None or not torch.cuda.is_available():
        return False
    try:
        import_module("torch_tensorrt")
    except (ImportError, OSError, RuntimeError):
        return False
    return True


def build_by_torch(segmentor: Segmentor, spec: InputSpec, wanted: EngineIdentity, precision: str) -> bytes:
    """The whole graph as one serialized engine.

    Raises:
        EngineError: torch-tensorrt could not convert the whole graph; says why.
    """
    torch_tensorrt = import_module("torch_tensorrt")
    graph = DeployGraph(copy.deepcopy(segmentor), spec, wanted.height, wanted.width).eval()
    if precision in HALVES:
        lower(inner_segmentor(graph), precision)
    graph = graph.cuda()
    images = torch.zeros((wanted.batch, wanted.height, wanted.width, 3), dtype=torch.uint8, device="cuda")
    timing = cache_dir() / "timing" / f"torch-{wanted.runtime}-{wanted.architecture}.cache"
    timing.parent.mkdir(parents=True, exist_ok=True)
    # Never enabled_precisions: networks are strongly typed, and the types stand in the graph.
    options: dict[str, Any] = {
        "require_full_compilation": True,
        "min_block_size": 1,
        "num_avg_timing_iters": 4,
        "timing_cache_path": str(timing),
        "disable_tf32": True,
        "immutable_weights": True,
    }
    try:
        with torch.no_grad():
            program = torch.export.export(graph, (images,), strict=False)
            return bytes(
                torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine(
                    program, arg_inputs=[images], **options
                )
            )
    except Exception as error:  # whatever its converters raise: the ONNX way is still there
        raise EngineError(f"torch_tensorrt could not build the engine: {str(error).strip()[:300]}") from error
