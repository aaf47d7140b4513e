from __future__ import annotations

import numpy as np
import openvino
import pytest
import torch

from oodseg_ros.inference.engines.openvino import openvino_core
from oodseg_ros.inference.graph import DeployGraph
from oodseg_ros.model_card import InputSpec


@pytest.mark.slow
def test_openvino_compiles_every_network_to_the_same_answer(small_spec, build):
    network, images = build(small_spec)
    height, width = images.shape[-2:]
    spec = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=network.multiple)
    graph = DeployGraph(network, spec, height, width).eval()
    frames = torch.randint(0, 256, (1, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        labels, score = graph(frames)
        exported = torch.export.export(graph, (torch.zeros_like(frames),), strict=False)
    model = openvino_core().compile_model(openvino.convert_model(exported), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answer = model([frames.numpy()])
    assert np.abs(answer[1] - score.numpy()).max() <= 1e-3
    assert (answer[0] == labels.numpy()).mean() > 0.999
