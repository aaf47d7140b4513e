"""A directory that transformers' `save_pretrained` wrote: SegFormer, Mask2Former, DPT, UperNet, …, with a post-hoc
score.

SegFormer and Mask2Former become this project's networks of that name; any other semantic segmentation model is kept
whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, ConfigError
from ..labels import load_labels
from ..model_card import InputSpec, Licence
from ..paths import config_dir
from .imported import FULL_SIZE, IMAGENET_MEAN, IMAGENET_STD, Imported
from .mapping import Rule, as_conv1x1, changed, renamed

SEGFORMER_RULES: tuple[Rule, ...] = (
    (r"segformer\.(.+)", r"backbone.model.\1"),
    (r"decode_head\.linear_projections\.(\d)\.proj\.(.+)", r"decoder.project.\1.0.\2"),
    (r"decode_head\.linear_fuse\.(.+)", r"decoder.fuse.\1"),
    (r"decode_head\.batch_norm\.(.+)", r"decoder.norm.\1"),
    (r"decode_head\.classifier\.(.+)", r"classifier.linear.\1"),
)
MASK2FORMER_RULES: tuple[Rule, ...] = (
    (r"model\.(.+)", r"backbone.model.\1"),
    (r"class_predictor\.(.+)", r"classifier.class_predictor.\1"),
    (r"(criterion\..+)", r"ignored.\1"),
)
# Of a configuration: what describes the file and the labels, not the network.
DESCRIPTIVE = re.compile(r"_name_or_path|architectures|.*id2label|label2id|transformers_version|.*dtype|torch_dtype")


def read(files: Sequence[Path]) -> Imported:
    """One directory with `config.json` and weights. Raises CheckpointError where it is none, or its weights do not
    fit.
    """
    (folder,) = files
    config = _json(folder / "config.json")
    kind = config.get("model_type")
    labels = _label_set(config.get("id2label") or {})
    if kind == "segformer":
        network, state = _segformer(_load(folder, "AutoModelForSemanticSegmentation"))
    elif kind == "mask2former":
        network, state = _mask2former(_load(folder, "Mask2FormerForUniversalSegmentation"))
    else:
        network, state = _whole(_load(folder, "AutoModelForSemanticSegmentation"), config)
    return Imported(
        network=network | {"head": None},
        state=state,
        input=_input(folder),
        source=f"transformers {kind} directory",
        licence=Licence(weights="see the model card of the source"),
        label_set=labels,
    )


def _segformer(model: nn.Module) -> tuple[dict, dict[str, Tensor]]:
    config = model.config
    state, _ = renamed(model.state_dict(), SEGFORMER_RULES)
    changed(state, r"decoder\.project\.\d\.0\.weight", as_conv1x1)
    # transformers concatenates the coarsest map first, this project the finest.
    state["decoder.fuse.weight"] = torch.cat(state["decoder.fuse.weight"].chunk(4, dim=1)[::-1], dim=1)
    backbone = {"name": "mit", "widths": list(config.hidden_sizes), "depths": list(config.depths)}
    return {
        "backbone": backbone | {"norm_epsilon": 1e-5, "inner_norm_epsilon": 1e-5},
        "decoder": {"name": "all_mlp", "channels": config.decoder_hidden_size},
        "classifier": {"name": "linear", "classes": config.num_labels},
        "score": "energy",
    }, state


def _mask2former(model: nn.Module) -> tuple[dict, dict[str, Tensor]]:
    config = model.config
    state, _ = renamed(model.state_dict(), MASK2FORMER_RULES)
    state = {key: value for key, value in state.items() if not key.startswith("ignored.")}
    encoder = _described(config.backbone_config.to_diff_dict())
    kind = encoder.pop("model_type", config.backbone_config.model_type)
    for derived in ("out_features", "out_indices", "_out_features", "_out_indices", "stage_names"):
        encoder.pop(derived, None)
    options = _described(config.to_diff_dict())
    for given in ("backbone_config", "model_type"):
        options.pop(given, None)
    return {
        "backbone": {"name": "mask2former", "backbone": kind, "backbone_options": encoder, "options": options},
        "decoder": {"name": "none"},
        "classifier": {"name": "queries", "classes": config.num_labels},
        "score": "rejected_by_all",
    }, state


def _whole(model: nn.Module, config: Mapping[str, Any]) -> tuple[dict, dict[str, Tensor]]:
    options = _described(config) | {"num_labels": model.config.num_labels}
    state = {f"backbone.model.{key}": value for key, value in model.state_dict().items()}
    return {
        "backbone": {"name": "hf", "config": options},
        "decoder": {"name": "none"},
        "classifier": {"name": "none", "classes": model.config.num_labels},
        "score": "energy",
    }, state


def _load(folder: Path, loader: str) -> nn.Module:
    import transformers

    try:
        model, report = getattr(transformers, loader).from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            # Only so that all differences can be listed at once; any of them is refused below.
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{folder} cannot be loaded as a semantic segmentation model: {error}") from error
    problems = [
        f"{what} ({len(keys)}):\n  " + "\n  ".join(sorted(map(str, keys)))
        for what, keys in (
            ("missing", report["missing_keys"]),
            ("unexpected", report["unexpected_keys"]),
            ("misshapen", report["mismatched_keys"]),
        )
        if keys
    ]
    if problems:
        raise CheckpointError(f"{folder}: the weights do not fit config.json\n" + "\n".join(problems))
    return model.eval()


def _input(folder: Path) -> InputSpec:
    file = folder / "preprocessor_config.json"
    content = _json(file) if file.is_file() else {}
    size = content.get("size") or {}
    sides = [size[key] for key in ("height", "width") if isinstance(size, Mapping) and key in size]
    return InputSpec(
        mean=tuple(content.get("image_mean") or IMAGENET_MEAN),
        std=tuple(content.get("image_std") or IMAGENET_STD),
        pixels=sides[0] * sides[1] if len(sides) == 2 else FULL_SIZE,
        multiple=32,
    )


def _label_set(id2label: Mapping[str, str]) -> str:
    """The known label set with these names; cityscapes19 where nothing fits (`write_bundle` checks the count)."""
    names = [id2label[key] for key in sorted(id2label, key=int)]
    for file in sorted((config_dir() / "labels").glob("*.yaml")):
        try:
            if list(load_labels(file).names) == names:
                return file.stem
        except ConfigError:
            continue
    return "cityscapes19"


def _described(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not DESCRIPTIVE.fullmatch(key)}


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CheckpointError(
            f"{file.parent} is no transformers directory: {file.name} cannot be read ({error}); "
            "give the folder that holds config.json and model.safetensors"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds no configuration")
    return content
