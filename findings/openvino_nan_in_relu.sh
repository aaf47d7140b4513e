#!/usr/bin/env bash
# openvino 2026.4.1, numpy 2.2.6; CPU plugin, precision hint f32.
# Guessed: NaN in gives NaN out of every element-wise operation, as IEEE 754 and PyTorch have it, so that a broken
#   network shows in its answer.
# Seen: Relu gives 0, Clamp(0, 6) a bound of its range, MaxPool a number, and HSigmoid too; PRelu with a slope of 0 per
#   channel (the same function as Relu), GELU, Swish, Sigmoid, Softmax and AvgPool give NaN. An overflow behind which a
#   Relu comes is answered with ordinary numbers.
# Output seen:
#   Relu, Clamp, HSigmoid, MaxPool: NaN in, ordinary numbers out
#   PRelu 0, Gelu, Swish, Sigmoid, Softmax, AvgPool: NaN in, NaN out
# Exits with a status other than 0 when that changes.
set -euo pipefail
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
python3 -m venv "$w/venv"
"$w/venv/bin/pip" install -q openvino==2026.4.1 numpy==2.2.6
"$w/venv/bin/python" - <<'PY'
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as op

core = ov.Core()
hidden = {
    "Relu": op.relu,
    "Clamp": lambda x: op.clamp(x, 0.0, 6.0),
    "HSigmoid": op.hsigmoid,
    "MaxPool": lambda x: op.max_pool(x, [1, 1], [1, 1], [0, 0], [0, 0], [2, 2]).output(0),
}
shown = {
    "PRelu 0": lambda x: op.prelu(x, op.constant(np.zeros(4, np.float32))),
    "Gelu": lambda x: op.gelu(x, "erf"),
    "Swish": op.swish,
    "Sigmoid": op.sigmoid,
    "Softmax": lambda x: op.softmax(x, 1),
    "AvgPool": lambda x: op.avg_pool(x, [1, 1], [0, 0], [0, 0], [2, 2], False),
}
picture = np.zeros((1, 4, 8, 8), np.float32)
picture[..., 2:6, 2:6] = np.nan
changed = False
for wanted, operations in ((False, hidden), (True, shown)):
    for name, operation in operations.items():
        given = op.parameter([1, 4, 8, 8], np.float32)
        # Behind a convolution, as networks have it.
        kernel = np.zeros((4, 4, 1, 1), np.float32)
        kernel[range(4), range(4)] = 1
        convolved = op.convolution(given, op.constant(kernel), [1, 1], [0, 0], [0, 0], [1, 1])
        model = ov.Model([operation(convolved)], [given])
        answer = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([picture])[0]
        found = bool(np.isnan(answer).any())
        changed |= found != wanted
        print(f"{name:9s} NaN in, {'NaN' if found else 'ordinary numbers'} out")
print(ov.__version__)
sys.exit(int(changed))
PY
