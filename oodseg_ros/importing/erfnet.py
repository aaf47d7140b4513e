"""ERFNet (github.com/Eromera/erfnet_pytorch): the training script's `state_dict`, with a void output last."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError
from ..model_card import InputSpec, Licence
from .checkpoint import without_prefix
from .imported import CITYSCAPES_TERMS, Imported
from .mapping import Rule, taken

RULES: tuple[Rule, ...] = ((r"encoder\.(.+)", r"backbone.\1"), (r"decoder\.(.+)", r"decoder.\1"))
IGNORED = re.compile(r"encoder\.output_conv\..+|criterion\..+")  # only training the encoder alone needs it
CITYSCAPES_OUTPUTS, CITYSCAPES_CLASSES = 20, 19
PIXELS = 512 * 1024


def interpret(state: dict[str, Tensor], path: Path) -> Imported:
    """The tensors of `model_best.pth` or `checkpoint.pth.tar` in this project's terms; `path` is named in errors.

    With a void output the score is that, else the energy.

    Raises:
        CheckpointError: it is no ERFNet with its decoder.
    """
    state = without_prefix(state, "module.")
    mapped, others = taken(state, RULES, IGNORED)
    try:
        outputs = mapped["decoder.output_conv.weight"].shape[1]
        widths = [mapped[f"backbone.{name}.bn.weight"].shape[0] for name in ("initial_block", "layers.0", "layers.6")]
    except KeyError as error:
        raise CheckpointError(f"{path} is no ERFNet with its decoder: nothing in it becomes {error}") from error
    void = outputs == CITYSCAPES_OUTPUTS
    narrow = {} if widths == [16, 64, 128] else {"widths": widths}
    return Imported(
        network={
            "backbone": {"name": "erfnet", **narrow},
            "decoder": {"name": "erfnet", "outputs": outputs, **({"widths": widths[1::-1]} if narrow else {})},
            "classifier": {"name": "none", "classes": CITYSCAPES_CLASSES if void else outputs},
            "head": {"name": "void_channel", "channel": outputs - 1} if void else None,
            "score": "void" if void else "energy",
        },
        state=mapped,
        # It was trained on plain values in 0..1.
        input=InputSpec(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), pixels=PIXELS, multiple=8),
        source="ERFNet checkpoint",
        licence=Licence(weights="CC BY-NC 4.0 (repository)", data=CITYSCAPES_TERMS if void else ""),
        **others,
    )
