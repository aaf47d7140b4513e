"""TensorRT's Python bindings without its library: a recording stand-in, made from the bindings' own signatures.

    python tensorrt_standin.py FOLDER PACKAGE MODEL.onnx [refuse-timing-cache | out-of-memory]

FOLDER holds an unpacked wheel of bindings, PACKAGE is the module in it. The C functions that the library would bring
are empty, so that the module loads. Every class that needs the library is replaced by one that has the same members
and nothing else: a call is held against the signatures in the member's docstring (number, names and types of the
arguments), written down, and answered with a value of the type that is declared. Enumerations, loggers and progress
monitors are the bindings' own. Then the package's code builds, loads and binds an engine; what was called is printed as
JSON.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

FUNCTIONS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
)  # fmt: skip
REPLACED = (
    "Builder", "INetworkDefinition", "OnnxParser", "IBuilderConfig", "ITimingCache", "IHostMemory", "ITensor", "ILayer",
    "Runtime", "ICudaEngine", "IExecutionContext", "IRuntimeConfig", "IRuntimeCache", "ParserError",
)  # fmt: skip
SIGNATURE = re.compile(r"^(?:\d+\. )?\w*\((?P<arguments>.*)\) -> (?P<result>.+?)$")


def load_bindings(folder: Path, package: str) -> Any:
    """Import the bindings over empty libraries of the names that they ask for."""
    (binary,) = (folder / package).glob("*.so")
    needed = subprocess.run(["readelf", "-d", str(binary)], capture_output=True, text=True, check=True).stdout
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in FUNCTIONS))
    for name in re.findall(r"\[(lib(?:nv|tensorrt)[^]]+)\]", needed):
        command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(folder / name), str(source)]
        subprocess.run(command, check=True)
        ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    sys.path.insert(0, str(folder))
    return importlib.import_module(package)


class StandIn:
    """What is imported as `tensorrt`: the bindings, with the classes of `REPLACED` recorded.

    Attributes:
        calls: `Class.member` and the arguments, in the order of the calls.
    """

    def __init__(self, bindings: Any, trouble: str = "") -> None:
        self.bindings = bindings
        self.trouble = trouble
        self.calls: list[tuple[str, list[str]]] = []
        self.kinds = {
            name: type(name, (Recorded,), {"_api": self, "_real": getattr(bindings, name), "_name": name})
            for name in REPLACED
            if hasattr(bindings, name)
        }

    def __getattr__(self, name: str) -> Any:
        return self.kinds.get(name) or getattr(self.bindings, name)

    def make(self, text: str, **facts: Any) -> Any:
        """A value of the type that a signature declares."""
        name = text.rsplit(".", 1)[-1].rsplit("::", 1)[-1].removesuffix(" | None")
        if name in self.kinds:
            return self.kinds[name](**facts)
        return {"bool": True, "int": 0, "str": "", "None": None, "tuple": ()}[name]


class Recorded:
    """An object of the library. What it answers where a type alone will not do is in `ANSWERS`."""

    _api: StandIn
    _real: type
    _name: str

    def __init__(self, *arguments: Any, **facts: Any) -> None:
        self.__dict__["facts"] = facts
        if arguments:
            self._call("__init__", arguments, {})

    def _call(self, member: str, arguments: tuple, options: dict) -> Any:
        static = inspect.getattr_static(self._real, member)
        result = matched(self._api, getattr(static, "__doc__", "") or "", self, arguments, options)
        self._api.calls.append((f"{self._name}.{member}", [repr(value) for value in (*arguments, *options.values())]))
        answer = ANSWERS.get((self._name, member))
        if answer is not None:
            return answer(self, *arguments, **options)
        return None if member == "__init__" else self._api.make(result)

    def __getattr__(self, member: str) -> Any:
        static = inspect.getattr_static(self._real, member)  # AttributeError: this version has no such member
        if not isinstance(static, property):
            return lambda *arguments, **options: self._call(member, arguments, options)
        self._api.calls.append((f"{self._name}.{member}", []))
        answer = ANSWERS.get((self._name, member))
        if answer is not None:
            return answer(self)
        if member in self.facts:
            return self.facts[member]
        return self._api.make(SIGNATURE.match(static.fget.__doc__.strip().splitlines()[0])["result"])

    def __setattr__(self, member: str, value: Any) -> None:
        static = inspect.getattr_static(self._real, member)
        if static.fset is None:
            raise AttributeError(f"{self._name}.{member} cannot be set")
        matched(self._api, static.fset.__doc__, self, (value,), {})
        self._api.calls.append((f"{self._name}.{member} =", [repr(value)]))
        self.facts[member] = value

    def __bytes__(self) -> bytes:
        return self.facts["content"]


def matched(api: StandIn, text: str, instance: Any, arguments: tuple, options: dict) -> str:
    """The result type of the first signature in a docstring that takes these arguments.

    Raises:
        TypeError: none does.
    """
    signatures = [found for line in text.splitlines() if (found := SIGNATURE.match(line.strip()))]
    for signature in signatures:
        if "*args" in signature["arguments"]:
            continue
        parameters = [parameter(part) for part in split(signature["arguments"])][1:]  # the first is the object itself
        names = [name for name, _, _ in parameters]
        given = dict(zip(names, arguments, strict=False)) | options
        if len(arguments) > len(names) or set(given) - set(names):
            continue
        if all(
            fits(api, given[name], kind, default) if name in given else default is not None
            for name, kind, default in parameters
        ):
            return signature["result"]
    raise TypeError(f"{type(instance).__name__}: {arguments} {options} do not fit {text.strip()[:200]}")


def split(text: str) -> list[str]:
    """Parts between commas that stand in no bracket."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(<") - (character in "])>")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def parameter(text: str) -> tuple[str, str, str | None]:
    """`name: type = default` → the three."""
    name, _, rest = text.partition(":")
    kind, _, default = rest.partition(" = ")
    return name.strip(), kind.strip(), default.strip() or None


