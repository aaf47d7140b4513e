from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from oodseg_ros.errors import BundleError
from oodseg_ros.networks.build import build_segmentor

UEM_HEAD = {"name": "uem", "levels": [3], "hidden": 512, "width": 256}
DINO_B = {"name": "dinov2", "variant": "b"}
WRN = {
    "backbone": {"name": "wide_resnet38"},
    "decoder": {"name": "deeplab"},
    "classifier": {"name": "linear", "classes": 19, "bias": False},
    "head": None,
    "score": "energy",
}


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def on_meta(spec: dict):
    with torch.device("meta"):
        return build_segmentor(spec)


def uem(form: str, classifier: str) -> dict:
    return {
        "backbone": DINO_B,
        "decoder": {"name": "dino_fpn"},
        "classifier": {"name": classifier, "classes": 19},
        "head": {**UEM_HEAD, "form": form},
        "score": "likelihood_ratio",
    }


def test_uem_has_the_published_parameter_counts():
    network = on_meta(uem("D", "linear"))
    assert count(network.backbone) == 86_583_552
    assert count(network.decoder) == 14_958_592
    assert count(network.classifier) == 4_883
    assert count(network.head) == 788_226
    assert count(network) == 86_583_552 + 14_958_592 + 4_883 + 788_226


def test_the_mixture_forms_train_only_their_norms():
    network = on_meta(uem("G", "gmm"))
    assert count(network.classifier) == 2 * 256 + 2 * 19
    assert count(network.head.classifier) == 516
    assert count(network.head) == 787_712 + 516


@pytest.mark.parametrize(("variant", "parameters"), [("s", 22_058_112), ("l", 304_372_736)])
def test_other_dinov2_sizes(variant, parameters):
    network = on_meta({**uem("D", "linear"), "backbone": {"name": "dinov2", "variant": variant}})
    assert count(network.backbone) == parameters


def test_deeplab_on_wide_resnet_has_the_published_parameter_counts():
    network = on_meta(WRN)
    assert count(network.backbone) == 105_062_720
    assert count(network.decoder.aspp) == 30_411_264
    assert count(network.decoder.bot_fine) == 6_144
    assert count(network.decoder.bot_aspp) == 327_680
    assert count(network.decoder.final) + count(network.classifier) == 1_296_128
    assert count(network) == 137_103_936


def test_residual_pattern_has_the_published_parameter_counts():
    rpl = {**WRN, "score": "residual_energy"}
    assert count(on_meta({**rpl, "head": {"name": "residual_pattern", "projector": True}}).head) == 30_894_896
    assert count(on_meta({**rpl, "head": {"name": "residual_pattern"}}).head) == 30_816_768


def test_learnable_uncertainty_adds_one_bias_free_convolution():
    network = on_meta({**WRN, "head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"})
    assert count(network.head) == 4_864
    assert count(network) == 137_108_800


@pytest.mark.parametrize(
    ("variant", "channels", "projection", "parameters"),
    [
        ("b0", 256, "linear", 3_719_027),
        ("b0", 256, "norm", 3_720_051),
        ("b5", 768, "linear", 84_607_955),
        ("b5", 256, "norm", 81_974_739),
    ],
)
def test_segformer_has_the_parameters_of_the_released_layouts(variant, channels, projection, parameters):
    network = on_meta(
        {
            "backbone": {"name": "mit", "variant": variant},
            "decoder": {"name": "all_mlp", "channels": channels, "projection": projection},
            "classifier": {"name": "linear", "classes": 19},
            "score": "energy",
        }
    )
    assert count(network) == parameters


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (uem("G", "gmm"), (518, 1036)),
        ({**WRN, "head": {"name": "residual_pattern"}, "score": "residual_energy"}, (1024, 2048)),
        (
            {
                "backbone": {"name": "mit", "variant": "b5"},
                "decoder": {"name": "all_mlp", "channels": 768},
                "classifier": {"name": "linear", "classes": 19},
                "head": {"name": "drl_reconstruction"},
                "score": "discrepancy",
            },
            (1024, 1024),
        ),
    ],
    ids=["uem", "rpl", "drl"],
)
def test_the_papers_networks_export_at_the_papers_sizes(spec, size):
    network = on_meta(spec).eval()
    with torch.device("meta"), torch.no_grad():
        network.prepare(*size)
        exported = torch.export.export(network, (torch.zeros(1, 3, *size),), strict=False)
    (outputs,) = exported.graph.find_nodes(op="output")
    assert [tuple(node.meta["val"].shape) for node in outputs.args[0]] == [(1, 19, *size), (1, *size)]
    # A constant instead of a bicubic resize.
    assert not any("bicubic" in str(node.target) for node in exported.graph.nodes)


def test_densenet_121_has_the_usual_encoder():
    network = on_meta(
        {
            "backbone": {"name": "densenet"},
            "decoder": {"name": "ladder"},
            "classifier": {"name": "linear", "classes": 12},
            "score": "energy",
        }
    )
    assert count(network.backbone) == 6_953_856


def test_every_small_network_answers_at_input_size(small_spec, build):
    network, images = build(small_spec)
    with torch.inference_mode():
        logits, score = network(images)
    assert logits.shape == (1, 5, *images.shape[-2:])
    assert score.shape == (1, *images.shape[-2:])
    assert logits.dtype == score.dtype == torch.float32
    assert torch.isfinite(logits).all()
    assert torch.isfinite(score).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": {"name": "vgg"}}, "unknown backbone 'vgg'"),
        ({"backbone": {"name": "mit", "variant": "b9"}}, "b9"),
        ({"decoder": {"name": "fpn", "depth": 3}}, "depth"),
        ({"score": "magic"}, "score 'magic' is not one of"),
        ({"head": {"name": "uem", "levels": [3]}, "score": "energy"}, "likelihood_ratio"),
        ({"head": {"name": "residual_pattern"}, "score": "residual_energy"}, "deeplab"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_is_wrong(change, said):
    spec = {
        "backbone": {"name": "mit"},
        "decoder": {"name": "fpn"},
        "classifier": {"name": "linear", "classes": 5},
        "head": None,
        "score": "energy",
    }
    with torch.device("meta"), pytest.raises(BundleError, match=said):
        build_segmentor({**spec, **change})


def test_a_missing_part_is_named():
    with pytest.raises(BundleError, match="classifier is missing"):
        build_segmentor({"backbone": {"name": "mit"}, "decoder": {"name": "fpn"}, "score": "energy"})


def test_a_network_without_transformers_does_not_import_it(small_specs):
    code = (
        "import sys; from oodseg_ros.networks.build import build_segmentor;"
        f"build_segmentor({small_specs['uem_lite']!r}); assert 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
