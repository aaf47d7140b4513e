"""A directory that transformers' `save_pretrained` wrote: SegFormer, Mask2Former, DPT, UperNet, EoMT, …, with a
post-hoc score.

SegFormer with its usual options and Mask2Former become this project's networks of that name, which heads can be trained
on; any other semantic segmentation model is kept whole, built from its own configuration. Whatever it becomes, the
answer on a picture is compared with transformers' own before a bundle is written (`Imported.reference`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import CheckpointError, why
from ..inference.sizes import network_size
from ..model_card import InputSpec, Licence
from ..networks.backbones.hf import QUERY_MODELS, fetching
from .checkpoint import beginning, check_archive, first_line
from .class_names import known_label_set
from .hf_processor import MULTIPLE, input_spec
from .imported import FULL_SIZE, Imported, Reference, check_numbers, imagenet_input
from .mapping import Rule, as_conv1x1, changed, refuse_differences, renamed

SEGFORMER_RULES: tuple[Rule, ...] = (
    (r"segformer\.(.+)", r"backbone.model.\1"),
    (r"decode_head\.linear_projections\.(\d)\.proj\.(.+)", r"decoder.project.\1.0.\2"),
    (r"decode_head\.linear_fuse\.(.+)", r"decoder.fuse.\1"),
    (r"decode_head\.batch_norm\.(.+)", r"decoder.norm.\1"),
    (r"decode_head\.classifier\.(.+)", r"classifier.linear.\1"),
)
SEGFORMER_OPTIONS = ("num_channels", "num_encoder_blocks", "sr_ratios", "patch_sizes", "strides", "num_attention_heads")
SEGFORMER_OPTIONS += ("mlp_ratios", "hidden_act", "reshape_last_stage")
"""What this project's SegFormer has at transformers' defaults only."""
MASK2FORMER_RULES: tuple[Rule, ...] = (
    (r"model\.(.+)", r"backbone.model.\1"),
    (r"class_predictor\.(.+)", r"classifier.class_predictor.\1"),
)
MASK2FORMER_BACKBONES = ("resnet", "swin")
# Of a configuration: what describes the file and the labels, not the network.
DESCRIPTIVE = re.compile(r"_name_or_path|architectures|.*id2label|label2id|transformers_version|.*dtype|torch_dtype")
# Tensors that training alone needs, or that older files do not have.
TRAINING_ONLY = re.compile(
    r"criterion\..+|.*\.num_batches_tracked|auxiliary_head\..+|model\.text_mapper\..+|.*position_ids"
)
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
PROOF_SIZE, QUERY_PROOF_SIZE = (192, 320), (384, 384)
"""H and W of the picture that is compared. transformers brings Mask2Former's masks to 384x384 before it sums them,
whatever the picture; at that size a network that does not do so answers the same."""
ADAPTER = "adapter_config.json"
RESIZES = ("keep", "processor")
POST_PROCESSING = {"mask2former": "Mask2FormerImageProcessorPil", "maskformer": "MaskFormerImageProcessorPil"}
"""Whose semantic answer is the network's own, whatever processor lies beside it."""