def fits(api: StandIn, value: Any, kind: str, default: str | None) -> bool:
    """Whether pybind11 would take a value for a parameter of this type."""
    if value is None:
        return default == "None" or kind == "object"
    last = kind.rsplit(".", 1)[-1]
    plain = {"int": int, "SupportsInt": int, "SupportsIndex": int, "bool": bool, "str": str, "object": object}
    if last in plain:
        return isinstance(value, plain[last])
    if last.lower() == "buffer":
        return isinstance(value, (bytes, bytearray, memoryview))
    # `package.module.Class[.Nested]`, or `nvinfer1::Class` where the docstring was written before the class was known.
    known: Any = api.bindings
    for name in kind.split("::")[1:] or kind.split(".")[2:]:
        known = api.kinds.get(name) if known is api.bindings and name in api.kinds else getattr(known, name, None)
    return isinstance(known, type) and isinstance(value, known)


def _parse(parser: Recorded, model: bytes, path: str | None = None) -> bool:
    import onnx

    graph = onnx.load_model_from_string(bytes(model)).graph
    api = parser._api
    types = {1: "FLOAT", 2: "UINT8", 7: "INT64", 9: "BOOL", 10: "HALF", 16: "BF16", 6: "INT32", 3: "INT8"}

    def tensor(value: Any) -> Any:
        shape = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        dtype = getattr(api.DataType, types[value.type.tensor_type.elem_type])
        return api.ITensor(name=value.name, dtype=dtype, shape=shape)

    known = {value.name: value for value in (*graph.value_info, *graph.output)}
    layers = [
        api.ILayer(
            name=node.name,
            metadata=f"[ONNX Layer: {node.name}]",
            outputs=[tensor(known[name]) for name in node.output if name in known],
        )
        for node in graph.node
    ]
    facts = {"inputs": list(map(tensor, graph.input)), "outputs": list(map(tensor, graph.output)), "layers": layers}
    parser.facts["network"].facts.update(facts)
    return True


def _built(builder: Recorded, network: Recorded, config: Recorded) -> Any:
    api = builder._api
    monitor = config.facts.get("progress_monitor")
    if monitor is not None:
        monitor.phase_start("Building", None, 2)
        monitor.step_complete("Building", 0)
        monitor.phase_finish("Building")
    if api.trouble == "out-of-memory":
        builder.facts["logger"].log(api.ILogger.Severity.ERROR, "Error Code 10: insufficient memory on requested size")
        return None
    ends = [(side[0].name, *described(side)) for side in ends_of(network)]
    return api.IHostMemory(content=json.dumps(ends).encode())


def ends_of(network: Recorded) -> list[tuple[Any, str]]:
    """Inputs and outputs of a network with `INPUT` or `OUTPUT`."""
    return [(tensor, kind) for kind in ("INPUT", "OUTPUT") for tensor in network.facts[f"{kind.lower()}s"]]


def described(side: tuple[Any, str]) -> tuple[str, str, list[int]]:
    """Mode, type and shape of an input or output."""
    return side[1], side[0].dtype.name, list(side[0].shape)


def _deserialized(runtime: Recorded, data: bytes) -> Any:
    return runtime._api.ICudaEngine(tensors={name: rest for name, *rest in json.loads(bytes(data))})


def _executed(context: Recorded, stream: int) -> bool:
    return set(context.facts["addresses"]) == set(context.facts["tensors"])


def _addressed(context: Recorded, name: str, memory: int) -> bool:
    context.facts["addresses"][name] = memory
    return name in context.facts["tensors"]


def _context(engine: Recorded, *_: Any) -> Any:
    return engine._api.IExecutionContext(tensors=engine.facts["tensors"], addresses={})


