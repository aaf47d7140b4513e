#!/usr/bin/env bash
# tensorrt-rtx 1.7.1.116 (cu13 libraries and bindings), onnx 1.23.2, numpy 2.2.6; Linux x86-64, no GPU needed.
# Guessed: SM75 is one of the targets that the library names, so a network of float32 that it builds for SM80 it builds
#   for SM75 too; if one type were missing on Turing, it would be a newer one.
# Seen: a float32 MatMul is refused for SM75 alone. The same product in float16 is built, and so is the float32 product
#   written as a convolution of 1x1. So a network that keeps its last matrix product in float32 for exactness has no
#   engine on Turing, and one whose classifier is a convolution has.
# Output seen:
#   MatMul float32: SM75 refused (FP32 GEMM is not supported), SM80 built, SM89 built
#   MatMul float16: SM75 built, SM80 built, SM89 built
#   Conv 1x1 float32: SM75 built, SM80 built, SM89 built
# Exits with a status other than 0 when that changes.
set -euo pipefail
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
python3 -m venv "$w/venv"
"$w/venv/bin/pip" install -q tensorrt-rtx-cu13-libs==1.7.1.116 tensorrt-rtx-cu13-bindings==1.7.1.116 onnx==1.23.2 numpy==2.2.6
"$w/venv/bin/python" - <<'PY'
import sys

import numpy as np
import onnx
import tensorrt_rtx_bindings as trt
from onnx import TensorProto, helper, numpy_helper


class Log(trt.ILogger):
    def __init__(self):
        trt.ILogger.__init__(self)
        self.text = ""

    def log(self, severity, text):
        self.text += text


def model(kind, name):
    dtype, rng = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}[name], np.random.default_rng(0)
    shape, answer = ((16, 8), (1, 1024, 8)) if kind == "MatMul" else ((8, 16, 1, 1), (1, 8, 32, 32))
    x = helper.make_tensor_value_info("x", dtype, (1, 1024, 16) if kind == "MatMul" else (1, 16, 32, 32))
    y = helper.make_tensor_value_info("y", dtype, answer)
    weights = numpy_helper.from_array(rng.normal(size=shape).astype(name), "w")
    graph = helper.make_graph([helper.make_node(kind, ["x", "w"], ["y"])], "g", [x], [y], [weights])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]).SerializeToString()


def built(kind, name, target):
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    assert trt.OnnxParser(network, log).parse(model(kind, name))
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    assert config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    if builder.build_serialized_network(network, config) is not None:
        return "built"
    reason = "FP32 GEMM is not supported"
    return f"refused ({reason})" if reason in log.text else f"refused: {log.text[-300:]}"


seen = []
for kind, name, title in (("MatMul", "float32", "MatMul"), ("MatMul", "float16", "MatMul"), ("Conv", "float32", "Conv 1x1")):
    answers = [f"{target} {built(kind, name, target)}" for target in ("SM75", "SM80", "SM89")]
    seen.append(f"{title} {name}: {', '.join(answers)}")
print("\n".join(seen))
everywhere = "SM75 built, SM80 built, SM89 built"
sys.exit(
    seen
    != [
        "MatMul float32: SM75 refused (FP32 GEMM is not supported), SM80 built, SM89 built",
        f"MatMul float16: {everywhere}",
        f"Conv 1x1 float32: {everywhere}",
    ]
)
PY
