"""Raw TensorRT engines from ONNX graphs, by TensorRT or TensorRT-RTX: one strongly typed network, nothing falls back.

TensorRT-RTX compiles ahead of time, without a GPU, for a named architecture. TensorRT itself builds on the device that
the engine will run on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import EngineError
from ..inference.engines.tensorrt_api import Collector, load_api
from ..paths import cache_dir, completed
from .onnx_export import INPUT, OUTPUTS, scopes
from .onnx_precision import islands
from .order import Progress

POOLS = ("WORKSPACE", "TACTIC_DRAM")
"""Scratch memory of one layer, and memory for trying kernels. TensorRT's own limits are shares of the device's whole
memory, which on a Jetson is the processor's too: 10.3 then fails, or the system ends the build."""
SHARE = 0.5
"""Of the memory that is free when the build begins."""
MEMORY = re.compile(
    r"out of memory|outofmemory|insufficient (gpu )?memory|insufficient workspace|increasing (the )?workspace"
    r"|requested amount of gpu memory|bad_alloc|cannot allocate|failed to allocate",
    re.IGNORECASE,
)
"""How TensorRT says that memory is out."""
ORIGIN = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
"""In a layer's metadata: names of the ONNX nodes that it came from."""


@dataclass(frozen=True)
class Plan:
    """A built engine.

    Attributes:
        data: the bytes that `Runtime.deserialize_cuda_engine` takes.
        seconds: how long parsing and building took.
        layers: of the network before optimization.
        tensors: name → type and shape of inputs and outputs, e.g. `{"score": "FLOAT 1x540x960"}`.
    """

    data: bytes
    seconds: float
    layers: int
    tensors: dict[str, str]


def build_plan(
    model: Any,
    engine: str,
    target: str | None = None,
    half_parts: Iterable[str] = (),
    progress: Progress | None = None,
    device: str | None = None,
) -> Plan:
    """Compile an ONNX graph into one engine.

    Args:
        model: from `onnx_export.export_onnx`.
        engine: `tensorrt` or `tensorrt_rtx`.
        target: `tensorrt_rtx`: architecture such as `sm_89`, None = those that it chooses itself; `tensorrt`: name of
            this machine's device, for its timing cache.
        half_parts: names of the network's parts that may compute in half precision, e.g. `backbone`; a half-precision
            layer anywhere else is an error.
        progress: told how far the build is.
        device: `cuda` or `cuda:<index>`, whose free memory limits the build; None = it is built without a device.

    Raises:
        EngineError: an operation that TensorRT has not, a target that it cannot build for, half precision where there
            must be none, or too little memory.
    """
    api = load_api(engine)
    start = time.perf_counter()
    logger = Collector(api)
    builder = api.Builder(logger.logger)
    network, parser = parsed(api, builder, logger, model)
    check_islands(api, network, islands(model, half_parts))
    config = builder.create_builder_config()
    # TensorFloat-32 keeps ten bits, as float16 does: the float32 islands would be so in name only.
    config.clear_flag(api.BuilderFlag.TF32)
    free = None if device is None else free_memory(device)
    if free is not None:
        for pool in POOLS:
            config.set_memory_pool_limit(getattr(api.MemoryPoolType, pool), int(free * SHARE))
    cache = None
    if engine == "tensorrt_rtx":
        _set_target(api, config, target)
    else:
        cache = _timing_cache(api, config, target)
    monitor = _monitor(api, progress) if progress is not None else None
    if monitor is not None:
        config.progress_monitor = monitor
    data = builder.build_serialized_network(network, config)
    if data is None:
        raise EngineError(f"{engine} {api.__version__} could not build the network: {_advice(logger, free)}")
    if cache is not None:
        _store_timing_cache(config, cache)
    tensors = {tensor.name: f"{tensor.dtype.name} {'x'.join(map(str, tensor.shape))}" for tensor in _ends(network)}
    del parser  # until here: the network's weights live in it
    return Plan(bytes(data), time.perf_counter() - start, network.num_layers, tensors)


def free_memory(device: str) -> int:
    """Bytes that are free on a CUDA device now; on a Jetson, of the memory that it shares with the processor."""
    import torch

    return torch.cuda.mem_get_info(torch.device(device))[0]


def _advice(logger: Collector, free: int | None) -> str:
    """What the build said, and what to do where memory or an old card was the reason."""
    if "FP32 GEMM is not supported" in logger.last:
        return (
            f"{logger.last}; TensorRT-RTX has no float32 matrix products for sm_75, and likelihoods of mixtures are "
            "such; use engine: tensorrt or torch there"
        )
    if not MEMORY.search("\n".join(logger.errors)):
        return logger.last
    had = "" if free is None else f" of {free / 2**20:.0f} MiB that were free, {free * SHARE / 2**20:.0f} were allowed;"
    return (
        f"memory ran out ({logger.last});{had} end other programs (on a Jetson the desktop, or add swap), lower "
        "--batch or --size, or choose --precision fp16"
    )


