"""Every method on small networks of every kind: it learns, and what it promises to leave alone stays bit-identical."""

from __future__ import annotations

import pytest
import torch

from oodseg_ros.errors import ConfigError
from oodseg_ros.training.methods import METHODS, stage_class

DINO_SIZE = (56, 84)
FROZEN = [
    ("uem", "lite_uem", {}),
    ("uem", "dino_uem_g_g", {"options": {"ce_weight": 0.5, "memory": 32, "interval": 1}}),
    ("rpl", "lite_rpl", {}),
    ("rpl", "espnet_rpl", {"loss_stride": 2}),
    ("rpl", "wide_rpl", {}),
    ("rpl_corocl", "wide_rpl", {}),
    ("rpl_corocl", "lite_rpl", {}),
    ("two_stage_a", "wide_two_stage", {}),
    ("two_stage_a", "espnet_two_stage", {}),
    ("two_stage_a", "query_two_stage", {"options": {"margins": [0.7, 0.5, 0.2], "ce_weights": [0, 0]}}),
    ("drl", "drl", {}),
]
MOVING = [
    ("inlier", "dino_uem_g_g", {}),
    ("inlier", "lite", {"backbone_lr": 0.1}),
    ("inlier_gmm", "lite_mixture", {"options": {"memory": 32, "interval": 1}}),
    ("joint", "lite_uem", {"backbone_lr": 0.1}),
    ("two_stage_b", "wide_two_stage", {}),
    (
        "two_stage_b",
        "query_two_stage",
        {"options": {"margins": [0.7, 0.5, 0.2], "ce_weights": [0, 0], "mask_losses": True}},
    ),
    ("ovr_topk", "lite", {"options": {"scope": "classifier"}}),
    ("ovr_topk", "espnet", {"options": {"scope": "classifier"}}),
    ("ovr_topk", "espnet", {"options": {"scope": "decoder"}}),
    ("pebal", "espnet", {}),
    ("entropy_max", "lite", {}),
    ("outlier_exposure", "lite", {"optimizer": "sgd"}),
]


def name_of(case: object) -> str:
    return case if isinstance(case, str) else ""


def learn(stage, batch, steps: int) -> list[float]:
    """Optimiser steps on one batch as Lightning would do them; the losses."""
    optimizer = stage.configure_optimizers()["optimizer"]
    losses = []
    for step in range(steps):
        terms = stage.terms(stage.normalize(batch[0]), batch[1], batch[2] if len(batch) > 2 else None)
        assert all(torch.isfinite(value) for value in terms.values()), terms
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if getattr(stage, "em", None) is not None:
            stage.em.after_step(step + 1)
        losses.append(loss.item())
    return losses


def batch_for(stage_name: str, network: str, make_batch):
    size = DINO_SIZE if network.startswith("dino") else (64, 96)
    pairs = stage_name in ("rpl_corocl", "two_stage_a", "two_stage_b", "drl") and network != "lite_rpl"
    return make_batch(pairs=pairs, overlap=stage_name == "drl", size=size)


def test_every_method_has_its_options_and_a_case() -> None:
    assert set(METHODS) == {case[0] for case in FROZEN + MOVING}


