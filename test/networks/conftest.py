"""Small networks of every kind: the same parts as the papers', narrow and shallow."""

from __future__ import annotations

import pytest
import torch

from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.segmentor import Segmentor

VIT = {"width": 48, "depth": 4, "heads": 3, "taps": [0, 1, 2, 3]}
LINEAR = {"name": "linear", "classes": 5}
UNBIASED = {"name": "linear", "classes": 5, "bias": False}
DINO = {"name": "dinov2", "variant": "s", "image_size": 70, **VIT}
FPN = {"name": "dino_fpn", "channels": 16, "hidden": 24}
WIDE = {"name": "wide_resnet38", "divisor": 16}
DEEPLAB = {"name": "deeplab", "channels": 16, "fine": 6, "rates": [2, 4, 6]}
MIT = {"name": "mit", "widths": [8, 16, 20, 24], "depths": [1, 1, 1, 1]}
DENSE = {"name": "densenet", "depths": [1, 1, 2, 1], "growth": 8}
LADDER = {"name": "ladder", "channels": 16, "pooled": 4}
LITE = {"name": "efficientnet_lite", "variant": 0}
LIGHT = {"name": "light_fpn", "channels": 8, "width": 16}
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
}
NORMAL = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32)
SMALL_SWIN = {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4}


def _spec(backbone: dict, decoder: dict, classifier: dict, head: dict | None, score: str) -> dict:
    return {"backbone": backbone, "decoder": decoder, "classifier": classifier, "head": head, "score": score}


def _uem(**options: object) -> dict:
    return {"name": "uem", "levels": [3], "hidden": 32, "width": 16, **options}


SPECS = {
    "uem_d_d": _spec(DINO, FPN, LINEAR, _uem(), "likelihood_ratio"),
    "uem_g_d": _spec(DINO, FPN, {"name": "gmm", "classes": 5}, _uem(), "likelihood_ratio"),
    "uem_g_g": _spec(DINO, FPN, {"name": "gmm", "classes": 5}, _uem(form="G"), "likelihood_ratio"),
    "uem_clip": _spec({"name": "clip", "image_size": 64, **VIT}, FPN, LINEAR, _uem(), "likelihood_ratio"),
    "uem_swin": _spec(
        {"name": "swin", "width": 24, "depths": [1, 1, 1, 1], "heads": [1, 2, 4, 8]},
        {"name": "fpn", "channels": 16},
        LINEAR,
        _uem(levels=[1, 2, 3]),
        "likelihood_ratio",
    ),
    "uem_lite": _spec(LITE, {"name": "fpn", "channels": 16}, LINEAR, _uem(levels=[1, 3]), "likelihood_ratio"),
    "two_stage_lite": _spec(
        {**LITE, "stages": 6}, LIGHT, LINEAR, {"name": "learnable_uncertainty"}, "learnable_uncertainty"
    ),
    "rpl": _spec(WIDE, DEEPLAB, UNBIASED, {"name": "residual_pattern", "rates": [2, 4, 6]}, "residual_energy"),
    "two_stage": _spec(WIDE, DEEPLAB, UNBIASED, {"name": "learnable_uncertainty"}, "learnable_uncertainty"),
    "deeplab_resnet": _spec({"name": "resnet", "depth": 50, "width": 8}, DEEPLAB, UNBIASED, None, "max_min_logit"),
    "drl": _spec(MIT, {"name": "all_mlp", "channels": 16}, LINEAR, {"name": "drl_reconstruction"}, "discrepancy"),
    "segformer_mahalanobis": _spec(
        MIT, {"name": "all_mlp", "channels": 16, "projection": "norm"}, LINEAR, {"name": "mahalanobis"}, "mahalanobis"
    ),
    "ladder_densenet": _spec(DENSE, LADDER, LINEAR, {"name": "standardized_max_logit"}, "standardized_max_logit"),
    "espnetv2": _spec(
        {"name": "espnetv2", "scale": 0.5},
        {"name": "espnetv2", "outputs": 6},
        {"name": "none", "classes": 5},
        {"name": "void_channel", "channel": 5},
        "void",
    ),
    "rpl_lite": _spec(
        LITE,
        {"name": "fpn", "channels": 16},
        LINEAR,
        {"name": "residual_feature", "width": 8, "rates": [1, 2]},
        "residual_energy",
    ),
    "ensemble_lite": _spec(
        LITE,
        {"name": "fpn", "channels": 16},
        LINEAR,
        {
            "name": "ensemble",
            "members": [
                {"head": {"name": "residual_feature", "width": 8, "rates": [1, 2]}, "score": "residual_energy"},
                {
                    "head": {"name": "learnable_uncertainty"},
                    "score": "learnable_uncertainty",
                    "decoder": {"name": "fpn", "channels": 16},
                },
            ],
        },
        "mean_standardized",
    ),
    "two_networks": _spec(
        LITE,
        {"name": "fpn", "channels": 16},
        LINEAR,
        {
            "name": "ensemble",
            "members": [
                {"head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"},
                {
                    "head": {
                        "name": "other_network",
                        "network": _spec(DINO, FPN, LINEAR, _uem(), "likelihood_ratio"),
                        "input": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "pixels": 4000, "multiple": 14},
                    },
                    "score": "other_score",
                },
            ],
        },
        "mean_standardized",
    ),
    "rpl_espnetv2": _spec(
        {"name": "espnetv2", "scale": 0.5},
        {"name": "espnetv2", "outputs": 6},
        {"name": "none", "classes": 5},
        {"name": "residual_feature", "levels": [2, 3], "width": 8, "rates": [1, 2]},
        "residual_energy",
    ),
    "two_stage_espnetv2": _spec(
        {"name": "espnetv2", "scale": 0.5},
        {"name": "espnetv2", "outputs": 6},
        {"name": "none", "classes": 5},
        {"name": "learnable_block"},
        "learnable_uncertainty",
    ),
    "erfnet": _spec(
        {"name": "erfnet", "widths": [6, 8, 16], "blocks": 1, "dilations": [2, 4]},
        {"name": "erfnet", "outputs": 6, "widths": [8, 6]},
        {"name": "none", "classes": 5},
        {"name": "void_channel", "channel": 5},
        "void",
    ),
    "mask2former": _spec(
        {"name": "mask2former", "backbone": "swin", "backbone_options": SMALL_SWIN, "options": QUERIES},
        {"name": "none"},
        {"name": "queries", "classes": 5},
        {"name": "query_uncertainty"},
        "query_uncertainty",
    ),
}


@pytest.fixture(params=sorted(SPECS))
def small_spec(request: pytest.FixtureRequest) -> dict:
    """One after the other, every kind of network."""
    return SPECS[request.param]


@pytest.fixture(scope="session")
def small_specs() -> dict[str, dict]:
    """All of them by name."""
    return SPECS


@pytest.fixture
def build():
    """spec → (segmentor in eval mode with fixed random weights, images `[1, 3, H, W]` of a size that it takes)."""

    def _build(spec: dict, seed: int = 0) -> tuple[Segmentor, torch.Tensor]:
        torch.manual_seed(seed)
        segmentor = build_segmentor(spec, NORMAL).eval()
        height = -(-60 // segmentor.multiple) * segmentor.multiple
        return segmentor, torch.randn(1, 3, height, 2 * height)

    return _build
