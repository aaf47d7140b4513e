#!/usr/bin/env bash
# openvino 2026.4.1, numpy 2.2.6; CPU plugin, a processor with AMX (amx_int8, amx_bf16); elsewhere it shows nothing.
# Guessed: a convolution quantized to INT8 (FakeQuantize before it, int8 weights times a scale), or one with the hint
#   bf16, answers as in float but for rounding, whatever instructions the processor has.
# Seen: with AMX, convolutions of even kernels as wide as their stride, from 4 on, and 8 to 48 input channels answer
#   something else: the error is as large as the spread of the answer. Which: INT8 4x4 with 32 and 48 channels, 8x8 with
#   16 to 48, 16x16 with 8 to 48; BF16 4x4 with 16, 8x8 and 16x16 with 8 and 16. 64 channels are right, so are 3, and
#   kernels 2, 3, 5, 7 and 14. ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI, set before the start, makes the INT8 ones right.
#   SegFormer-B0 has such a one: 8x8, stride 8, 32 channels, before keys and values of its first stage.
# Output seen (error over the spread of the answer):
#   int8, 32 channels, 4x4 by 4: 0.8
#   int8, 32 channels, 8x8 by 8: 1.0
#   int8, 64 channels, 8x8 by 8: 0.0
#   bf16, 16 channels, 8x8 by 8: 0.9
#   bf16, 64 channels, 8x8 by 8: 0.0
# Exits with a status other than 0 when that changes.
set -euo pipefail
grep -q amx_int8 /proc/cpuinfo || { echo "no AMX here: nothing to see"; exit 0; }
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
python3 -m venv "$w/venv"
"$w/venv/bin/pip" install -q openvino==2026.4.1 numpy==2.2.6
"$w/venv/bin/python" - <<'PY'
import sys

import numpy as np
import openvino as ov
from openvino import opset13 as op

core = ov.Core()


def error(hint: str, channels: int, side: int) -> float:
    rng = np.random.default_rng(0)
    given = op.parameter([1, channels, 64, 96], np.float32)
    whole = rng.integers(-127, 128, (32, channels, side, side)).astype(np.int8)
    scale = np.full((32, 1, 1, 1), 1 / (127 * side * channels**0.5), np.float32)
    weights = op.multiply(op.convert(op.constant(whole), "f32"), op.constant(scale))
    map_ = given
    if hint == "f32":  # quantized
        map_ = op.fake_quantize(given, *(op.constant(np.float32(bound)) for bound in (0, 2, 0, 2)), 256)
    convolved = op.convolution(map_, weights, [side] * 2, [0, 0], [0, 0], [1, 1])
    picture = rng.uniform(0, 2, (1, channels, 64, 96)).astype(np.float32)
    model = ov.Model([convolved], [given])
    answer = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})([picture])[0]
    flat = picture.reshape(channels, 64 // side, side, 96 // side, side)
    wanted = np.einsum("cyixk,ocik->oyx", flat, whole * scale, optimize=True)
    return float(np.sqrt(((answer[0] - wanted) ** 2).mean()) / wanted.std())


changed = False
for hint, channels, side, wrong in (
    ("f32", 32, 4, True), ("f32", 32, 8, True), ("f32", 64, 8, False), ("bf16", 16, 8, True), ("bf16", 64, 8, False)
):
    found = error(hint, channels, side)
    changed |= (found > 0.3) != wrong
    print(f"{'int8' if hint == 'f32' else hint}, {channels} channels, {side}x{side} by {side}: {found:.1f}")
print(ov.__version__)
sys.exit(int(changed))
PY
