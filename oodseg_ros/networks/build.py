"""`build_segmentor(spec)`: a bundle's network spec (plain dicts) → a `Segmentor` with random weights.

A spec has `backbone`, `decoder`, `classifier`, `head` (or null) and `score`; each part is a dict with `name` and the
keyword arguments of the class registered under that name here. Modules are imported when they are built: a bundle
without transformers in it does not wait for its import.

What follows from another part is no part of the spec. It is passed to constructors that have an argument of that name:

| argument | for | value |
|---|---|---|
| `inputs`, `strides` | decoders, heads | channels and strides of the backbone's maps, one per map |
| `inputs` | classifiers | channels of the decoder's output |
| `decoded` | heads | channels of the decoder's output |
| `merged`, `last` | heads | channels of the decoder's maps before its last convolutions or block; None = it has none |
| `decoder` | heads | the decoder itself |
| `inlier_classes` | heads | number K of inlier classes |
| `make` | heads | builds further decoders, heads and networks, for heads that hold some |
| `sees` | heads | how images are normalised for this network: the bundle's `input`; None = not told |
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .. import scores
from ..errors import BundleError
from .segmentor import Segmentor

if TYPE_CHECKING:
    from ..model_card import InputSpec

# name: "module:class"
BACKBONES = {
    "clip": "backbones.vit:ClipViT",
    "densenet": "backbones.densenet:DenseNet",
    "dinov2": "backbones.vit:DinoV2",
    "efficientnet_lite": "backbones.efficientnet_lite:EfficientNetLite",
    "erfnet": "backbones.erfnet:ErfNet",
    "espnetv2": "backbones.espnetv2:EspNetV2",
    "hf": "backbones.hf:HfSegmenter",
    "mask2former": "backbones.hf:Mask2Former",
    "mit": "backbones.hierarchical:MixTransformer",
    "resnet": "backbones.resnet:ResNet",
    "swin": "backbones.hierarchical:Swin",
    "wide_resnet38": "backbones.resnet:WideResNet38",
}
DECODERS = {
    "all_mlp": "decoders.all_mlp:AllMlp",
    "context_fpn": "decoders.context:ContextFpn",
    "deeplab": "decoders.deeplab:DeepLab",
    "dino_fpn": "decoders.fpn:DinoFpn",
    "erfnet": "decoders.erfnet:ErfNetDecoder",
    "espnetv2": "decoders.espnetv2:EspNetV2Decoder",
    "fpn": "decoders.fpn:Fpn",
    "ladder": "decoders.ladder:Ladder",
    "light_fpn": "decoders.fpn:LightFpn",
    "none": "segmentor:NoDecoder",
}
CLASSIFIERS = {
    "gmm": "classifiers:GmmClassifier",
    "linear": "classifiers:LinearClassifier",
    "none": "classifiers:NoClassifier",
    "queries": "classifiers:QueryClassifier",
}
HEADS = {
    "drl_reconstruction": "heads.drl:DrlReconstruction",
    "ensemble": "heads.ensemble:Ensemble",
    "learnable_uncertainty": "heads.two_stage:LearnableUncertainty",
    "learnable_block": "heads.two_stage:LearnableBlock",
    "mahalanobis": "heads.untrained:Mahalanobis",
    "other_network": "heads.other_network:OtherNetwork",
    "query_uncertainty": "heads.two_stage:QueryUncertainty",
    "residual_feature": "heads.residual:ResidualFeature",
    "residual_pattern": "heads.residual:ResidualPattern",
    "standardized_max_logit": "heads.untrained:StandardizedMaxLogit",
    "uem": "heads.uem:UemHead",
    "void_channel": "heads.untrained:VoidChannel",
}

SCORES_WITHOUT_HEAD = (*scores.POST_HOC, *scores.PERTURBING)


def build_segmentor(spec: Mapping[str, Any], sees: InputSpec | None = None) -> Segmentor:
    """Build the network that `spec` describes; `sees` = how images become its input, for heads that must know it.

    Raises:
        BundleError: a missing or unknown part, a wrong argument, or a score that the head does not give; the text
        names it.
    """
    for part in ("backbone", "decoder", "classifier", "score"):
        if part not in spec:
            raise BundleError(f"network spec: {part} is missing")
    backbone = _build("backbone", BACKBONES, spec["backbone"])
    given: dict[str, Any] = {"inputs": backbone.channels, "strides": backbone.strides}
    decoder = _build("decoder", DECODERS, spec["decoder"], **given)
    classifier = _build("classifier", CLASSIFIERS, spec["classifier"], inputs=decoder.channels)

    def make(part: str, own: Mapping[str, Any], read: Any = None) -> Any:
        """A decoder, a head that reads the decoder `read`, or a network of its own that sees `read`."""
        if part == "network":
            return build_segmentor(own, read)
        if part == "decoder":
            return _build(part, DECODERS, own, **given)
        read = decoder if read is None else read
        for_heads = {
            "decoded": read.channels,
            "merged": getattr(read, "merged_channels", None),
            "last": getattr(read, "last_channels", None),
            "decoder": read,
            "inlier_classes": classifier.classes,
            "make": make,
            "sees": sees,
        }
        return _build(part, HEADS, own, **given, **for_heads)

    head = make("head", spec["head"]) if spec.get("head") else None
    known = head.SCORES if head is not None else SCORES_WITHOUT_HEAD
    if spec["score"] not in known:
        raise BundleError(f"network spec: score {spec['score']!r} is not one of {', '.join(sorted(known))}")
    return Segmentor(backbone, decoder, classifier, head, spec["score"])


def _build(part: str, registry: Mapping[str, str], spec: Mapping[str, Any], **given: Any) -> Any:
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in registry:
        raise BundleError(f"network spec: unknown {part} {name!r}; this version knows {', '.join(sorted(registry))}")
    module, class_name = registry[name].split(":")
    build = getattr(import_module(f"{__package__}.{module}"), class_name)
    wanted = inspect.signature(build).parameters
    try:
        return build(**{key: value for key, value in given.items() if key in wanted}, **arguments)
    except (TypeError, ValueError, KeyError) as error:
        raise BundleError(f"network spec: {part} {name!r}: {error}") from error
