"""RPL and RPL+CoroCL (github.com/yyliu01/RPL): the whole network with the residual block."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError
from ..model_card import Licence
from .checkpoint import read_checkpoint, state_dict_of, without_prefix
from .imported import CITYSCAPES_TERMS, Imported, imagenet_input
from .mapping import Rule, renamed
from .multishiftseg import BASE_RULES, base_spec

RULES: tuple[Rule, ...] = (
    (r"residual_block\.atten_aspp\.(.+)", r"head.aspp.\1"),
    (r"residual_block\.bot_atten_aspp\.(.+)", r"head.bottleneck.\1"),
    (r"residual_block\.atten_aspp_final\.(.+)", r"head.final.\1"),
    *BASE_RULES,
)
# The projector of CoroCL is used in training only.
IGNORED = re.compile(r"residual_block\.proj_head\..+|criterion\..+")


def read(files: Sequence[Path]) -> Imported:
    """One file, as training saved it or released (tensors under `model`, `model_state`, `state_dict` or at the top).

    Raises:
        CheckpointError: the file cannot be read safely, or is no RPL checkpoint.
    """
    (path,) = files
    return interpret(state_dict_of(read_checkpoint(path), ("model", "model_state", "state_dict"), path), path)


def interpret(state: dict[str, Tensor], path: Path) -> Imported:
    """The tensors of such a file in this project's terms; `path` is named in errors."""
    state = without_prefix(state, "module.", "branch1.")
    ignored = tuple(key for key in state if IGNORED.fullmatch(key))
    mapped, unknown = renamed({key: value for key, value in state.items() if key not in ignored}, RULES)
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
        unknown=tuple(unknown),
        ignored=ignored,
    )
