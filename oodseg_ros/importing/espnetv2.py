"""ESPNetv2 (github.com/sacmehta/EdgeNets): a bare state dict; Cityscapes networks have a void output last."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError
from ..model_card import Licence
from .checkpoint import without_prefix
from .imported import CITYSCAPES_TERMS, Imported, imagenet_input
from .mapping import Rule, taken

RULES: tuple[Rule, ...] = (
    (r"base_net\.(.+)", r"backbone.\1"),
    (r"((?:bu_dec_|bu_br_|merge_enc_dec_).+)", r"decoder.\1"),
)
IGNORED = re.compile(r"base_net\.(classifier|level5|level5_0)\..+|criterion\..+")  # of the ImageNet network
SCALES = {128: 0.5, 256: 1.0, 384: 1.5, 512: 2.0}
CITYSCAPES_OUTPUTS, CITYSCAPES_CLASSES = 20, 19
PIXELS = 512 * 1024


def interpret(state: dict[str, Tensor], path: Path) -> Imported:
    """The tensors of a file in this project's terms; its scale follows from the shapes. `path` is named in errors.

    With a void output the score is that, else the energy.

    Raises:
        CheckpointError: it is no ESPNetv2 for segmentation.
    """
    state = without_prefix(state, "module.")
    mapped, others = taken(state, RULES, IGNORED)
    try:
        scale = SCALES[mapped["backbone.level4_0.act.weight"].shape[0]]
        outputs = mapped["decoder.bu_dec_l4.merge_layer.3.weight"].shape[0]
        width = mapped["decoder.bu_br_l4.0.weight"].shape[0] // 2
    except KeyError as error:
        raise CheckpointError(f"{path} is no ESPNetv2 for segmentation: nothing in it becomes {error}") from error
    void = outputs == CITYSCAPES_OUTPUTS
    head = {"name": "void_channel", "channel": outputs - 1} if void else None
    return Imported(
        network={
            "backbone": {"name": "espnetv2", "scale": scale},
            "decoder": {"name": "espnetv2", "outputs": outputs, "width": width},
            "classifier": {"name": "none", "classes": CITYSCAPES_CLASSES if void else outputs},
            "head": head,
            "score": "void" if void else "energy",
        },
        state=mapped,
        input=imagenet_input(32, PIXELS),
        source=f"ESPNetv2 checkpoint, scale {scale}",
        licence=Licence(weights="MIT", data=CITYSCAPES_TERMS if void else ""),
        **others,
    )
