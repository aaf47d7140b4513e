#!/usr/bin/env bash
# nncf 3.4.0, openvino 2026.4.1, numpy 2.2.6; post-training quantization with the default ranges.
# Guessed: an activation's range covers what calibration saw. The default collectors are called min and max, so the
#   brightest pixel of all calibration pictures is inside.
# Seen: the range is the mean over the pictures of each one's extremes. With nine dull pictures (-60 to 60) and one of full
#   contrast (-120 to 120) the picture's quantizer ends near -66 and 66: white and black of a calibration picture itself
#   are cut. MIN and MAX as aggregator of the range give -120 and 120.
# Output seen:
#   default range of the picture: -66.5 .. 66.0
#   with min and max asked for:   -120.9 .. 120.0
# Exits with a status other than 0 when that changes.
set -euo pipefail
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
python3 -m venv "$w/venv"
"$w/venv/bin/pip" install -q nncf==3.4.0 openvino==2026.4.1 numpy==2.2.6
"$w/venv/bin/python" - <<'PY' 2> /dev/null
import sys

import numpy as np
import nncf
import openvino as ov
from nncf.quantization.range_estimator import AggregatorType, RangeEstimatorParameters, StatisticsCollectorParameters, StatisticsType
from openvino import opset13 as op

draw = np.random.default_rng(0)
pictures = [draw.uniform(-60, 60, (1, 3, 16, 16)).astype(np.float32) for _ in range(10)]
for picture, ends in zip(pictures, [(-60, 60)] * 9 + [(-120, 120)]):
    picture[0, :, 0, 0], picture[0, :, 0, 1] = ends


def ends_of_the_picture(**parameters):
    given = op.parameter([1, 3, 16, 16], np.float32, name="picture")
    kernel = op.constant(draw.normal(size=(8, 3, 3, 3)).astype(np.float32))
    answer = op.convolution(given, kernel, [1, 1], [1, 1], [1, 1], [1, 1])
    model = nncf.quantize(ov.Model([answer], [given], "small"), nncf.Dataset(pictures), **parameters)
    reader = next(iter(model.inputs[0].get_target_inputs())).get_node()
    assert reader.get_type_name() == "FakeQuantize", reader
    return [float(reader.input_value(side).get_node().get_data().ravel()[0]) for side in (1, 2)]


mixed = {"preset": nncf.QuantizationPreset.MIXED}
low, high = ends_of_the_picture(**mixed)
print(f"default range of the picture: {low:.1f} .. {high:.1f}")
asked = RangeEstimatorParameters(
    min=StatisticsCollectorParameters(StatisticsType.MIN, AggregatorType.MIN),
    max=StatisticsCollectorParameters(StatisticsType.MAX, AggregatorType.MAX),
)
advanced = nncf.AdvancedQuantizationParameters(activations_range_estimator_params=asked)
least, most = ends_of_the_picture(**mixed, advanced_parameters=advanced)
print(f"with min and max asked for:   {least:.1f} .. {most:.1f}")
print(nncf.__version__, ov.__version__)
sys.exit(int(not (high < 70 and low > -70 and most > 119 and least < -119)))
PY