def parsed(api: Any, builder: Any, logger: Collector, model: Any) -> tuple[Any, Any]:
    """The network of an ONNX graph, and its parser, which must live as long as the network.

    Raises:
        EngineError: TensorRT does not know an operation; inputs and outputs are not the declared ones.
    """
    typed = getattr(api.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # TensorRT 11 knows no other networks
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = api.OnnxParser(network, logger.logger)
    if not parser.parse(model.SerializeToString()):
        raise EngineError(f"TensorRT {api.__version__} cannot compile this network: {_parser_errors(parser, model)}")
    types = {tensor.name: tensor.dtype for tensor in _ends(network)}
    wanted = {INPUT: api.DataType.UINT8, OUTPUTS[0]: api.DataType.UINT8, OUTPUTS[1]: api.DataType.FLOAT}
    if types != wanted:
        raise EngineError(f"TensorRT {api.__version__} made other inputs or outputs than the graph has: {types}")
    return network, parser


def check_islands(api: Any, network: Any, names: set[str]) -> None:
    """Make sure that a parsed TensorRT network computes these nodes in float32, or in whole numbers.

    Raises:
        EngineError: names the first layer that does not, or nodes that no layer came from: then nobody knows.
    """
    halves = (api.DataType.HALF, api.DataType.BF16)
    unseen, lowered = set(names), False
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        half = any(layer.get_output(index).dtype in halves for index in range(layer.num_outputs))
        lowered |= half
        belongs = names.intersection((layer.name, *ORIGIN.findall(layer.metadata)))
        unseen -= belongs
        if belongs and half:
            raise EngineError(
                f"layer {layer.name} would compute in half precision, where likelihoods and scores need float32: "
                "a part of the network hands on half precision that should not; use --precision fp32"
            )
    if lowered and (unseen or not names):
        first = f", e.g. {min(unseen)}" if unseen else ""
        raise EngineError(
            f"{len(unseen) or 'all'} of the operations that need float32 cannot be found in the network that TensorRT "
            f"{api.__version__} made{first}: whether they would compute in half precision is unknown; use --precision "
            "fp32 and report this with the version"
        )


def _ends(network: Any) -> list[Any]:
    return [network.get_input(index) for index in range(network.num_inputs)] + [
        network.get_output(index) for index in range(network.num_outputs)
    ]


def _parser_errors(parser: Any, model: Any) -> str:
    texts = []
    for error in (parser.get_error(index) for index in range(parser.num_errors)):
        node = model.graph.node[error.node()] if 0 <= error.node() < len(model.graph.node) else None
        where = f"operation {node.op_type} ({scopes(model).get(node.name) or node.name}): " if node is not None else ""
        # The first line says that a node is invalid, the second why.
        texts.append(where + " ".join(error.desc().strip().splitlines()[:2]))
    return "; ".join(texts) or "no reason given"


def _set_target(api: Any, config: Any, target: str | None) -> None:
    if target is None:
        return
    config.num_compute_capabilities = 1
    # False here would leave the builder its own choice, and an engine for other devices under this name.
    if not config.set_compute_capability(compute_capability(api, target), 0):
        raise EngineError(f"tensorrt_rtx {api.__version__} does not take {target!r}, although it names it")


def compute_capability(api: Any, target: str) -> Any:
    """What TensorRT-RTX calls a target such as `sm_89`.

    Raises:
        EngineError: that is no target, or none that it builds for.
    """
    known = {f"sm_{name[2:]}": value for name, value in api.ComputeCapability.__members__.items() if "SM" in name}
    if re.fullmatch(r"sm_\d+", target) is None:
        raise EngineError(f"target {target!r} is no compute capability; write it as one of {_listed(known)}")
    if target not in known:
        raise EngineError(
            f"tensorrt_rtx {api.__version__} builds for {_listed(known)}, not for {target!r}; "
            "use engine: tensorrt on such a device"
        )
    return known[target]


def _listed(targets: Iterable[str]) -> str:
    """`sm_75, ..., sm_120`: by number, as tables and data sheets have them."""
    return ", ".join(sorted(targets, key=lambda name: int(name[3:])))


def _timing_cache(api: Any, config: Any, target: str | None) -> Path:
    """Measured kernel times of earlier builds: rebuilding after a new training takes a fraction of the time.

    They belong to one device, whose name stands in the file's. What TensorRT refuses all the same (another driver) is
    measured anew.
    """
    config.avg_timing_iterations = 4
    file = cache_dir() / "timing" / f"tensorrt-{api.__version__}-{target or 'this'}.cache"
    data = file.read_bytes() if file.is_file() else b""
    for content in (data, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            break
    return file


def _store_timing_cache(config: Any, file: Path) -> None:
    """Without a cache, or on a disk that cannot be written, only the next build takes longer."""
    cache = config.get_timing_cache()
    if cache is None:
        return
    with suppress(OSError), completed(file) as part:
        part.write_bytes(bytes(cache.serialize()))


def _monitor(api: Any, progress: Progress) -> Any:
    class Monitor(api.IProgressMonitor):
        def __init__(self) -> None:
            api.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._steps[phase_name] = max(1, num_steps)
            progress(phase_name, 0.0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            progress(phase_name, min(1.0, (step + 1) / self._steps.get(phase_name, 1)))
            return True

        def phase_finish(self, phase_name: str) -> None:
            progress(phase_name, 1.0)

    return Monitor()