def read(folder: Path, preprocessing: str | None = None, resize: str = "keep") -> Imported:
    """One directory with `config.json`, weights and `preprocessor_config.json`.

    Args:
        preprocessing: `imagenet` where the directory says nothing of it.
        resize: `keep` the size of frames up to the number of pixels that the processor names, or what the `processor`
            does. Networks that take one size only are sized as the processor does in any case.

    Raises:
        CheckpointError: it is none, its weights do not fit, or it asks for something that a bundle cannot carry out.
    """
    import transformers

    if (folder / ADAPTER).is_file():
        raise CheckpointError(
            f"{folder} holds an adapter (LoRA or another of peft: {ADAPTER}), which changes a model and is none; merge "
            "it with peft's `model.merge_and_unload()` and import what `save_pretrained` then writes"
        )
    config = _json(folder / "config.json")
    if quantized := config.get("quantization_config"):
        method = quantized.get("quant_method", "") if isinstance(quantized, Mapping) else ""
        raise CheckpointError(
            f"{folder}: its weights are quantized ({method or 'quantization_config'}); import those of the network "
            "before, in float32 or float16"
        )
    if asked := fetching(config):
        raise CheckpointError(f"{folder}: config.json asks for code or files from elsewhere ({', '.join(asked)})")
    kind = config.get("model_type")
    model, ignored = _load(folder, kind)
    processor = _processor(folder, preprocessing)
    network, state = _network(model, kind)
    if kind == "oneformer":
        network["backbone"]["task"] = _task(folder)
    spec, notes = _input(folder, model, kind, processor, resize)
    names = _names(model.config, folder)
    if (
        _reduced(processor)
        and names
        and re.sub(r"\W", "", names[0]).lower() in ("background", "void", "unlabeled", "other")
    ):
        raise CheckpointError(
            f"{folder}: reduce_labels says that training left label 0 out and counted the others from there, but "
            f"config.json calls the first class {names[0]!r}: every name would be one off. Take the name out of "
            "id2label, so that it lists what the network's outputs are, and import again"
        )
    reference = None
    if processor is not None:
        what = f"transformers {transformers.__version__} with its own preprocessing and post-processing"
        reference = Reference(_own_answer(model, processor, kind, spec, network), *_proof_size(spec, kind), what)
    return Imported(
        network=network | {"head": None},
        state=state,
        input=spec,
        source=f"transformers {kind} directory",
        licence=Licence(weights="see the model card of the source"),
        label_set=known_label_set(names),
        names=tuple(names),
        ignored=tuple(ignored),
        notes=tuple(notes),
        reference=reference,
    )


def _network(model: nn.Module, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    config = model.config
    if kind == "segformer" and _usual_segformer(config):
        return _segformer(model)
    if kind == "mask2former" and config.backbone_config.model_type in MASK2FORMER_BACKBONES:
        return _mask2former(model)
    options = _described(json.loads(json.dumps(config.to_dict(), default=str)))
    options |= {"num_labels": config.num_labels}
    if options.get("use_auxiliary_head"):
        options["use_auxiliary_head"] = False  # it helps training alone
    if kind == "oneformer":
        options["is_training"] = False
    unused = re.compile(r"auxiliary_head\..+|model\.text_mapper\..+")
    state = {f"backbone.model.{key}": value for key, value in model.state_dict().items() if not unused.fullmatch(key)}
    return {
        "backbone": {"name": "hf", "config": options},
        "decoder": {"name": "none"},
        "classifier": {"name": "none", "classes": config.num_labels},
        "score": "rejected_by_all" if kind in QUERY_MODELS else "energy",
    }, state


def _usual_segformer(config: Any) -> bool:
    from transformers import SegformerConfig

    usual = SegformerConfig()
    return all(_listed(getattr(config, key)) == _listed(getattr(usual, key)) for key in SEGFORMER_OPTIONS)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, (list, tuple)) else value


