"""What every objective owes whatever its formula: defined for empty sets and extreme logits, inputs left alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from oodseg_ros.losses.drl import drl_terms
from oodseg_ros.losses.exposure import entropy_max_terms, outlier_exposure_terms, ovr_topk_terms
from oodseg_ros.losses.llr import llr_terms
from oodseg_ros.losses.masks import component_contrast
from oodseg_ros.losses.pebal import pebal_terms
from oodseg_ros.losses.relative_contrastive import relative_contrastive_terms
from oodseg_ros.losses.rpl import corocl_loss, rpl_terms

CLASSES = 4


def _gmm(logits: Tensor, target: Tensor, **ids: int) -> Tensor:
    rows = torch.where(target == 0, 0, 255 * CLASSES).flatten()
    return component_contrast(logits.permute(0, 2, 3, 1).reshape(-1, CLASSES), rows)


def _drl(logits: Tensor, target: Tensor, **ids: int) -> Tensor:
    more = torch.cat([logits, -logits[:, :1]], dim=1)
    return sum(
        drl_terms(
            logits.detach(), more, more, target, logits[:, :3].tanh(), logits[:, :3].detach().cos(), **ids
        ).values()
    )


LOSSES: dict[str, Callable[..., Tensor]] = {
    "llr": lambda x, t, **ids: sum(llr_terms(x.detach(), x[:, :2], t, ce_weight=0.5, **ids).values()),
    "gmm": _gmm,
    "rpl": lambda x, t, **ids: sum(rpl_terms(x, x.detach().roll(1, 1), t, **ids).values()),
    "corocl": lambda x, t, **ids: corocl_loss(x, t, x.flip(1), t, **ids),
    "relative_contrastive": lambda x, t, **ids: sum(relative_contrastive_terms(x, x[:, 0], t, **ids).values()),
    "ovr_topk": lambda x, t, **ids: sum(ovr_topk_terms(x, t, ce_weight=1.0, **ids).values()),
    "drl": _drl,
    "pebal": lambda x, t, **ids: sum(pebal_terms(x, t, x[:, :1], **ids).values()),
    "pebal_plain": lambda x, t, **ids: sum(pebal_terms(x, t, **ids).values()),
    "entropy_max": lambda x, t, **ids: sum(entropy_max_terms(x, t, **ids).values()),
    "outlier_exposure": lambda x, t, **ids: sum(outlier_exposure_terms(x, t, **ids).values()),
}


@pytest.fixture(params=sorted(LOSSES))
def loss(request: pytest.FixtureRequest) -> Callable[..., Tensor]:
    return LOSSES[request.param]


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize(
    "present",
    [[0], [253], [254], [255], [254, 255], [0, 255], [0, 3, 253, 254, 255]],
    ids=lambda p: "-".join(map(str, p)),
)
def test_any_mix_of_pixels_gives_a_finite_scalar_with_finite_gradients(
    loss: Callable[..., Tensor], present: list[int], scale: float
) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = scale * torch.randn(2, CLASSES, 5, 6, generator=generator)
    logits[0, :, 0, 0] = torch.tensor([scale, -scale, scale, -scale])
    logits.requires_grad_()
    target = torch.tensor(present)[torch.randint(0, len(present), (2, 5, 6), generator=generator)]
    value = loss(logits, target)
    assert value.shape == ()
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    if present == [255] and loss is not LOSSES["drl"]:  # DRL's reconstruction needs no labels
        assert value == 0


def test_inputs_stay_as_they_were(loss: Callable[..., Tensor], random_batch) -> None:
    logits, target = random_batch(2, (2, CLASSES, 6, 6))
    before = logits.clone(), target.clone()
    loss(logits, target)
    assert torch.equal(logits, before[0])
    assert torch.equal(target, before[1])


def test_the_outlier_id_is_only_a_name(loss: Callable[..., Tensor], random_batch) -> None:
    logits, target = random_batch(3, (2, CLASSES, 6, 6))
    renamed = torch.where(target == 254, 19, target)
    torch.manual_seed(0)
    value = loss(logits, target)
    torch.manual_seed(0)
    torch.testing.assert_close(loss(logits, renamed, outlier=19), value)
    if loss is not LOSSES["gmm"]:  # to a cross-entropy both are no class
        torch.manual_seed(0)
        assert not torch.allclose(loss(logits, renamed), value)


def test_ignored_pixels_do_not_count(loss: Callable[..., Tensor], random_batch) -> None:
    """Logits under the ignore label may be anything; integer targets of any width mean the same."""
    logits, target = random_batch(4, (2, CLASSES, 6, 6))
    other = torch.where((target == 255)[:, None], -logits, logits)
    if loss is LOSSES["drl"]:
        target = torch.where(target == 255, 0, target)
        other = logits
    torch.manual_seed(0)
    value = loss(logits, target)
    torch.manual_seed(0)
    torch.testing.assert_close(loss(other, target.to(torch.uint8)), value)
