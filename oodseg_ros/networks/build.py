"""`build_segmentor(spec)`: a bundle's network spec (plain dicts) → a `Segmentor` with random weights.

A spec has `backbone`, `decoder`, `classifier`, `head` (or null) and `score`; each part is a dict with `name` and the
keyword arguments of the class registered under that name here. What follows from another part (its number of
channels) is filled in. Modules are imported when they are built: a bundle without transformers in it does not wait
for its import.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from .. import scores
from ..errors import BundleError
from .segmentor import Segmentor

# name: "module:class" in the room of that part
BACKBONES = {
    "clip": "vit_clip:ClipViT",
    "densenet": "densenet:DenseNet",
    "dinov2": "dinov2:DinoV2",
    "efficientnet_lite": "efficientnet_lite:EfficientNetLite",
    "erfnet": "erfnet:ErfNet",
    "espnetv2": "espnetv2:EspNetV2",
    "hf": "hf:HfSegmenter",
    "mask2former": "mask2former:Mask2Former",
    "mit": "mit:MixTransformer",
    "resnet": "resnet:ResNet",
    "swin": "swin:Swin",
    "wide_resnet38": "wide_resnet:WideResNet38",
}
DECODERS = {
    "all_mlp": "all_mlp:AllMlp",
    "deeplab": "deeplab:DeepLab",
    "dino_fpn": "dino_fpn:DinoFpn",
    "erfnet": "erfnet:ErfNetDecoder",
    "espnetv2": "espnetv2:EspNetV2Decoder",
    "fpn": "fpn:Fpn",
    "ladder": "ladder:Ladder",
    "none": "none:NoDecoder",
}
CLASSIFIERS = {
    "gmm": "gmm:GmmClassifier",
    "linear": "linear:LinearClassifier",
    "none": "none:NoClassifier",
    "queries": "queries:QueryClassifier",
}
HEADS = {
    "drl_reconstruction": "drl:DrlReconstruction",
    "ensemble": "ensemble:Ensemble",
    "learnable_uncertainty": "two_stage:LearnableUncertainty",
    "learnable_block": "two_stage:LearnableBlock",
    "mahalanobis": "mahalanobis:Mahalanobis",
    "query_uncertainty": "two_stage:QueryUncertainty",
    "residual_feature": "residual_feature:ResidualFeature",
    "residual_pattern": "residual_pattern:ResidualPattern",
    "standardized_max_logit": "standardized_max_logit:StandardizedMaxLogit",
    "uem": "uem:UemHead",
    "void_channel": "void_channel:VoidChannel",
}

SCORES_WITHOUT_HEAD = (*scores.POST_HOC, *scores.PERTURBING)


def build_segmentor(spec: Mapping[str, Any]) -> Segmentor:
    """Build the network that `spec` describes.

    Raises:
        BundleError: a missing or unknown part, a wrong argument, or a score that the head does not give; the text
        names it.
    """
    for part in ("backbone", "decoder", "classifier", "score"):
        if part not in spec:
            raise BundleError(f"network spec: {part} is missing")
    backbone = _build("backbone", "backbones", BACKBONES, spec["backbone"])
    given: dict[str, Any] = {"inputs": backbone.channels, "strides": backbone.strides}
    decoder = _build("decoder", "decoders", DECODERS, spec["decoder"], **given)
    classifier = _build("classifier", "classifiers", CLASSIFIERS, spec["classifier"], inputs=decoder.channels)

    def make(part: str, own: Mapping[str, Any], read: Any = None) -> Any:
        """A decoder, or a head that reads the decoder `read`."""
        if part == "decoder":
            return _build(part, "decoders", DECODERS, own, **given)
        read = decoder if read is None else read
        for_heads = {
            "decoded": read.channels,
            "merged": getattr(read, "merged_channels", None),
            "last": getattr(read, "last_channels", None),
            "decoder": read,
            "inlier_classes": classifier.classes,
            "make": make,
        }
        return _build(part, "heads", HEADS, own, **given, **for_heads)

    head = make("head", spec["head"]) if spec.get("head") else None
    known = head.SCORES if head is not None else SCORES_WITHOUT_HEAD
    if spec["score"] not in known:
        raise BundleError(f"network spec: score {spec['score']!r} is not one of {', '.join(sorted(known))}")
    return Segmentor(backbone, decoder, classifier, head, spec["score"])


def _build(part: str, room: str, registry: Mapping[str, str], spec: Mapping[str, Any], **given: Any) -> Any:
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in registry:
        raise BundleError(f"network spec: unknown {part} {name!r}; this version knows {', '.join(sorted(registry))}")
    module, class_name = registry[name].split(":")
    build = getattr(import_module(f"{__package__}.{room}.{module}"), class_name)
    wanted = inspect.signature(build).parameters
    try:
        return build(**{key: value for key, value in given.items() if key in wanted}, **arguments)
    except (TypeError, ValueError, KeyError) as error:
        raise BundleError(f"network spec: {part} {name!r}: {error}") from error
