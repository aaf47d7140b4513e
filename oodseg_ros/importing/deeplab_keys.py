"""Keys of NVIDIA's DeepLabV3+ on WiderResNet38, which RPL and the two-stage method start from."""

from __future__ import annotations

from torch import Tensor

from .mapping import Rule

BASE_RULES: tuple[Rule, ...] = (
    (r"(mod\d\..+)", r"backbone.\1"),
    (r"(aspp\..+|bot_fine\..+|bot_aspp\..+)", r"decoder.\1"),
    (r"final\.([01])\.(.+)", r"decoder.final.0.\1.\2"),
    (r"final\.3\.(.+)", r"decoder.final.1.0.\1"),
    (r"final\.4\.(.+)", r"decoder.final.1.1.\1"),
    (r"final\.6\.(.+)", r"classifier.linear.\1"),
)
STEM = 64


def base_spec(state: dict[str, Tensor]) -> dict:
    """Spec of backbone, decoder and classifier from the shapes of mapped tensors; KeyError where one is missing."""
    divisor = STEM // state["backbone.mod1.conv1.weight"].shape[0]
    return {
        "backbone": {"name": "wide_resnet38"} | ({"divisor": divisor} if divisor != 1 else {}),
        "decoder": {
            "name": "deeplab",
            "channels": state["decoder.bot_aspp.weight"].shape[0],
            "fine": state["decoder.bot_fine.weight"].shape[0],
        },
        "classifier": {
            "name": "linear",
            "classes": state["classifier.linear.weight"].shape[0],
            "bias": "classifier.linear.bias" in state,
        },
    }
