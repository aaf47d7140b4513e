"""TensorRT and TensorRT-RTX: engines that were built ahead (`oodseg build`) and accepted, run by the runtime alone.

Nothing here compiles a network, and torch_tensorrt is never imported: loading takes as long as reading the file (and,
for TensorRT-RTX, as its just-in-time compiler, whose work is kept). Buffers and CUDA graph are torch's.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bundle import Bundle
from ...errors import EngineError
from ..engine import Run
from ..engine_cache import StoredEngine, accepted_at_any_size, find
from ..golden_check import verified
from ..sizes import at_image_size, graph_size
from .captured import CapturedGraph, device_errors
from .tensorrt_api import (
    PLAN,
    Collector,
    architecture,
    check_valid,
    context_of,
    load_api,
    store_kernels,
    tensorrt_identity,
)


class TensorRtEngine:
    """Runs accepted engines on one CUDA device.

    An engine takes one image size and one batch. Fewer images than its batch are filled up, more are run in turns: so
    one engine for four cameras also answers three of them.
    """

    def __init__(
        self,
        bundle: Bundle,
        device: str = "cuda",
        precision: str = "fp16",
        threads: int = 0,
        hint: str = "latency",
        score_type: str = "fp32",
        engine: str = "tensorrt",
    ) -> None:
        self._api = load_api(engine)
        target = architecture(engine, device)
        if target is None:
            raise EngineError(f"engine {engine} needs a CUDA device and torch with CUDA, and torch sees no device here")
        self.device = torch.device(device)
        self.identity = f"{engine}-{self._api.__version__}-{precision}-{target}"
        self._score_type = torch.float16 if score_type == "fp16" else torch.float32
        self._bundle = bundle
        self._wanted = partial(tensorrt_identity, bundle, engine, precision, target=target)
        self._runtime = self._api.Runtime(Collector(self._api).logger)
        self._loaded: dict[Path, tuple[Run, float]] = {}

    def check_golden(self) -> float:
        """Load the first accepted engine; its largest |Δscore| on the golden frame.

        Raises:
            EngineError: none was accepted for this device, runtime and precision, or it answers otherwise now.
        """
        return self._ready(accepted_at_any_size(self._bundle, self._wanted(1, 0, 0)))[1]

    def compile(self, batch: int, height: int, width: int) -> Run:
        """What answers batches of one shape. The GIL is free while the device works.

        Raises:
            EngineError: no engine was accepted for this size, or it does not answer as it did then. The result raises
                it too, where the device failed. Whoever calls again and again should give up: most CUDA errors stay
                until the process ends.
        """
        engines = find(self._bundle, self._wanted(batch, height, width), any_batch=True)
        built = sorted(engines, key=lambda engine: engine.side.identity.batch)
        engine = next((one for one in built if one.side.identity.batch >= batch), built[-1])
        return in_turns(self._ready(engine)[0], engine.side.identity.batch)

    def load(self, plan: Path, batch: int, height: int, width: int) -> Run:
        """A plan for images of this size, ready to run, not compared with anything: builds ask for it before they
        accept it.

        Raises:
            EngineError: the runtime refuses the file, it takes or gives something else, or memory is out.
        """
        spec = self._bundle.card.input
        size = graph_size(height, width, spec)
        stride = spec.output_stride if spec.resize is None else 1
        output = (size[0] // stride, size[1] // stride)
        return at_image_size(self.bind(plan, (batch, *size), (batch, *output)), height, width, spec)

    def bind(self, plan: Path, shape: tuple[int, int, int], output: tuple[int, int, int]) -> CapturedGraph:
        """The plan itself.

        Args:
            plan: the file.
            shape: (batch, height, width) of what it takes.
            output: the same of what it gives.

        Raises:
            EngineError: the runtime refuses the file, it takes or gives something else, or memory is out.
        """
        with device_errors(self.identity), torch.cuda.device(self.device):
            engine = deserialized(self._api, self._runtime, plan, self.identity)
            context, kernels, one_graph = context_of(self._api, engine, plan)
            if context is None:
                raise EngineError(f"{self.identity}: not enough memory on {self.device} to run {plan.name}")
            names = tensor_names(self._api, engine, shape, output)
            bound = Bound(context, names, output, self.device, self._score_type)
            captured = CapturedGraph(
                lambda images: bound(images, torch.cuda.current_stream(self.device).cuda_stream),
                shape,
                self.device,
                self.identity,
                capture=False if one_graph else bound.capturable,
            )
            store_kernels(kernels, plan)
            return captured

    def _ready(self, engine: StoredEngine) -> tuple[Run, float]:
        path = engine.path(PLAN)
        if path not in self._loaded:
            engine.verify()
            identity = engine.side.identity
            run = self.load(path, identity.batch, identity.height, identity.width)
            score_type = "fp16" if self._score_type == torch.float16 else "fp32"
            self._loaded[path] = run, verified(self._bundle, engine, run, score_type)
        return self._loaded[path]


tensorrt = partial(TensorRtEngine, engine="tensorrt")
tensorrt_rtx = partial(TensorRtEngine, engine="tensorrt_rtx")


class Bound:
    """An execution context with its output buffers, for one shape.

    Args:
        context: the runtime's.
        names: see `tensor_names`.
        shape: (batch, height, width) of the answers.
        device: of the buffers.
        score_type: in which the score is given on, float32 or float16.
    """

    def __init__(
        self,
        context: Any,
        names: tuple[str, str, str],
        shape: tuple[int, int, int],
        device: torch.device,
        score_type: torch.dtype,
    ) -> None:
        self._context = context
        self._images, *outputs = names
        self._score_type = score_type
        self.outputs = [torch.empty(shape, dtype=dtype, device=device) for dtype in (torch.uint8, torch.float32)]
        for name, output in zip(outputs, self.outputs, strict=True):
            self._bind(name, output)

    def __call__(self, images: Tensor, stream: int) -> tuple[Tensor, Tensor]:
        """Queue one run on a CUDA stream: uint8 `[B, H, W, 3]` on the device → (labels, score) there."""
        self._bind(self._images, images)
        if not self._context.execute_async_v3(stream):
            raise EngineError("the runtime did not start the engine; its log says why")
        labels, score = self.outputs
        return labels, score.to(self._score_type)

    def capturable(self, stream: int) -> bool:
        """Whether a CUDA graph can hold a run on this stream; runtimes that do not tell can always."""
        ask = getattr(self._context, "is_stream_capturable", None)
        return ask is None or ask(stream)

    def _bind(self, name: str, tensor: Tensor) -> None:
        if not self._context.set_tensor_address(name, tensor.data_ptr()):
            raise EngineError(f"the runtime does not take {name} as {tensor.dtype} {list(tensor.shape)}")


def deserialized(api: Any, runtime: Any, plan: Path, identity: str) -> Any:
    """The engine of a plan.

    Raises:
        EngineError: the runtime refuses it, with the reason where it tells one.
    """
    data = plan.read_bytes()
    check_valid(api, runtime, data, identity)
    engine = runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise EngineError(f"{identity} cannot load {plan}: it was built for another device or version, or is damaged")
    return engine


def in_turns(run: Run, batch: int) -> Run:
    """`run`, which takes exactly `batch` images, for any number of them."""

    def _run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = len(images)
        if count == batch:
            return run(images)
        missing = -count % batch
        filled = np.concatenate([images, images[-1:].repeat(missing, axis=0)]) if missing else images
        answers = [run(filled[first : first + batch]) for first in range(0, len(filled), batch)]
        labels, score = (np.concatenate(parts)[:count] for parts in zip(*answers, strict=True))
        return labels, score

    return _run


def tensor_names(
    api: Any, engine: Any, shape: tuple[int, int, int], output: tuple[int, int, int]
) -> tuple[str, str, str]:
    """Names of the input, the labels and the score; found by type, because builders name them differently.

    Raises:
        EngineError: the engine takes or gives something else.
    """
    found: dict[tuple[Any, Any], str] = {}
    for name in (engine.get_tensor_name(index) for index in range(engine.num_io_tensors)):
        dims = (*shape, 3) if engine.get_tensor_mode(name) == api.TensorIOMode.INPUT else output
        if tuple(engine.get_tensor_shape(name)) == dims:
            found[engine.get_tensor_mode(name), engine.get_tensor_dtype(name)] = name
    wanted = [
        (api.TensorIOMode.INPUT, api.DataType.UINT8),
        (api.TensorIOMode.OUTPUT, api.DataType.UINT8),
        (api.TensorIOMode.OUTPUT, api.DataType.FLOAT),
    ]
    if engine.num_io_tensors != len(wanted) or any(key not in found for key in wanted):
        raise EngineError("the engine does not take uint8 images and give uint8 labels and a float32 score: rebuild it")
    images, labels, score = (found[key] for key in wanted)
    return images, labels, score
