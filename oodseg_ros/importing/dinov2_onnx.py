"""A DINOv2 backbone out of an ONNX graph that transformers exported, also where it lies in a Python wheel.

The graph keeps the names of most tensors; matrix products lost theirs and are stored transposed under the names of
their nodes, and the position table is cut into class token and patches.
"""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError
from .mapping import Rule, renamed

PREFIX = "backbone."
SUFFIXES = (".onnx", ".whl")
RULES: tuple[Rule, ...] = (
    (r"(encoder\.layer\.\d+)\.attention\.attention\.(query|key|value)\.(.+)", r"model.\1.attention.\2_proj.\3"),
    (r"(encoder\.layer\.\d+)\.attention\.output\.dense\.(.+)", r"model.\1.attention.o_proj.\2"),
    (r"((?:encoder\.layer\.\d+|embeddings|layernorm)\..+)", r"model.\1"),
)
SHORT = {"query": "q", "key": "k", "value": "v"}


def read_backbone(path: Path) -> dict[str, Tensor]:
    """State dict of `networks.backbones.vit.DinoV2` without registers.

    Args:
        path: an ONNX file, or a wheel or other zip archive with exactly one ONNX file in it.

    Raises:
        CheckpointError: it cannot be read, or holds no such network.
    """
    import onnx

    try:
        graph = onnx.load(io.BytesIO(_bytes(path))).graph
        tensors = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    except CheckpointError:
        raise
    except Exception as error:  # whatever protobuf and onnx raise on bytes that are something else
        raise CheckpointError(f"{path} holds no readable ONNX graph: {error}") from error
    named = {name[len(PREFIX) :]: value for name, value in tensors.items() if name.startswith(PREFIX)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in tensors and f"/{PREFIX[:-1]}/" in node.name:
            name = node.name.strip("/").replace("/", ".").removeprefix(PREFIX).replace(".MatMul", ".weight")
            named[name] = tensors[node.input[1]].T
    named["embeddings.position_embeddings"] = _positions(tensors, named, path)
    state, _ = renamed({key: torch.from_numpy(np.array(value)) for key, value in named.items()}, RULES)
    state = {
        re.sub(r"(query|key|value)_proj", lambda m: f"{SHORT[m[1]]}_proj", key): value for key, value in state.items()
    }
    width = state["model.embeddings.position_embeddings"].shape[-1]
    # Parts that a network without registers and without masking has, and no export of it.
    return state | {
        "model.embeddings.mask_token": torch.zeros(1, width),
        "model.embeddings.register_tokens": torch.zeros(1, 0, width),
    }


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"no file {path}")
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".onnx")]
        if len(names) != 1:
            raise CheckpointError(f"{path} holds {len(names)} ONNX files, one is needed: {', '.join(names) or 'none'}")
        return archive.read(names[0])


def _positions(tensors: dict[str, np.ndarray], named: dict[str, Any], path: Path) -> np.ndarray:
    """`[1, 1 + n, C]`: class token and patches, of which an export folds each into a constant of its own."""
    if "embeddings.position_embeddings" in named:
        return named["embeddings.position_embeddings"]
    try:
        width = named["embeddings.cls_token"].shape[-1]
    except KeyError as error:
        raise CheckpointError(f"{path} is no exported DINOv2: it has no tensor {PREFIX}{error.args[0]}") from error
    loose = [
        value
        for name, value in tensors.items()
        if not name.startswith(PREFIX) and value.ndim == 3 and value.shape[0] == 1 and value.shape[2] == width
    ]
    first = [value for value in loose if value.shape[1] == 1]
    patches = [value for value in loose if value.shape[1] > 1 and round(value.shape[1] ** 0.5) ** 2 == value.shape[1]]
    if len(first) != 1 or len(patches) != 1:
        raise CheckpointError(
            f"{path}: the position table was not found: {len(first)} candidates for the class token's, "
            f"{len(patches)} for the patches'"
        )
    return np.concatenate([first[0], patches[0]], axis=1)