ANSWERS: dict[tuple[str, str], Any] = {
    ("Builder", "__init__"): lambda self, logger: self.facts.update(logger=logger),
    ("Builder", "build_serialized_network"): _built,
    ("OnnxParser", "__init__"): lambda self, network, logger: self.facts.update(network=network),
    ("OnnxParser", "parse"): _parse,
    ("INetworkDefinition", "num_inputs"): lambda self: len(self.facts["inputs"]),
    ("INetworkDefinition", "num_outputs"): lambda self: len(self.facts["outputs"]),
    ("INetworkDefinition", "num_layers"): lambda self: len(self.facts["layers"]),
    ("INetworkDefinition", "get_input"): lambda self, index: self.facts["inputs"][index],
    ("INetworkDefinition", "get_output"): lambda self, index: self.facts["outputs"][index],
    ("INetworkDefinition", "get_layer"): lambda self, index: self.facts["layers"][index],
    ("ILayer", "num_outputs"): lambda self: len(self.facts["outputs"]),
    ("ILayer", "get_output"): lambda self, index: self.facts["outputs"][index],
    ("IBuilderConfig", "create_timing_cache"): lambda self, data: self._api.ITimingCache(content=bytes(data)),
    ("IBuilderConfig", "set_timing_cache"): lambda self, cache, ignore_mismatch: (
        # TensorRT takes an empty cache always, and another device's never.
        not (self._api.trouble == "refuse-timing-cache" and bytes(cache)) and not self.facts.update(timing_cache=cache)
    ),
    ("IBuilderConfig", "get_timing_cache"): lambda self: self.facts.get("timing_cache"),
    ("ITimingCache", "serialize"): lambda self: self._api.IHostMemory(content=b"measured"),
    ("Runtime", "deserialize_cuda_engine"): _deserialized,
    ("Runtime", "get_engine_validity"): lambda self, data: (self._api.EngineValidity.VALID, 0),
    ("ICudaEngine", "num_io_tensors"): lambda self: len(self.facts["tensors"]),
    ("ICudaEngine", "get_tensor_name"): lambda self, index: list(self.facts["tensors"])[index],
    ("ICudaEngine", "get_tensor_mode"): lambda self, name: getattr(
        self._api.TensorIOMode, self.facts["tensors"][name][0]
    ),
    ("ICudaEngine", "get_tensor_dtype"): lambda self, name: getattr(self._api.DataType, self.facts["tensors"][name][1]),
    ("ICudaEngine", "get_tensor_shape"): lambda self, name: self._api.Dims(self.facts["tensors"][name][2]),
    ("ICudaEngine", "create_execution_context"): _context,
    ("IExecutionContext", "set_tensor_address"): _addressed,
    ("IExecutionContext", "execute_async_v3"): _executed,
    ("IRuntimeCache", "serialize"): lambda self: self._api.IHostMemory(content=b"kernels"),
}


def main() -> None:
    """Build, load and bind with the stand-in; print what was called."""
    folder, package, model, *trouble = sys.argv[1:]
    engine = "tensorrt_rtx" if "rtx" in package else "tensorrt"
    api = StandIn(load_bindings(Path(folder), package), *trouble)
    sys.modules[engine] = api  # type: ignore[assignment]

    import onnx
    import torch

    from oodseg_ros.building import tensorrt_plan
    from oodseg_ros.inference.engines.tensorrt import Bound, deserialized, tensor_names
    from oodseg_ros.inference.engines.tensorrt_api import Collector, context_of, load_api, store_kernels

    assert load_api(engine) is api
    for name, member in (("Builder", "nonsense"), ("IBuilderConfig", "nonsense")):
        try:
            getattr(getattr(api, name)(), member)
        except AttributeError:
            continue
        raise AssertionError("the stand-in answers what the bindings do not have")
    tensorrt_plan.free_memory = lambda device: 2 << 30
    graph, shape, phases = onnx.load(model), (1, 64, 96), {}
    target = "sm_89" if engine == "tensorrt_rtx" else "sm_87-16sm-4096kb-256bit-61gib"
    device = None if engine == "tensorrt_rtx" else "cuda:0"
    plan = tensorrt_plan.build_plan(graph, engine, target, ("backbone", "decoder"), phases.__setitem__, device)
    file = Path(folder) / "engine.plan"
    file.write_bytes(plan.data)
    runtime = api.Runtime(Collector(api).logger)
    loaded = deserialized(api, runtime, file, "a test")
    names = tensor_names(api, loaded, shape, shape)
    context, kernels, one_graph = context_of(api, loaded, file)
    bound = Bound(context, names, shape, torch.device("cpu"), torch.float32)
    images = torch.zeros((*shape, 3), dtype=torch.uint8)
    answers = bound(images, 7)
    store_kernels(kernels, file)
    buffers = dict(zip(names, (images, *bound.outputs), strict=True))
    bindings = {
        name: [str(buffer.dtype), list(buffer.shape), context.facts["addresses"][name] == buffer.data_ptr()]
        for name, buffer in buffers.items()
    }
    print(
        json.dumps(
            {
                "version": api.__version__,
                "calls": api.calls,
                "bindings": bindings,
                "tensors": plan.tensors,
                "phases": phases,
                "one_graph": one_graph,
                "capturable": bound.capturable(7),
                "answers": [list(answer.shape) for answer in answers],
            }
        )
    )


if __name__ == "__main__":
    main()
