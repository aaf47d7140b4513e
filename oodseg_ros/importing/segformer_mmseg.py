"""SegFormer from mmsegmentation (`decode_head.fusion_conv`) or from its original repository
(`decode_head.linear_fuse`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..model_card import Licence
from .checkpoint import read_checkpoint, state_dict_of, without_prefix
from .class_names import known_label_set
from .imported import CITYSCAPES_TERMS, Imported, imagenet_input
from .mapping import Rule, as_conv1x1, as_linear, changed, split, taken

STAGE = r"backbone.model.stages."
LAYERS = r"backbone\.layers\.(\d)\."
BLOCK = STAGE + r"\1.blocks.\2."
MMSEG_RULES: tuple[Rule, ...] = (
    (LAYERS + r"0\.projection\.(.+)", STAGE + r"\1.patch_embeddings.proj.\2"),
    (LAYERS + r"0\.norm\.(.+)", STAGE + r"\1.patch_embeddings.layer_norm.\2"),
    (LAYERS + r"1\.(\d+)\.norm1\.(.+)", BLOCK + r"layernorm_before.\3"),
    (LAYERS + r"1\.(\d+)\.norm2\.(.+)", BLOCK + r"layernorm_after.\3"),
    (LAYERS + r"1\.(\d+)\.attn\.attn\.in_proj_(.+)", BLOCK + r"attention.qkv.\3"),
    (LAYERS + r"1\.(\d+)\.attn\.attn\.out_proj\.(.+)", BLOCK + r"attention.o_proj.\3"),
    (LAYERS + r"1\.(\d+)\.attn\.sr\.(.+)", BLOCK + r"attention.sequence_reduction.sequence_reduction.\3"),
    (LAYERS + r"1\.(\d+)\.attn\.norm\.(.+)", BLOCK + r"attention.sequence_reduction.layer_norm.\3"),
    (LAYERS + r"1\.(\d+)\.ffn\.layers\.0\.(.+)", BLOCK + r"mlp.fc1.\3"),
    (LAYERS + r"1\.(\d+)\.ffn\.layers\.1\.(.+)", BLOCK + r"mlp.dwconv.dwconv.\3"),
    (LAYERS + r"1\.(\d+)\.ffn\.layers\.4\.(.+)", BLOCK + r"mlp.fc2.\3"),
    (LAYERS + r"2\.(.+)", STAGE + r"\1.layer_norm.\2"),
    (r"decode_head\.convs\.(\d)\.conv\.(.+)", r"decoder.project.\1.0.\2"),
    (r"decode_head\.convs\.(\d)\.bn\.(.+)", r"decoder.project.\1.1.\2"),
    (r"decode_head\.fusion_conv\.conv\.(.+)", r"decoder.fuse.\1"),
    (r"decode_head\.fusion_conv\.bn\.(.+)", r"decoder.norm.\1"),
    (r"decode_head\.conv_seg\.(.+)", r"classifier.linear.\1"),
)
# Stages are counted from 1 there; `_from_zero` shifts them first.
ORIGINAL_RULES: tuple[Rule, ...] = (
    (r"backbone\.patch_embed(\d)\.proj\.(.+)", STAGE + r"\1.patch_embeddings.proj.\2"),
    (r"backbone\.patch_embed(\d)\.norm\.(.+)", STAGE + r"\1.patch_embeddings.layer_norm.\2"),
    (r"backbone\.block(\d)\.(\d+)\.norm1\.(.+)", BLOCK + r"layernorm_before.\3"),
    (r"backbone\.block(\d)\.(\d+)\.norm2\.(.+)", BLOCK + r"layernorm_after.\3"),
    (r"backbone\.block(\d)\.(\d+)\.attn\.q\.(.+)", BLOCK + r"attention.q_proj.\3"),
    (r"backbone\.block(\d)\.(\d+)\.attn\.kv\.(.+)", BLOCK + r"attention.kv.\3"),
    (r"backbone\.block(\d)\.(\d+)\.attn\.proj\.(.+)", BLOCK + r"attention.o_proj.\3"),
    (r"backbone\.block(\d)\.(\d+)\.attn\.sr\.(.+)", BLOCK + r"attention.sequence_reduction.sequence_reduction.\3"),
    (r"backbone\.block(\d)\.(\d+)\.attn\.norm\.(.+)", BLOCK + r"attention.sequence_reduction.layer_norm.\3"),
    (r"backbone\.block(\d)\.(\d+)\.mlp\.(.+)", BLOCK + r"mlp.\3"),
    (r"backbone\.norm(\d)\.(.+)", STAGE + r"\1.layer_norm.\2"),
    (r"decode_head\.linear_c(\d)\.proj\.(.+)", r"decoder.project.\1.0.\2"),
    (r"decode_head\.linear_fuse\.conv\.(.+)", r"decoder.fuse.\1"),
    (r"decode_head\.linear_fuse\.bn\.(.+)", r"decoder.norm.\1"),
    (r"decode_head\.linear_pred\.(.+)", r"classifier.linear.\1"),
)
TRAINING = re.compile(r"criterion\..+|auxiliary_head\..+")
UNUSED = re.compile(r"criterion\..+|auxiliary_head\..+|decode_head\.conv_seg\..+")  # in the original files
# What changes the answer and no tensor's shape, and its usual values, the only ones that are imported.
USUAL = {"num_heads": [1, 2, 5, 8], "sr_ratios": [8, 4, 2, 1], "strides": [4, 2, 2, 2], "patch_sizes": [7, 3, 3, 3]}
USUAL |= {"align_corners": "False", "to_rgb": "True", "bgr_to_rgb": "True"}
VARIANTS = {(2, 2, 2, 2): {32: "b0", 64: "b1"}, (3, 4, 6, 3): {64: "b2"}, (3, 4, 18, 3): {64: "b3"}}
VARIANTS |= {(3, 8, 27, 3): {64: "b4"}, (3, 6, 40, 3): {64: "b5"}}


def read(path: Path) -> Imported:
    """One file; which of the two forms it has is seen from its keys. The score is the energy of the logits.

    Raises:
        CheckpointError: the file cannot be read safely, or is neither form of SegFormer.
    """
    content = read_checkpoint(path)
    imported = interpret(state_dict_of(content, ("state_dict",), path), path)
    return _as_told(imported, content.get("meta") if isinstance(content, Mapping) else None, path)


def _as_told(imported: Imported, meta: Any, path: Path) -> Imported:
    """With the class names and the normalisation that mmsegmentation writes beside the tensors.

    Raises:
        CheckpointError: the configuration beside them asks for what this network does not do.
    """
    meta = meta if isinstance(meta, Mapping) else {}
    dataset = meta.get("dataset_meta")
    names = meta.get("CLASSES") or (dataset.get("classes") if isinstance(dataset, Mapping) else None) or ()
    names = tuple(map(str, names)) if isinstance(names, (list, tuple)) else ()
    text = str(meta.get("config") or meta.get("cfg") or "")
    for key, usual in USUAL.items():
        for found in re.findall(rf"\b{key}=([\[(][^\])]*[\])]|\w+)", text):
            value = [int(number) for number in re.findall(r"\d+", found)] if found[0] in "[(" else found
            if value != usual:
                raise CheckpointError(
                    f"{path} was trained with {key}={found}, as its configuration says; only {usual} is imported"
                )
    scales = {}
    for key in ("mean", "std"):
        told = {tuple(map(float, re.findall(r"[\d.]+", found))) for found in re.findall(rf"\b{key}=\[([^\]]*)\]", text)}
        if len(told) > 1 or any(len(values) != 3 for values in told):
            raise CheckpointError(f"{path}: its configuration names several values of {key}: {sorted(told)}")
        if told:
            scales[key] = tuple(value / 255 for value in told.pop())
    return replace(
        imported,
        input=imported.input.model_copy(update=scales) if len(scales) == 2 else imported.input,
        label_set=known_label_set(names) if names else imported.label_set,
        names=names,
    )


def interpret(state: dict[str, Tensor], path: Path) -> Imported:
    """The tensors of such a file in this project's terms; `path` is named in errors."""
    state = without_prefix(state, "module.")
    original = any(key.startswith("decode_head.linear_fuse.") for key in state)
    not_needed = UNUSED if original else TRAINING
    mapped, others = taken(
        _from_zero(state) if original else state, ORIGINAL_RULES if original else MMSEG_RULES, not_needed
    )
    try:
        _convert(mapped, original)
        network = _spec(mapped, original)
    except KeyError as error:
        raise CheckpointError(
            f"{path} is no SegFormer of mmsegmentation or of the original repository: nothing in it becomes {error}"
        ) from error
    form = "original" if original else "mmsegmentation"
    terms = "NVIDIA Source Code License (non-commercial)" if original else "Apache-2.0 (mmsegmentation)"
    return Imported(
        network=network | {"head": None, "score": "energy"},
        state=mapped,
        input=imagenet_input(32),
        source=f"SegFormer checkpoint, {form}",
        licence=Licence(weights=terms, data=CITYSCAPES_TERMS),
        **others,
    )


