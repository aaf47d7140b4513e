"""The two-stage method's DeepLabV3+ (github.com/gaozhitong/MultiShiftSeg), and the NVIDIA checkpoint on WiderResNet38
that it and RPL start from.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError
from ..model_card import Licence
from .checkpoint import without_prefix
from .imported import CITYSCAPES_TERMS, Imported, imagenet_input
from .mapping import Rule, taken

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


RULES: tuple[Rule, ...] = ((r"ood_head\.(.+)", r"head.ood_head.\1"), *BASE_RULES)
IGNORED = re.compile(r"criterion\..+")


def interpret(state: dict[str, Tensor], path: Path) -> Imported:
    """The tensors of a file in this project's terms; without `ood_head` (the NVIDIA checkpoint) the score is the energy
    of the inlier logits. `path` is named in errors.

    Raises:
        CheckpointError: it is no DeepLabV3+ on WiderResNet38.
    """
    state = without_prefix(state, "module.")
    mapped, others = taken(state, RULES, IGNORED)
    try:
        network = base_spec(mapped)
    except KeyError as error:
        raise CheckpointError(f"{path} is no DeepLabV3+ on WiderResNet38: nothing in it becomes {error}") from error
    trained = "head.ood_head.weight" in mapped
    head = {"head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"}
    return Imported(
        network=network | (head if trained else {"head": None, "score": "energy"}),
        state=mapped,
        input=imagenet_input(8),
        source="two-stage (MultiShiftSeg) DeepLabV3+ checkpoint"
        if trained
        else "NVIDIA DeepLabV3+ WiderResNet38 checkpoint",
        licence=Licence(weights="Apache-2.0 (repository); trunk NVIDIA, CC BY-NC-SA 4.0", data=CITYSCAPES_TERMS),
        **others,
    )
