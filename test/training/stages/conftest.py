"""Small networks for every method, random weights, and batches that have all kinds of pixels in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.segmentor import Segmentor
from oodseg_ros.training.methods import StageSpec, stage_class
from oodseg_ros.training.stages.stage import Stage

LITE = {"name": "efficientnet_lite", "variant": 0}
FPN = {"name": "fpn", "channels": 8}
LINEAR = {"name": "linear", "classes": 5}
MIXTURE = {"name": "gmm", "classes": 5, "components": 2}
WIDE = {"name": "wide_resnet38", "divisor": 32}
DEEPLAB = {"name": "deeplab", "channels": 8, "fine": 4, "rates": [1, 2]}
ESPNET = {"name": "espnetv2", "scale": 0.5}
ESPNET_DECODER = {"name": "espnetv2", "outputs": 6}
MIT = {"name": "mit", "widths": [8, 16, 20, 24], "depths": [1, 1, 1, 1]}
DINO = {"name": "dinov2", "variant": "s", "image_size": 70, "width": 48, "depth": 4, "heads": 3, "taps": [0, 1, 2, 3]}
QUERIES = {
    "feature_size": 32,
    "mask_feature_size": 32,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 16,
    "encoder_layers": 1,
    "decoder_layers": 3,
    "num_attention_heads": 2,
    "dim_feedforward": 16,
    "num_queries": 6,
    "train_num_points": 64,
}
SWIN = {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}


def _spec(backbone: dict, decoder: dict, classifier: dict, head: dict | None, score: str) -> dict:
    return {"backbone": backbone, "decoder": decoder, "classifier": classifier, "head": head, "score": score}


UEM = {"name": "uem", "levels": [1, 2], "hidden": 16, "width": 8}
SPECS = {
    "lite": _spec(LITE, FPN, LINEAR, None, "energy"),
    "lite_mixture": _spec(LITE, FPN, MIXTURE, None, "energy"),
    "lite_uem": _spec(LITE, FPN, LINEAR, UEM, "likelihood_ratio"),
    "dino_uem_g_g": _spec(
        DINO,
        {"name": "dino_fpn", "channels": 8, "hidden": 12},
        MIXTURE,
        {**UEM, "form": "G", "components": 2},
        "likelihood_ratio",
    ),
    "lite_rpl": _spec(
        LITE, FPN, LINEAR, {"name": "residual_feature", "width": 8, "rates": [1, 2], "projector": 6}, "residual_energy"
    ),
    "espnet_rpl": _spec(
        ESPNET,
        ESPNET_DECODER,
        {"name": "none", "classes": 5},
        {"name": "residual_feature", "levels": [2, 3], "width": 8, "rates": [1, 2]},
        "residual_energy",
    ),
    "wide_rpl": _spec(
        WIDE, DEEPLAB, LINEAR, {"name": "residual_pattern", "rates": [1, 2], "projector": True}, "residual_energy"
    ),
    "wide_two_stage": _spec(
        WIDE, DEEPLAB, {**LINEAR, "bias": False}, {"name": "learnable_uncertainty"}, "learnable_uncertainty"
    ),
    "espnet_two_stage": _spec(
        ESPNET, ESPNET_DECODER, {"name": "none", "classes": 5}, {"name": "learnable_block"}, "learnable_uncertainty"
    ),
    "query_two_stage": _spec(
        {"name": "mask2former", "backbone": "swin", "backbone_options": SWIN, "options": QUERIES},
        {"name": "none"},
        {"name": "queries", "classes": 5},
        {"name": "query_uncertainty"},
        "query_uncertainty",
    ),
    "espnet": _spec(ESPNET, ESPNET_DECODER, {"name": "none", "classes": 5}, None, "energy"),
    "drl": _spec(MIT, {"name": "all_mlp", "channels": 8}, LINEAR, {"name": "drl_reconstruction"}, "discrepancy"),
}
INPUT = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32)


@pytest.fixture
def make_network() -> Callable[[str], Segmentor]:
    """The name of a small network → that network, seeded."""

    def make(network: str) -> Segmentor:
        torch.manual_seed(0)
        return build_segmentor(SPECS[network])

    return make


@pytest.fixture
def make_stage(make_network) -> Callable[..., Stage]:
    """`(method, network, **of the stage spec)` → the stage on that small network, seeded."""

    def make(method: str, network: str, **values: object) -> Stage:
        segmentor = make_network(network)
        spec = StageSpec(**({"method": method, "steps": 10, "batch": 2, "lr": 1e-3} | values))
        return stage_class(method)(segmentor, INPUT, spec, 7)

    return make


@pytest.fixture
def make_batch() -> Callable[..., list[torch.Tensor]]:
    """`(pairs, overlap, size)` → a batch as the loader gives it: images, target, and the overlap where asked."""

    def make(pairs: bool = False, overlap: bool = False, size: tuple[int, int] = (64, 96)) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(3)
        lead = (2, 2) if pairs else (2,)
        images = torch.randint(0, 256, (*lead, 3, *size), generator=generator).to(torch.uint8)
        target = torch.randint(0, 5, (*lead, 4, 6), generator=generator)
        target[..., 0, :3], target[..., 1, 0], target[..., 2, 0] = 254, 255, 253
        target = target.repeat_interleave(size[0] // 4, -2).repeat_interleave(size[1] // 6, -1).to(torch.uint8)
        target = torch.nn.functional.pad(target, (0, size[1] - target.shape[-1], 0, size[0] - target.shape[-2]))
        batch = [images, target]
        if overlap:
            batch.append(torch.tensor([[[8, 16, 56, 80, 0, 0], [0, 8, 48, 72, 1, 0]]] * 2))
        return batch

    return make