def _from_zero(state: dict[str, Tensor]) -> dict[str, Tensor]:
    pattern = re.compile(r"((?:backbone\.(?:patch_embed|block|norm)|decode_head\.linear_c))(\d)(\..+)")
    return {pattern.sub(lambda m: f"{m[1]}{int(m[2]) - 1}{m[3]}", key): value for key, value in state.items()}


def _convert(state: dict[str, Tensor], original: bool) -> None:
    attention = r"(.+)\.attention\."
    split(state, attention + r"qkv\.(.+)", [rf"\1.attention.{part}_proj.\2" for part in "qkv"])
    split(state, attention + r"kv\.(.+)", [rf"\1.attention.{part}_proj.\2" for part in "kv"])
    changed(state, r".+\.mlp\.fc\d\.weight", lambda w: as_linear(w) if w.ndim == 4 else w)
    changed(state, r"decoder\.project\.\d\.0\.weight", lambda w: as_conv1x1(w) if w.ndim == 2 else w)
    if original:
        # It concatenates the coarsest map first, this project the finest.
        state["decoder.fuse.weight"] = torch.cat(state["decoder.fuse.weight"].chunk(4, dim=1)[::-1], dim=1)


def _spec(state: dict[str, Tensor], original: bool) -> dict:
    widths = [state[f"{STAGE}{stage}.layer_norm.weight"].shape[0] for stage in range(4)]
    counts = [0, 0, 0, 0]
    for key in state:
        if found := re.match(r"backbone\.model\.stages\.(\d)\.blocks\.(\d+)\.", key):
            counts[int(found[1])] = max(counts[int(found[1])], int(found[2]) + 1)
    variant = VARIANTS.get(tuple(counts), {}).get(widths[0])
    backbone = {"name": "mit", "variant": variant} if variant else {"name": "mit", "widths": widths, "depths": counts}
    return {
        "backbone": backbone | {"inner_norm_epsilon": 1e-5 if original else 1e-6},
        "decoder": {
            "name": "all_mlp",
            "channels": state["decoder.fuse.weight"].shape[0],
            "projection": "linear" if original else "norm",
        },
        "classifier": {"name": "linear", "classes": state["classifier.linear.weight"].shape[0]},
    }
