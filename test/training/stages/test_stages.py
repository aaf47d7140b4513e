"""Every method on small networks of every kind: it learns, and what it promises to leave alone stays bit-identical."""

from __future__ import annotations

import pytest
import torch

from oodseg_ros.errors import ConfigError, UserError
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.heads.ensemble import with_member
from oodseg_ros.training.methods import METHODS, StageSpec, stage_class
from oodseg_ros.training.stages import teacher_bundle

DINO_SIZE = (56, 84)
# On noise everything is far from normal: nothing is cut.
TAUGHT = {"teachers": [{"bundle": "road_lite"}], "cap": 50.0}
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
    ("distil", "lite_rpl", {"options": TAUGHT}),
    ("distil", "espnet_two_stage", {"options": TAUGHT, "loss_stride": 2}),
]
MOVING = [
    ("inlier", "dino_uem_g_g", {}),
    ("inlier", "lite", {"backbone_lr": 0.1}),
    ("inlier", "lite", {"options": {"class_weights": [1, 2, 3, 4, 0]}}),
    ("inlier_gmm", "lite_mixture", {"options": {"memory": 32, "interval": 1}}),
    ("joint", "lite_uem", {"backbone_lr": 0.1}),
    ("two_stage_b", "wide_two_stage", {}),
    ("distil", "wide_two_stage", {"options": TAUGHT | {"trained": ["decoder", "head"], "small_weight": 4}}),
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
    base = [
        module for part in (segmentor.backbone, segmentor.decoder, segmentor.classifier) for module in part.modules()
    ]
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
        monkeypatch.setattr("oodseg_ros.training.stages.mixture.update", lambda *_, step=step: seen.append(step - 1))
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


def test_a_students_unit_is_found_once_and_kept(make_stage, make_batch) -> None:
    """A score in any unit: the first batch lays it over the teacher's; a resumed run must not lay it anew."""
    images, target = make_batch()
    one = make_stage("distil", "lite_rpl", options=TAUGHT)
    first = {name: value.item() for name, value in one.terms(one.normalize(images), target, None).items()}
    unit = one.unit.clone()
    assert unit[0] > 0
    one.terms(one.normalize(images.flip(0) // 2), target, None)
    assert torch.equal(one.unit, unit)
    two = make_stage("distil", "lite_rpl", options=TAUGHT)
    two.load_state_dict(one.state_dict())
    again = {name: value.item() for name, value in two.terms(two.normalize(images), target, None).items()}
    assert again == pytest.approx(first)
    assert not any("teacher" in key for key in one.state_dict())


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_what_a_stage_normalises_it_can_give_back(make_network, make_batch, order: str) -> None:
    """A teacher reads the pictures' own pixels, in whichever order the student's network takes its channels."""
    spec = InputSpec(channel_order=order, mean=(0.1, 0.2, 0.3), std=(0.3, 0.4, 0.5), pixels=1 << 20, multiple=32)
    stage = stage_class("inlier")(make_network("lite"), spec, StageSpec(method="inlier", steps=1, batch=2, lr=1e-3))
    images, _ = make_batch()
    torch.testing.assert_close(stage.pixels(stage.normalize(images)), images.float() / 255)


@pytest.mark.parametrize(("method", "network"), [("distil", "lite_rpl"), ("inlier", "lite")])
def test_teachers_are_loaded_when_they_are_asked_and_once(make_stage, monkeypatch, method: str, network: str) -> None:
    loaded: list[float] = []

    class Teacher:
        def __init__(self, asked, weight: float, *rest: object) -> None:
            loaded.append(weight)
            self.identity = asked.bundle

        def __call__(self, pixels: torch.Tensor, features: list) -> tuple[torch.Tensor, torch.Tensor]:
            return pixels[:, :1], pixels[:, :1].expand(-1, 5, -1, -1)

    monkeypatch.setattr(teacher_bundle, "Teacher", Teacher)
    stage = make_stage(method, network, options={"teachers": [{"bundle": "a"}, {"bundle": "b", "weight": 3.0}]})
    assert loaded == []
    images, target = torch.zeros(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.uint8)
    stage.answers(images, images, [], target)
    assert "'a ScoreTeacher" in stage.answers_from().replace('"', "'")
    stage.answers(images, images, [], target)
    assert loaded == [0.25, 0.75], "their shares"


def test_teachers_that_cannot_teach_are_refused(make_stage, make_batch, tmp_path) -> None:
    from oodseg_ros.bundle import load_bundle, save_bundle

    shipped = load_bundle("road_lite")
    bare = shipped.card.model_copy(
        update={"calibration": shipped.card.calibration.model_copy(update={"inlier_histogram": None})}
    )
    save_bundle(tmp_path / "bare", bare, shipped.weights(), shipped.golden())
    images, target = make_batch()
    bare_said = r"^teacher .*bare has no histogram of normal scores"
    for teacher, sentence in ((str(tmp_path / "bare"), bare_said), ("no_such_bundle", "no_such_bundle")):
        stage = make_stage("distil", "lite_rpl", options={"teachers": [{"bundle": teacher}]})
        with pytest.raises(UserError, match=sentence):
            stage.terms(stage.normalize(images), target, None)
    with pytest.raises(ValueError, match="greater than 0"):
        make_stage("distil", "lite_rpl", options={"teachers": [{"bundle": "road_lite", "weight": 0.0}]})
    stage = make_stage("distil", "lite_rpl", options=TAUGHT | {"cap": -100.0})
    with pytest.raises(ConfigError, match="the same everywhere"):
        stage.terms(stage.normalize(images), target, None)


def test_a_teacher_of_classes_alone_needs_no_histogram(make_batch, tmp_path) -> None:
    from oodseg_ros.bundle import load_bundle, save_bundle

    shipped, (images, target) = load_bundle("road_lite"), make_batch()
    without = shipped.card.calibration.model_copy(update={"inlier_histogram": None})
    card = shipped.card.model_copy(update={"calibration": without})
    save_bundle(tmp_path / "bare", card, shipped.weights(), shipped.golden())
    told = []
    for teacher in ("road_lite", str(tmp_path / "bare")):
        spec = StageSpec(method="inlier", steps=1, batch=2, lr=1e-3, options={"teachers": [{"bundle": teacher}]})
        stage = stage_class("inlier")(shipped.segmentor().eval(), shipped.card.input, spec)
        stage.eval()
        told.append(stage.terms(stage.normalize(images), target, None)["teachers"].item())
    assert told[0] == told[1]


def test_a_teacher_on_the_same_backbone_reads_its_features_and_says_the_same(make_batch) -> None:
    from oodseg_ros.bundle import load_bundle

    shipped = load_bundle("road_lite")
    spec = StageSpec(method="distil", steps=1, batch=2, lr=1e-3, member=0, options=TAUGHT)
    stage = stage_class("distil")(with_member(shipped.segmentor(), 0), shipped.card.input, spec)
    images, target = make_batch()
    images = stage.normalize(images)
    stage.terms(images, target, None)
    (teacher,) = stage._teachers.all()
    features = stage.segmentor.backbone(images)
    with torch.no_grad():
        shared, _ = teacher(images * stage.std + stage.mean, features)
        whole = shipped.segmentor()(images, shipped.card.input.output_stride).score[:, None]
        other, _ = teacher(images * stage.std + stage.mean, [feature * 0 for feature in features])
    assert not torch.allclose(shared, other)  # nothing but the features is read
    ratio = (shared - shared.mean()) / (whole - whole.mean())
    torch.testing.assert_close(ratio, torch.full_like(ratio, ratio.median()), rtol=1e-2, atol=1e-2)


def test_one_decoder_learns_the_score_and_the_weight_holds_its_classes(make_batch) -> None:
    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.networks.build import build_segmentor

    shipped, (images, target) = load_bundle("road_lite"), make_batch()
    head = {"head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"}
    moved = []
    for weight in (1e-6, 100.0):
        network = build_segmentor(shipped.card.network | head)
        for part in ("backbone", "decoder", "classifier"):
            getattr(network, part).load_state_dict(getattr(shipped.segmentor(), part).state_dict())
        parts = ["decoder", "classifier", "head"]
        options = TAUGHT | {"trained": parts, "class_weight": weight, "initialize": True}
        spec = StageSpec(method="distil", steps=4, batch=2, lr=1e-3, options=options)
        stage = stage_class("distil")(network, shipped.card.input, spec)
        assert torch.equal(network.head.ood_head.weight, network.classifier.linear.weight)
        first = stage.terms(stage.normalize(images), target, None)["classes"].item() / weight
        assert first < 1e-3  # it starts as the teacher
        losses = learn(stage, [images, target], 12)
        assert weight > 1 or losses[-1] < losses[0]
        moved.append(stage.terms(stage.normalize(images), target, None)["classes"].item() / weight)
    assert moved[1] < moved[0]


def test_labels_teach_the_classes_through_the_backbone(make_batch) -> None:
    from oodseg_ros.bundle import load_bundle

    shipped, (images, target) = load_bundle("road_lite"), make_batch()
    options = TAUGHT | {"trained": ["backbone", "decoder", "classifier", "head"], "label_weight": 1.0}
    spec = StageSpec(method="distil", member=0, steps=4, batch=2, lr=1e-3, rates={"backbone": 0.3}, options=options)
    network = shipped.segmentor()
    before = network.backbone._conv_stem.weight.clone()
    stage = stage_class("distil")(network, shipped.card.input, spec)
    first = stage.terms(stage.normalize(images), target, None)["labels"].item()
    learn(stage, [images, target], 4)
    assert not torch.equal(network.backbone._conv_stem.weight, before)
    assert stage.terms(stage.normalize(images), target, None)["labels"].item() < first


def test_a_teacher_looks_at_several_scales() -> None:
    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.training.stages.teacher_bundle import ScoreTeacher, Teacher

    shipped = load_bundle("road_lite")
    network, pixels = shipped.segmentor(), torch.rand(1, 3, 64, 128, generator=torch.Generator().manual_seed(3))
    spec, features = shipped.card.input, network.backbone(torch.zeros(1, 3, 64, 128))

    def taught(*scales: float) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            return Teacher(ScoreTeacher(bundle="road_lite", scales=scales), 1.0, spec, network.backbone)(
                pixels, features
            )

    (double, classes), (half, _), (mean, of_first) = taught(2.0), taught(0.5), taught(2.0, 0.5)
    assert mean.shape == double.shape == (1, 1, 32, 64)
    enlarged = torch.nn.functional.interpolate(half, size=(32, 64), mode="bilinear")
    torch.testing.assert_close(mean, (double + enlarged) / 2, atol=1e-4, rtol=1e-4)
    assert torch.equal(classes, of_first)


def test_teachers_of_other_classes_cannot_hold_them(make_stage, make_batch) -> None:
    stage = make_stage("distil", "lite_rpl", options=TAUGHT | {"class_weight": 1.0, "trained": ["decoder", "head"]})
    images, target = make_batch()
    with pytest.raises(ConfigError, match="this network's 5 classes, not 11"):
        stage.terms(stage.normalize(images), target, None)
    with pytest.raises(ConfigError, match="initialize"):
        make_stage("distil", "lite_rpl", options=TAUGHT | {"initialize": True})
    with pytest.raises(ConfigError, match="`head`"):
        make_stage("distil", "lite", options=TAUGHT)


@pytest.mark.parametrize("weight", ["class_weight", "label_weight"])
def test_classes_that_nothing_trained_moves_are_refused(make_stage, weight: str) -> None:
    options = TAUGHT | {weight: 1.0}
    with pytest.raises(ConfigError, match=r"what it trains \(head\) does not move the classes; leave out class_weight"):
        make_stage("distil", "lite_rpl", options=options)
    with pytest.raises(ConfigError, match="does not move the classes"):
        make_stage("distil", "lite_rpl", options=options | {"trained": ["decoder", "head"]}, rates={"decoder": 0.0})
    for part in ("backbone", "decoder.lateral", "classifier"):
        make_stage("distil", "lite_rpl", options=options | {"trained": [part, "head"]})


def test_class_weights_are_one_for_each_class(make_stage) -> None:
    with pytest.raises(ConfigError, match="2 class_weights for 5 classes; give one for each"):
        make_stage("inlier", "lite", options={"class_weights": [1, 2]})
    with pytest.raises(ConfigError, match="all class_weights are 0"):
        make_stage("inlier", "lite", options={"class_weights": [0, 0, 0, 0, 0]})


def test_a_stage_in_which_nothing_learns_is_refused(make_stage) -> None:
    nothing = {"backbone": 0.0, "decoder": 0.0, "classifier": 0.0}
    with pytest.raises(ConfigError, match=r"what it trains .* has no parameter that learns; train another"):
        make_stage("inlier", "lite", rates=nothing).configure_optimizers()


def test_teachers_of_other_classes_are_refused(make_stage, make_batch) -> None:
    stage = make_stage("inlier", "lite", options={"teachers": [{"bundle": "road_lite"}]})
    batch = make_batch()
    with pytest.raises(ConfigError, match="`teachers` have 11 classes, this network 5"):
        stage.terms(stage.normalize(batch[0]), batch[1], None)
