"""RPL and RPL+CoroCL (github.com/yyliu01/RPL): the whole network with the residual block."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError
from ..model_card import Licence
from .checkpoint import without_prefix
from .imported import CITYSCAPES_TERMS, Imported, imagenet_input
from .mapping import Rule, taken
from .multishiftseg import BASE_RULES, base_spec

RULES: tuple[Rule, ...] = (
    (r"residual_block\.atten_aspp\.(.+)", r"head.aspp.\1"),
    (r"residual_block\.bot_atten_aspp\.(.+)", r"head.bottleneck.\1"),
    (r"residual_block\.atten_aspp_final\.(.+)", r"head.final.\1"),
    *BASE_RULES,
)
# The projector of CoroCL is used in training only.
IGNORED = re.compile(r"residual_block\.proj_head\..+|criterion\..+")


def interpret(state: dict[str, Tensor], path: Path) -> Imported:
    """The tensors of a file, as training saved it or released, in this project's terms; `path` is named in errors.

    Raises:
        CheckpointError: it is no RPL checkpoint.
    """
    state = without_prefix(state, "module.", "branch1.")
    mapped, others = taken(state, RULES, IGNORED)
    if not any(key.startswith("head.") for key in mapped):
        raise CheckpointError(
            f"{path} has no residual block (keys branch1.residual_block.*); "
            "a plain DeepLabV3+ is imported as multishiftseg"
        )
    try:
        network = base_spec(mapped)
    except KeyError as error:
        raise CheckpointError(f"{path} is no complete RPL checkpoint: nothing in it becomes {error}") from error
    return Imported(
        network=network | {"head": {"name": "residual_pattern"}, "score": "residual_energy"},
        state=mapped,
        input=imagenet_input(8),
        source="RPL checkpoint",
        licence=Licence(weights="MIT (repository); trunk NVIDIA, CC BY-NC-SA 4.0", data=CITYSCAPES_TERMS),
        **others,
    )