def _segformer(model: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
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


def _mask2former(model: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    config = model.config
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("criterion.")}
    state, _ = renamed(state, MASK2FORMER_RULES)
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


def _load(folder: Path, kind: str | None) -> tuple[nn.Module, list[str]]:
    """The model in float32, and the keys of the file that it does not need."""
    import transformers

    for file in sorted((*folder.glob("*.bin"), *folder.glob("*.safetensors"))):
        beginning(file)
        check_archive(file)
    auto = (
        transformers.AutoModelForUniversalSegmentation
        if kind in QUERY_MODELS
        else transformers.AutoModelForSemanticSegmentation
    )
    try:
        model, report = auto.from_pretrained(
            str(folder),
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            # Only so that all differences can be listed at once; any of them is refused below.
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    except Exception as error:  # foreign files through a foreign library: whatever it raises is about them
        raise CheckpointError(
            f"{folder} cannot be loaded as a semantic segmentation model: {first_line(error)}"
        ) from error
    unexpected = [key for key in report["unexpected_keys"] if not TRAINING_ONLY.fullmatch(key)]
    missing = [key for key in report["missing_keys"] if not TRAINING_ONLY.fullmatch(key)]
    misshapen = [found for found in report["mismatched_keys"] if not TRAINING_ONLY.fullmatch(str(found[0]))]
    first = str(unexpected[0]) if unexpected else ""
    for prefix in (first[: dot.end()] for dot in re.finditer(r"\.", first)):
        if all(str(key).startswith(prefix) and str(key)[len(prefix) :] in missing for key in unexpected):
            raise CheckpointError(
                f"{folder}: every tensor's name begins with {prefix!r}, which a wrapper (DataParallel, torch.compile, "
                "a training framework) put there; save the wrapped model itself, or cut it off the names in the file"
            )
    refuse_differences(f"{folder}: the weights do not fit config.json", missing, unexpected, misshapen)
    # transformers turns whatever it finds into the numbers that the network has.
    check_numbers(_stored_types(folder), model.state_dict(), str(folder))
    return model.eval(), sorted(set(report["unexpected_keys"]) - set(unexpected))


def _stored_types(folder: Path) -> dict[str, torch.dtype]:
    """Types of the tensors as the files of a directory hold them."""
    from safetensors import safe_open

    types: dict[str, torch.dtype] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(str(file), "pt") as tensors:
            shaped = [key for key in tensors.keys() if tensors.get_slice(key).get_shape()]  # noqa: SIM118 (no dict)
            types |= {key: tensors.get_slice(key)[:0].dtype for key in shaped}
    for file in () if types else sorted(folder.glob("pytorch_model*.bin")):
        found = torch.load(file, map_location="meta", weights_only=True)
        types |= {key: value.dtype for key, value in found.items() if isinstance(value, Tensor)}
    return types


def _processor(folder: Path, preprocessing: str | None) -> Any:
    """transformers' own image processor of the directory, in its Pillow form; None with `preprocessing`."""
    present = [name for name in PROCESSOR_FILES if (folder / name).is_file()]
    if preprocessing is not None:
        if preprocessing != "imagenet":
            raise CheckpointError(f"preprocessing {preprocessing!r} is not known; imagenet is")
        if present:
            raise CheckpointError(
                f"{folder} says what its preprocessing is ({present[0]}); import without --preprocessing"
            )
        return None
    if not present:
        raise CheckpointError(
            f"{folder} has no {PROCESSOR_FILES[0]}: what its network expects of a picture is not known. Fetch that "
            "file from where the weights come from; or, if you know that it is ImageNet's mean and deviation on RGB "
            "in 0..1, import with --preprocessing imagenet"
        )
    for name in present:
        _json(folder / name)
    from transformers import AutoImageProcessor

    # `class_info_file` names a file on a server that only OneFormer's training reads.
    try:
        return AutoImageProcessor.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False, backend="pil", class_info_file=None
        )
    except Exception as error:
        raise CheckpointError(
            f"{folder}: the image processor of {present[0]} cannot be made: {first_line(error)}"
        ) from error


def _reduced(processor: Any) -> bool:
    return processor is not None and bool(
        getattr(processor, "do_reduce_labels", False) or getattr(processor, "reduce_labels", False)
    )


def _task(folder: Path) -> list[int]:
    """Tokens of "the task is semantic", from the directory's tokenizer, padded as OneFormer's processor does."""
    from transformers import AutoTokenizer

    try:
        tokens = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)(
            ["the task is semantic"], padding="max_length", max_length=77, truncation=True
        )
        return [token * mask for token, mask in zip(tokens["input_ids"][0], tokens["attention_mask"][0], strict=True)]
    except Exception as error:
        raise CheckpointError(
            f"{folder}: OneFormer is told its task in words, and the tokenizer for them cannot be loaded from there "
            f"({first_line(error)}); put vocab.json, merges.txt and tokenizer_config.json of the source into the folder"
        ) from error


def _input(folder: Path, model: nn.Module, kind: str, processor: Any, resize: str) -> tuple[InputSpec, list[str]]:
    if resize not in RESIZES:
        raise CheckpointError(f"resize {resize!r} is not one of {', '.join(RESIZES)}")
    channels = getattr(model.config, "num_channels", 3)
    if channels != 3:
        raise CheckpointError(f"{folder}: the network takes {channels} channels; cameras give three")
    if processor is None:
        return imagenet_input(MULTIPLE), [
            "its preprocessing is not known; ImageNet's was asked for with --preprocessing"
        ]
    options = json.loads(json.dumps(processor.to_dict(), default=str))
    options = {key: value for key, value in options.items() if not key.startswith("_")}
    if kind.startswith("eomt"):
        return input_spec(options, True, _square(model.config.image_size), False, str(folder))
    notes = []
    forced = not _takes_any_size(model, kind)
    exact = forced or resize == "processor"
    if forced:
        notes.append("the network takes one size only: every frame is brought to it")
    # OneFormer's processor, unlike those of the others, does not fill sides up to a multiple of 32.
    padded = kind in QUERY_MODELS and kind != "oneformer"
    spec, more = input_spec(options, exact, None, padded, str(folder), forced)
    if exact:
        size = spec.resize.model_dump(exclude_none=True)
        notes.append("frames are resized as its processor does: " + ", ".join(f"{k} {v}" for k, v in size.items()))
    elif spec.pixels != FULL_SIZE:
        notes.append(f"frames keep their aspect, at most {spec.pixels:,} pixels; --resize processor squeezes them")
    return spec, notes + more


