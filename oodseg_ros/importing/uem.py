"""UEM (github.com/NazirNayal8/UEM-likelihood-ratio): Lightning checkpoints of the segmentor alone or with the OoD
model.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from ..errors import CheckpointError
from ..model_card import Licence, Windows
from .imported import CITYSCAPES_TERMS, Imported, imagenet_input
from .mapping import Rule, as_conv1x1, changed, split, taken

VIT = r"backbone\.dinov2\."
NEW = "backbone.model."
FPN = r"backbone\.learnable_layers\."
RULES: tuple[Rule, ...] = (
    (VIT + r"(cls_token|register_tokens|mask_token)", NEW + r"embeddings.\1"),
    (VIT + r"pos_embed", NEW + "embeddings.position_embeddings"),
    (VIT + r"patch_embed\.proj\.(.+)", NEW + r"embeddings.patch_embeddings.projection.\1"),
    (VIT + r"norm\.(.+)", NEW + r"layernorm.\1"),
    (VIT + r"blocks\.(\d+)\.(norm\d|mlp\.fc\d)\.(.+)", NEW + r"encoder.layer.\1.\2.\3"),
    (VIT + r"blocks\.(\d+)\.attn\.proj\.(.+)", NEW + r"encoder.layer.\1.attention.o_proj.\2"),
    (VIT + r"blocks\.(\d+)\.attn\.qkv\.(.+)", NEW + r"encoder.layer.\1.attention.qkv.\2"),
    (VIT + r"blocks\.(\d+)\.ls(\d)\.gamma", NEW + r"encoder.layer.\1.layer_scale\2.lambda1"),
    (FPN + r"fpn1\.(.+)", r"decoder.levels.0.\1"),
    (FPN + r"fpn2\.(.+)", r"decoder.levels.1.\1"),
    (FPN + r"fpn3\.(.+)", r"decoder.levels.2.0.\1"),
    (FPN + r"fpn4\.(.+)", r"decoder.levels.3.\1"),
    (FPN + r"dino_mlp\._layers\.(.+)", r"decoder.mlp.\1"),
    (FPN + r"lateral_convs\.(.+)", r"decoder.lateral.\1"),
    (FPN + r"fpn_convs\.(.+)", r"decoder.smooth.\1"),
    (FPN + r"heads\.(.+)", r"decoder.heads.\1"),
    (r"segmentation_head\._head\.(.+)", r"classifier.linear.\1"),
    (r"segmentation_head\.(means|diagonal|feat_norm\..+|mask_norm\..+)", r"classifier.\1"),
    (r"ood_projector\._layers\.0\.(.+)", r"head.project.0.\1"),
    (r"ood_projector\._layers\.2\.(.+)", r"head.mlp.1.\1"),
    (r"ood_projector\._layers\.4\.(.+)", r"head.mlp.3.\1"),
    (r"ood_head\._head\.(.+)", r"head.classifier.\1"),
    (r"ood_head\.(means|diagonal|feat_norm\..+|mask_norm\..+)", r"head.classifier.\1"),
)
# Only training needs these: the feature memory (gigabytes) and constants.
IGNORED = re.compile(r"(segmentation_head|ood_head)\.(queue|queue_ptr|eye_matrix|iteration_counter)|criterion\..+")
PATCH = 14
HEAD_WIDTH = 64
WINDOWS = Windows(height=518, width=1036, stride_y=506, stride_x=338)
"""8 windows on 2048x1024 where the reference's stride of 140 takes 45; docs/networks.md says what each plan costs."""


def interpret(state: dict[str, Tensor], path: Path) -> Imported:
    """The tensors of stage 2 (the whole segmentor is in it), or of stage 1, which gets the score -max logit, in this
    project's terms; `path` is named in errors.

    Raises:
        CheckpointError: it is no UEM checkpoint on DINOv2 with the FPN.
    """
    state = {re.sub(r"^segmentor\.", "", key): value for key, value in state.items()}
    if "backbone.dinov2.pos_embed" not in state or "backbone.learnable_layers.lateral_convs.0.weight" not in state:
        raise CheckpointError(
            f"{path} is no UEM checkpoint on DINOv2 with the FPN decoder (keys backbone.dinov2.*, "
            "backbone.learnable_layers.lateral_convs.* are missing)"
        )
    mapped, others = taken(state, RULES, IGNORED)
    split(mapped, r"(.+)\.attention\.qkv\.(.+)", [rf"\1.attention.{part}_proj.\2" for part in "qkv"])
    for pattern in (r"decoder\.mlp\.\d\.weight", r"head\.(project\.0|mlp\.\d)\.weight"):
        changed(mapped, pattern, as_conv1x1)
    changed(mapped, r"(classifier\.linear|head\.classifier)\.weight", lambda w: as_conv1x1(w) if w.ndim == 2 else w)
    return Imported(
        network=_spec(mapped, path),
        state=mapped,
        input=imagenet_input(PATCH, windows=WINDOWS),
        source="UEM likelihood-ratio checkpoint",
        licence=Licence(weights="MIT (repository); DINOv2 Apache-2.0", data=CITYSCAPES_TERMS),
        **others,
    )


def _spec(state: dict[str, Tensor], path: Path) -> dict:
    try:
        positions, width = state["backbone.model.embeddings.position_embeddings"].shape[1:]
        depth = 1 + max(int(found[1]) for key in state if (found := re.match(r".*encoder\.layer\.(\d+)\.", key)))
        vit = {
            "name": "dinov2",
            "variant": {384: "s", 1024: "l"}.get(width, "b"),
            "image_size": PATCH * round((positions - 1) ** 0.5),
        }
        if (width, depth) not in ((384, 12), (768, 12), (1024, 24)):
            vit |= {"width": width, "depth": depth, "heads": max(1, width // HEAD_WIDTH)}
        decoder = {
            "name": "dino_fpn",
            "channels": state["decoder.lateral.0.weight"].shape[0],
            "hidden": state["decoder.mlp.0.weight"].shape[0],
        }
        classifier = _classifier(state, "classifier.")
        head = None
        if "head.project.0.weight" in state:
            head = {
                "name": "uem",
                "levels": [3],
                "hidden": state["head.project.0.weight"].shape[0],
                "width": state["head.mlp.3.weight"].shape[0],
            }
            if "head.classifier.means" in state:
                head |= {"form": "G", "components": state["head.classifier.means"].shape[1]}
    except KeyError as error:
        raise CheckpointError(f"{path} is no complete UEM checkpoint: nothing in it becomes {error}") from error
    return {
        "backbone": vit,
        "decoder": decoder,
        "classifier": classifier,
        "head": head,
        "score": "likelihood_ratio" if head else "max_logit",
    }


def _classifier(state: dict[str, Tensor], prefix: str) -> dict:
    if prefix + "means" in state:
        classes, components, _ = state[prefix + "means"].shape
        return {"name": "gmm", "classes": classes, "components": components}
    return {"name": "linear", "classes": state[prefix + "linear.weight"].shape[0]}
