"""Where training starts from: a bundle, a weights file, transformers, or packaged ImageNet weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ..bundle import MODEL_FILE, load_bundle, resolve_bundle
from ..errors import ConfigError, listed
from ..extras import advice
from ..importing import dinov2_onnx
from ..importing.checkpoint import read_checkpoint, state_dict_of, without_prefix
from ..networks.backbones.efficientnet_lite import imagenet_weights
from ..networks.heads.ensemble import Ensemble
from ..networks.heads.other_network import OtherNetwork
from ..networks.segmentor import Segmentor
from .data_recipe import expand
from .recipe import MemberStart, Recipe

HUB = "transformers:"
FILES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def load_start(segmentor: Segmentor, recipe: Recipe) -> str:
    """Load what `recipe.start` and `start_members` name into `segmentor`; returns a sentence on what was loaded.

    Without `start`, an EfficientNet-Lite backbone gets its ImageNet weights and any other network stays random. Of a
    head that does not fit, the members of an ensemble that fit are taken.

    Raises:
        ConfigError: it is not there (with what to do) or does not fit (with the keys that do not), or it leaves a part
            random that no stage trains.
        BundleError, CheckpointError: it is damaged.
    """
    sentence, loaded = _start(segmentor, recipe)
    for own in recipe.start_members:
        loaded.append(_load_member(segmentor, recipe, own))
        sentence += f"; member {own.member} from {own.bundle}"
    if not recipe.stages and (random := _random(segmentor, loaded)):
        raise ConfigError(
            f"recipe {recipe.name} has no stages, and {', '.join(random)} would come out of no bundle: name some in "
            "`start` and `start_members`, or stages that train them"
        )
    return sentence


def _start(segmentor: Segmentor, recipe: Recipe) -> tuple[str, list[str]]:
    """The sentence, and the parts that were loaded; of a head in parts `head.members.0`."""
    start = recipe.start
    if not start:
        return _packaged(segmentor, recipe), []
    if start.startswith(HUB):
        return _pretrained(segmentor, start[len(HUB) :]), []
    path = expand(start)
    if path.suffix in dinov2_onnx.SUFFIXES:
        return f"backbone started from {start}", [
            _load(segmentor.backbone, dinov2_onnx.read_backbone(path), start, "backbone")
        ]
    if path.suffix in FILES and not path.is_dir():
        state = without_prefix(state_dict_of(read_checkpoint(path), ("state_dict", "model"), path), "module.")
        parts = {key.split(".")[0] for key in state}
        if not parts & {"backbone", "decoder", "classifier", "head"}:
            return f"backbone started from {start}", [_load(segmentor.backbone, state, start, "backbone")]
    elif (resolve_bundle(path) / MODEL_FILE).is_file():
        state = load_bundle(path).weights()
    else:
        meant = f" ({path})" if "$" in start else ""
        raise ConfigError(
            f"start: no bundle and no weights file at {start!r}{meant}; give the name of a shipped bundle, the folder "
            f"of one (`oodseg import …` makes them from released checkpoints), a file {'/'.join(FILES[:3])}, or "
            f"`{HUB}NAME`"
        )
    loaded: list[str] = []
    for part in sorted(recipe.start_parts, key="head".__eq__):  # the head last
        module, own = getattr(segmentor, part), _below(state, part)
        if hasattr(module, "of_whole"):  # a backbone cut short starts as one that is whole
            own = module.of_whole(own)
        if part == "head" and (module is None or not own or _misfits(module, own)):
            loaded += _fitting_members(module, own, start)
            continue
        loaded.append(_load(module, own, start, part))
        if part == "decoder" and isinstance(segmentor.head, Ensemble):
            segmentor.head.initialize_from(segmentor.decoder)
    return f"started from {start}: {', '.join(loaded)}", loaded


def _fitting_members(head: nn.Module | None, state: Mapping[str, Tensor], start: str) -> list[str]:
    """Load the members that `state`, of an ensemble or of one head, has; their names."""
    found = []
    for name, member in _members(head):
        own = _below(state, name.removeprefix("head.")) or {f"head.{key}": value for key, value in state.items()}
        if state and not _misfits(member, own):
            found.append(_load(member, own, start, name))
    return found


def _load_member(segmentor: Segmentor, recipe: Recipe, asked: MemberStart) -> str:
    """Load a member that is a network, or that reads a decoder, of its own; its name among the parts."""
    members = _members(segmentor.head)
    name, module = members[asked.member] if asked.member < len(members) else ("", None)
    if module is None or (module.decoder is None and not isinstance(module.head, OtherNetwork)):
        raise ConfigError(
            f"start_members: the network's head has no member {asked.member} of head `other_network` or with a "
            "`decoder` of its own; members that read this network start from `start`"
        )
    bundle = load_bundle(expand(asked.bundle))
    if module.decoder is not None:
        return _load_reader(module, bundle.weights(), asked, name)
    head = recipe.network["head"]["members"][asked.member]["head"]
    # Scores, levels and means leave no trace in the shapes of weights.
    if head["network"] != bundle.card.network or module.head.spec != bundle.card.input:
        raise ConfigError(
            f"start_members: `network` or `input` of member {asked.member} is not that of {asked.bundle}; take both "
            f"from {bundle.path / MODEL_FILE}"
        )
    _load(module.head.network, bundle.weights(), asked.bundle, f"{name}.head.network", asked.member)
    return name


def _load_reader(member: nn.Module, state: Mapping[str, Tensor], asked: MemberStart, name: str) -> str:
    """A member's decoder and head become those of a bundle, whose head is this one or an ensemble of it alone; what it
    reads is a decoder of its own or the network's.
    """
    own = _below(state, "head.members.0.head") or _below(state, "head")
    read = _below(state, "head.members.0.decoder") or _below(state, "decoder")
    if any(key.startswith("head.members.1.") for key in state):
        raise ConfigError(f"start_members: the head of {asked.bundle} has several members; name a bundle with one")
    _load(member.decoder, read, asked.bundle, f"{name}.decoder", asked.member)
    _load(member.head, own, asked.bundle, f"{name}.head", asked.member)
    return name


def _members(head: nn.Module | None) -> list[tuple[str, nn.Module]]:
    return [(f"head.members.{index}", member) for index, member in enumerate(getattr(head, "members", ()))]


def _random(segmentor: Segmentor, loaded: list[str]) -> list[str]:
    """Names of the parts that hold weights and were not loaded."""
    parts = [*segmentor.named_children()]
    if "head" not in loaded and (members := _members(segmentor.head)):
        parts = [*((name, module) for name, module in parts if name != "head"), *members]
    return [name for name, module in parts if name not in loaded and module.state_dict()]


def _packaged(segmentor: Segmentor, recipe: Recipe) -> str:
    backbone = recipe.network["backbone"]
    if backbone["name"] != "efficientnet_lite":
        return "started from random weights (no `start` in the recipe)"
    variant = backbone.get("variant", 0)
    if backbone.get("hidden") is not None:
        raise ConfigError(
            "the packaged ImageNet weights have the published widths, and the recipe's backbone has other hidden "
            "channels; give a narrowed bundle as `start`, or leave `hidden` out"
        )
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


def _load(module: nn.Module, state: Mapping[str, Tensor], start: str, part: str, member: int | None = None) -> str:
    """`member`: the part is of that entry of `start_members`; None = it is of `start`."""
    wrong = _misfits(module, state)
    if wrong:
        entry, own, instead = "start", part, f"leave {part} out of `start_parts`"
        if member is not None:
            own = part.replace(f"head.members.{member}", f"head.members[{member}]")
            entry, instead = "start_members", f"name another bundle for member {member} in `start_members`, or none"
        raise ConfigError(
            f"{entry}: {part} of {start} does not fit this recipe's network: {listed(wrong, 8, '; ')}. Make the "
            f"recipe's `network.{own}` that of the bundle, or {instead}"
        )
    module.load_state_dict({key: value.float() if value.is_floating_point() else value for key, value in state.items()})
    return part