def _square(size: Any) -> int:
    sides = {*size} if isinstance(size, (list, tuple)) else {size}
    if len(sides) != 1:
        raise CheckpointError(f"a network for pictures of {size} is not square, as EoMT's are")
    return int(sides.pop())


@torch.inference_mode()
def _takes_any_size(model: nn.Module, kind: str) -> bool:
    named = {"task_inputs": torch.zeros(1, 77)} if kind == "oneformer" else {}
    try:
        model(pixel_values=torch.zeros(1, 3, 2 * MULTIPLE, 3 * MULTIPLE), **named)
    except (RuntimeError, ValueError):
        return False
    return True


def _proof_size(spec: InputSpec, kind: str) -> tuple[int, int]:
    """H and W of the picture to compare on: one that is resized where the bundle resizes as the processor does, and one
    that stays as it is where the bundle does not.
    """
    if spec.windows is not None:
        return 3 * spec.windows.height // 2, 3 * spec.windows.width
    if spec.resize is not None:
        rows = spec.resize.height or spec.resize.shortest_edge
        return 3 * rows // 2, 5 * rows // 2
    size = QUERY_PROOF_SIZE if kind in QUERY_MODELS else PROOF_SIZE
    while (smaller := network_size(*size, spec)) != size:
        size = smaller
    return size


def _own_answer(
    model: nn.Module, processor: Any, kind: str, spec: InputSpec, network: Mapping[str, Any]
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """RGB uint8 `[H, W, 3]` → labels `[H, W]` and maps `[K, H, W]` by transformers' processor, network and
    post-processing.
    """
    import transformers

    asked = {"do_center_crop": False} if getattr(processor, "do_center_crop", None) else {}
    if spec.resize is None:
        asked["do_resize"] = False
    task = network["backbone"].get("task")
    # Fine-tuned Mask2Formers often come with MaskFormer's processor, whose sums are those of another network.
    own = getattr(transformers, POST_PROCESSING.get(kind, ""), type(processor))

    @torch.inference_mode()
    def answer(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given = {"task_inputs": ["semantic"]} if kind == "oneformer" else {}
        inputs = processor(images=image, return_tensors="pt", **given, **asked)
        values = {} if task is None else {"task_inputs": torch.tensor([task], dtype=torch.float32)}
        outputs = model(pixel_values=inputs["pixel_values"].float(), **values)
        if kind.startswith("eomt"):
            outputs.patch_offsets = inputs.get("patch_offsets")
        (found,) = own.post_process_semantic_segmentation(
            processor, outputs, target_sizes=[image.shape[:2]], return_segmentation_scores=True
        )
        return found["segmentation"].numpy(), found["segmentation_scores"].numpy()

    return answer


def _names(config: Any, folder: Path) -> list[str]:
    """Class names in the order of the network's outputs; transformers' own LABEL_0, LABEL_1, … where the file has none.

    Raises:
        CheckpointError: they are not numbered 0, 1, 2, …
    """
    names = {int(key): str(value) for key, value in config.id2label.items()}
    if sorted(names) != list(range(config.num_labels)):
        raise CheckpointError(
            f"{folder}: id2label of config.json does not number its classes 0 to {config.num_labels - 1}"
        )
    return [names[key] for key in sorted(names)]


def _described(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _described(value) if isinstance(value, Mapping) else value
        for key, value in config.items()
        if not DESCRIPTIVE.fullmatch(key)
    }


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file.parent} is no transformers directory: {file.name} cannot be read ({why(error)}); "
            "give the folder that holds config.json and model.safetensors"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds no configuration")
    return content
