"""`build_segmentor(spec)`: a bundle's network spec (plain dicts) → a `Segmentor` with random weights.

A spec has `backbone`, `decoder`, `classifier`, `head` (or null) and `score`; each part is a dict with `name` and the
keyword arguments of the class registered under that name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BundleError
from .backbones.efficientnet_lite import EfficientNetLite
from .classifiers.linear import LinearClassifier
from .decoders.fpn import Fpn
from .heads.uem import UemHead
from .segmentor import Segmentor

BACKBONES = {"efficientnet_lite": EfficientNetLite}
DECODERS = {"fpn": Fpn}
CLASSIFIERS = {"linear": LinearClassifier}
HEADS = {"uem": UemHead}


def build_segmentor(spec: Mapping[str, Any]) -> Segmentor:
    """Build the network that `spec` describes.

    Raises:
        BundleError: an unknown part or a wrong argument; the text names it.
    """
    backbone = _build("backbone", BACKBONES, spec["backbone"])
    decoder = _build("decoder", DECODERS, spec["decoder"], inputs=backbone.channels)
    classifier = _build("classifier", CLASSIFIERS, spec["classifier"], inputs=decoder.channels)
    head = _build("head", HEADS, spec["head"], inputs=backbone.channels) if spec.get("head") else None
    return Segmentor(backbone, decoder, classifier, head, spec["score"])


def _build(part: str, registry: Mapping[str, Any], spec: Mapping[str, Any], **given: Any) -> Any:
    arguments = dict(spec)
    name = arguments.pop("name", None)
    if name not in registry:
        raise BundleError(f"network spec: unknown {part} {name!r}; this version knows {', '.join(sorted(registry))}")
    try:
        return registry[name](**given, **arguments)
    except TypeError as error:
        raise BundleError(f"network spec: {part} {name!r}: {error}") from error
