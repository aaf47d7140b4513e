"""Where training starts from: a bundle, a weights file, transformers, or packaged ImageNet weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ..bundle import MODEL_FILE, load_bundle, resolve_bundle
from ..errors import ConfigError
from ..extras import advice
from ..importing import dinov2_onnx
from ..importing.checkpoint import read_checkpoint, state_dict_of, without_prefix
from ..networks.backbones.efficientnet_lite import imagenet_weights
from ..networks.heads.ensemble import Ensemble
from ..networks.segmentor import Segmentor
from .data_recipe import expand
from .recipe import Recipe

HUB = "transformers:"
FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def load_start(segmentor: Segmentor, recipe: Recipe) -> str:
    """Load what `recipe.start` names into `segmentor`; returns a sentence on what was loaded.

    Without `start`, an EfficientNet-Lite backbone gets its ImageNet weights and any other network stays random.

    Raises:
        ConfigError: it is not there (with what to do) or does not fit (with the keys that do not).
        BundleError, CheckpointError: it is damaged.
    """
    start = recipe.start
    if not start:
        return _packaged(segmentor, recipe)
    if start.startswith(HUB):
        return _pretrained(segmentor, start[len(HUB) :])
    path = expand(start)
    if path.suffix in dinov2_onnx.SUFFIXES:
        _load(segmentor.backbone, dinov2_onnx.read_backbone(path), start, "backbone")
        return f"backbone started from {start}"
    if path.suffix in FILES and not path.is_dir():
        state = without_prefix(state_dict_of(read_checkpoint(path), ("state_dict", "model"), path), "module.")
        parts = {key.split(".")[0] for key in state}
        if not parts & {"backbone", "decoder", "classifier", "head"}:
            _load(segmentor.backbone, state, start, "backbone")
            return f"backbone started from {start}"
    elif (resolve_bundle(path) / MODEL_FILE).is_file():
        state = load_bundle(path).weights()
    else:
        raise ConfigError(
            f"start: no bundle and no weights file at {start!r}; give the name of a shipped bundle, the folder "
            f"of one (`oodseg import …` makes them from released checkpoints), a file {'/'.join(FILES[:3])}, or "
            f"`{HUB}NAME`"
        )
    loaded = []
    for part in recipe.start_parts:
        module, own = getattr(segmentor, part), _below(state, part)
        if hasattr(module, "of_whole"):  # a backbone cut short starts as one that is whole
            own = module.of_whole(own)
        if part == "head" and (module is None or not own or _misfits(module, own)):
            continue
        loaded.append(_load(module, own, start, part))
    if "decoder" in loaded and "head" not in loaded and isinstance(segmentor.head, Ensemble):
        segmentor.head.initialize_from(segmentor.decoder)
    return f"started from {start}: {', '.join(loaded)}"


def _packaged(segmentor: Segmentor, recipe: Recipe) -> str:
    backbone = recipe.network["backbone"]
    if backbone["name"] != "efficientnet_lite":
        return "started from random weights (no `start` in the recipe)"
    variant = backbone.get("variant", 0)
    try:
        weights = imagenet_weights(variant)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the ImageNet weights of EfficientNet-Lite{variant}: {advice(error.name)}, or give a `start` in the recipe"
        ) from error
    segmentor.backbone.load_imagenet(weights)
    return f"backbone started from ImageNet weights of EfficientNet-Lite{variant}"


def _pretrained(segmentor: Segmentor, name: str) -> str:
    inner = getattr(segmentor.backbone, "model", None)
    if inner is None or not hasattr(type(inner), "from_pretrained"):
        kind = type(segmentor.backbone).__name__
        raise ConfigError(
            f"start: {HUB}{name}: backbone {kind} is not of transformers; give a bundle or a weights file"
        )
    try:
        # Only safetensors: other files of the hub are pickles.
        found = type(inner).from_pretrained(str(expand(name)), config=inner.config, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"start: {HUB}{name} cannot be loaded: {first}. Without a network, fetch it once elsewhere with "
            f"`huggingface-cli download {name}` and either copy that cache (HF_HOME) or give its folder: "
            f"`start: {HUB}/path/to/folder`"
        ) from error
    _load(inner, found.state_dict(), f"{HUB}{name}", "backbone")
    return f"backbone started from {HUB}{name}"


def _below(state: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {key[len(part) + 1 :]: value for key, value in state.items() if key.startswith(f"{part}.")}


def _misfits(module: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    wanted = module.state_dict()
    wrong = [f"{key} is missing" for key in wanted if key not in state]
    wrong += [f"{key} is not in this network" for key in state if key not in wanted]
    return wrong + [
        f"{key} is {tuple(state[key].shape)}, this network has {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    ]


def _load(module: nn.Module, state: Mapping[str, Tensor], start: str, part: str) -> str:
    wrong = _misfits(module, state)
    if wrong:
        more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise ConfigError(
            f"start: {part} of {start} does not fit this recipe's network: {'; '.join(wrong[:8])}{more}. Make the "
            f"recipe's `network.{part}` that of the bundle, or leave {part} out of `start_parts`"
        )
    module.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    return part