@pytest.mark.parametrize(("method", "network", "values"), FROZEN, ids=name_of)
def test_a_frozen_base_stays_bit_identical_while_the_head_learns(
    method, network, values, make_stage, make_batch
) -> None:
    stage = make_stage(method, network, **values)
    batch = batch_for(method, network, make_batch)
    segmentor = stage.segmentor
    images = stage.normalize(batch[0].flatten(0, -4))
    before = {key: value.clone() for key, value in segmentor.state_dict().items()}
    with torch.no_grad():
        logits = segmentor.extract(images)
        logits = segmentor.classifier(logits.decoded)
    losses = learn(stage, batch, 4)
    # A mixture's likelihoods change scale when its deviations first follow the features.
    assert losses[-1] < losses[0] or network == "dino_uem_g_g"
    moved = {key for key, value in segmentor.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert all(key.startswith("head.") for key in moved), sorted(moved)[:5]
    with torch.no_grad():
        assert torch.equal(segmentor.classifier(segmentor.extract(images).decoded), logits)
    base = [module for part in segmentor.base_parts() for module in part.modules()]
    assert not any(module.training for module in base)


@pytest.mark.parametrize(("method", "network", "values"), MOVING, ids=name_of)
def test_only_the_named_parts_move(method, network, values, make_stage, make_batch) -> None:
    stage = make_stage(method, network, **values)
    batch = batch_for(method, network, make_batch)
    before = {key: value.clone() for key, value in stage.segmentor.state_dict().items()}
    losses = learn(stage, batch, 4)
    assert losses[-1] < losses[0]
    moved = {key for key, value in stage.segmentor.state_dict().items() if not torch.equal(value, before[key])}
    parts = tuple(f"{part}." for part in stage.trained)
    assert moved
    assert all(key.startswith(parts) for key in moved), sorted(moved)[:5]
    if method not in ("inlier", "inlier_gmm", "joint"):  # fine-tuning never moves batch statistics
        assert not any("running" in key for key in moved)


def test_the_last_residual_convolution_learns_ten_times_faster(make_stage) -> None:
    groups = {group["name"]: group for group in make_stage("rpl", "wide_rpl").groups()}
    assert groups["head.final"]["lr"] == pytest.approx(10 * groups["head"]["lr"])
    counted = sum(p.numel() for group in groups.values() for p in group["params"])
    assert counted == sum(p.numel() for p in make_stage("rpl", "wide_rpl").segmentor.head.parameters())


def test_the_residual_block_starts_from_the_trained_aspp_in_train_mode(make_stage) -> None:
    segmentor = make_stage("rpl", "wide_rpl").segmentor
    assert torch.equal(segmentor.head.aspp.features[0][0].weight, segmentor.decoder.aspp.features[0][0].weight)
    assert segmentor.head.aspp.training
    assert not segmentor.decoder.aspp.training


@pytest.mark.parametrize("network", ["wide_two_stage", "espnet_two_stage"])
def test_the_second_stage_goes_on_from_the_first(network, make_stage) -> None:
    """Stage b must not start the head anew."""
    first = make_stage("two_stage_a", network)
    head = next(first.segmentor.head.parameters())
    with torch.no_grad():
        head += 1.0
    kept = head.clone()
    stage_class("two_stage_b")(first.segmentor, _input(first), first.stage.model_copy(update={"method": "two_stage_b"}))
    assert torch.equal(next(first.segmentor.head.parameters()), kept)


def _input(stage):
    from oodseg_ros.model_card import InputSpec

    return InputSpec(mean=stage.mean.flatten().tolist(), std=stage.std.flatten().tolist(), pixels=1 << 20, multiple=32)


def test_draws_depend_on_seed_and_step_alone(make_stage) -> None:
    stage = make_stage("two_stage_a", "espnet_two_stage")
    assert torch.equal(torch.rand(3, generator=stage.draw()), torch.rand(3, generator=stage.draw()))
    stage.seed += 1
    assert not torch.equal(torch.rand(3, generator=stage.draw()), torch.rand(3, generator=_again(stage)))


def _again(stage):
    stage.seed -= 1
    return stage.draw()


def test_a_mixtures_memory_is_part_of_the_checkpoint(make_stage, make_batch) -> None:
    options = {"memory": 16, "interval": 1}
    one = make_stage("inlier_gmm", "lite_mixture", options=options)
    means = one.segmentor.classifier.means.clone()
    learn(one, make_batch(), 2)
    assert not torch.equal(one.segmentor.classifier.means, means)
    checkpoint: dict = {}
    one.on_save_checkpoint(checkpoint)
    two = make_stage("inlier_gmm", "lite_mixture", options=options)
    two.load_state_dict(one.state_dict())
    two.on_load_checkpoint(checkpoint)
    assert torch.equal(two.em.memory.features, one.em.memory.features)
    assert torch.equal(two.em.memory.next, one.em.memory.next)
    torch.testing.assert_close(learn(two, make_batch(), 1), learn(one, make_batch(), 1))


def test_the_m_step_comes_in_the_references_steps(make_stage, make_batch, monkeypatch) -> None:
    """Its counter runs 0, 1, 2, … and it acts at 0, 3, 6: in the first step, and every third from there."""
    stage = make_stage("inlier_gmm", "lite_mixture", options={"memory": 16, "interval": 3})
    seen: list[int] = []
    for step in range(1, 9):
        monkeypatch.setattr("oodseg_ros.training.stages.inlier.update", lambda *_, step=step: seen.append(step - 1))
        stage.em.after_step(step)
    assert seen == [0, 3, 6]


@pytest.mark.parametrize(
    ("method", "network", "sentence"),
    [
        ("rpl", "lite_uem", "residual_pattern"),
        ("two_stage_a", "lite", "learnable_uncertainty"),
        ("drl", "lite_uem", "drl_reconstruction"),
        ("inlier_gmm", "lite", "gmm"),
        ("rpl_corocl", "espnet_rpl", "projector"),
        ("uem", "lite", "uem"),
    ],
)
def test_a_network_without_what_the_method_needs_is_refused(method, network, sentence, make_stage) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make_stage(method, network)


def test_norms_can_be_left_out_of_weight_decay(make_stage) -> None:
    stage = make_stage("drl", "drl", weight_decay=0.1, no_decay=["norms", "position"])
    optimizer = stage.configure_optimizers()["optimizer"]
    names = {id(p): name for name, p in stage.segmentor.head.named_parameters()}
    decayed = {names[id(p)] for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    rest = {names[id(p)] for group in optimizer.param_groups if not group["weight_decay"] for p in group["params"]}
    assert decayed | rest == set(names.values())
    assert not decayed & rest
    assert "calibration.position.weight" in rest
    assert all(stage.segmentor.head.get_parameter(name).dim() > 1 for name in decayed)


def test_rates_freeze_parts_and_thaw_others(make_stage, make_batch) -> None:
    stage = make_stage("inlier", "lite", rates={"decoder.blocks.0": 0.0, "backbone._blocks.15": 0.5})
    before = {key: value.clone() for key, value in stage.segmentor.state_dict().items()}
    assert not stage.segmentor.decoder.blocks[0].training
    assert stage.segmentor.decoder.blocks[1].training
    learn(stage, make_batch(), 1)
    moved = {key for key, value in stage.segmentor.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("backbone._blocks.15.") for key in moved)
    assert not any(key.startswith(("backbone._blocks.14.", "decoder.blocks.0.")) for key in moved)
    assert {group["name"]: group["lr"] for group in stage.groups()}["backbone._blocks.15"] == pytest.approx(5e-4)


def test_parts_that_do_not_exist_are_named(make_stage) -> None:
    with pytest.raises(ConfigError, match=r"no part 'decoder\.asp'.*decoder\.lateral"):
        make_stage("inlier", "lite", rates={"decoder.asp": 0.1})
