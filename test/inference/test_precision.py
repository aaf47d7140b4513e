"""Mixed precision: half where it may round, float32 where it decides, and nearly the same answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oodseg_ros.inference.precision import half_parts, lower
from oodseg_ros.networks.build import build_segmentor

DINO = {"name": "dinov2", "variant": "s", "image_size": 70, "width": 48, "depth": 4, "heads": 3, "taps": [0, 1, 2, 3]}
UEM = {
    "backbone": DINO,
    "decoder": {"name": "dino_fpn", "channels": 16, "hidden": 24},
    "classifier": {"name": "gmm", "classes": 5},
    "head": {"name": "uem", "levels": [3], "hidden": 32, "width": 16},
    "score": "likelihood_ratio",
}
RPL = {
    "backbone": {"name": "wide_resnet38", "divisor": 16},
    "decoder": {"name": "deeplab", "channels": 16, "fine": 6, "rates": [2, 4, 6]},
    "classifier": {"name": "linear", "classes": 5, "bias": False},
    "head": {"name": "residual_pattern", "rates": [2, 4, 6]},
    "score": "residual_energy",
}


def built(spec: dict, precision: str | None) -> nn.Module:
    torch.manual_seed(0)
    segmentor = build_segmentor(spec).eval()
    segmentor.prepare(70, 140)
    return segmentor if precision is None else lower(segmentor, precision)


@pytest.mark.parametrize(("spec", "size"), [(UEM, (70, 140)), (RPL, (64, 128))])
def test_answers_stay_float32_and_near(spec: dict, size: tuple[int, int]) -> None:
    images = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted, found = built(spec, None)(images), built(spec, "bf16")(images)
    assert found.logits.dtype == found.score.dtype == torch.float32
    assert torch.isfinite(found.score).all()
    assert 0 < (found.score - wanted.score).abs().max() < 0.5 * wanted.score.std()


def test_only_backbone_decoder_and_wide_heads_are_half() -> None:
    uem, rpl = built(UEM, "fp16"), built(RPL, "fp16")
    assert set(half_parts(uem)) == {"backbone", "decoder"}
    assert set(half_parts(rpl)) == {"backbone", "decoder", "head"}
    for part in (uem.classifier, uem.head, rpl.classifier):
        assert {tensor.dtype for tensor in part.state_dict().values()} == {torch.float32}
    for name, module in uem.backbone.named_modules():
        wanted = torch.float32 if isinstance(module, nn.LayerNorm) else torch.float16
        assert {p.dtype for p in module.parameters(recurse=False)} <= {wanted}, name


def test_the_position_table_is_made_before_it_is_rounded() -> None:
    lowered, full = built(UEM, "fp16").backbone, built(UEM, None).backbone
    table = next(buffer for name, buffer in lowered.named_buffers() if "grid_" in name)
    wanted = next(buffer for name, buffer in full.named_buffers() if "grid_" in name)
    assert torch.equal(table, wanted.half())


@pytest.mark.parametrize("affine", [True, False])
def test_a_variance_that_float16_cannot_hold_does_no_harm(affine: bool) -> None:
    segmentor = built(RPL, None)
    norm = nn.BatchNorm2d(16, affine=affine).eval()
    norm.running_var.fill_(1e6)
    norm.running_mean.fill_(300.0)
    segmentor.decoder.final[1][1] = norm
    x = torch.linspace(-3000, 3000, 16 * 4).reshape(1, 16, 2, 2)
    wanted = norm(x)
    lower(segmentor, "fp16")
    found = segmentor.decoder.final[1][1](x)
    assert found.dtype == torch.float16
    torch.testing.assert_close(found.float(), wanted, atol=5e-3, rtol=5e-3)


def test_layers_cast_what_is_handed_to_them() -> None:
    lowered = built(UEM, "fp16")
    assert lowered.backbone(torch.randn(1, 3, 70, 140))[0].dtype == torch.float16
    assert lowered.classifier(torch.randn(1, 16, 5, 5).half()).dtype == torch.float32
