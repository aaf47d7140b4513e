"""Recorded features: what a frozen backbone gives, once; training on them is training on the samples."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from oodseg_ros.bundle import load_bundle, rewrite_card
from oodseg_ros.errors import ConfigError
from oodseg_ros.frame import OUTLIER
from oodseg_ros.inference.runner import Runner
from oodseg_ros.labels import load_labels
from oodseg_ros.training import features, run_stage, train
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import Recipe, load_recipe
from oodseg_ros.training.samples import Samples
from oodseg_ros.training.stages.distil import DistilStage

VIT = {"name": "dinov2", "variant": "s", "taps": [0, 1], "width": 24, "depth": 2, "heads": 2, "image_size": 42}
NETWORK = {
    "backbone": VIT,
    "decoder": {"name": "fpn", "channels": 16},
    "classifier": {"name": "linear", "classes": 11},
    "head": {"name": "uem", "levels": [1], "hidden": 16, "width": 8},
    "score": "likelihood_ratio",
}


@pytest.fixture
def recipe_file(small_recipe_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    recipe = yaml.safe_load(small_recipe_text) | {"network": NETWORK, "crop": [56, 84]}
    recipe["input"]["multiple"] = 14
    recipe["stages"] = [
        {"method": "inlier", "steps": 3, "batch": 2, "lr": 0.003, "cached": 5},
        {"method": "uem", "steps": 3, "batch": 2, "lr": 0.001, "cached": 5},
    ]
    file = tmp_path / "vit.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return file


def test_a_recipe_trains_on_recorded_features_and_ends_with_the_whole_network(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    record = features._record
    monkeypatch.setattr(features, "_record", lambda *given: made.append(1) or record(*given))
    recipe = load_recipe(recipe_file)
    train.train(recipe, tmp_path / "out")
    assert len(made) == 1  # both stages read the same five
    before = torch.load(tmp_path / "out" / "run" / "stage1_inlier.pt", weights_only=True)
    after = load_bundle(tmp_path / "out" / "small").weights()
    assert any(key.startswith("backbone.model.encoder") for key in after)
    moved = {key.split(".")[0] for key, value in before.items() if not torch.equal(value, after[key])}
    assert moved == {"head"}


def test_recorded_maps_are_the_backbones(recipe_file: Path) -> None:
    recipe, labels = load_recipe(recipe_file), load_labels("driving11")
    segmentor = train.segmentor_of(recipe, labels).eval()
    samples = Samples.of(recipe, load_frames(recipe.data, labels), labels, recipe.seed, start=0, stop=5)

    module = run_stage.make_stage(recipe, 0, segmentor)
    folder = features.record_features(samples, None, module, recipe)
    kept = features.FeatureSamples(folder, seed=1, stop=40)
    recorded, numbers = features.Recorded(segmentor.backbone, folder), set()
    for index in range(40):
        maps, target = kept[index]
        number = next(i for i in range(5) if torch.equal(samples[i][1], target))
        numbers.add(number)
        with torch.inference_mode():
            wanted = segmentor.backbone(module.normalize(samples[number][0][None]))
        for found, expected in zip(recorded(maps[None].float()), wanted, strict=True):
            torch.testing.assert_close(found, expected, atol=2e-3, rtol=2e-3)
    assert numbers == set(range(5))
    assert torch.equal(kept[7][0], kept[7][0])


def test_a_backbone_that_learns_cannot_be_recorded(recipe_file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file)
    stage = recipe.stages[0].model_copy(update={"backbone_lr": 0.1})
    with pytest.raises(ConfigError, match="frozen backbone"):
        train.train(recipe.model_copy(update={"stages": [stage]}), tmp_path / "out")


def test_a_transformer_without_registers_runs_on_openvino(recipe_file: Path, tmp_path: Path) -> None:
    # An empty tensor in its graph ended the process.
    recipe = load_recipe(recipe_file)
    network = recipe.network | {"backbone": VIT | {"registers": 0}}
    stages = [stage.model_copy(update={"steps": 1}) for stage in recipe.stages]
    recipe = recipe.model_copy(update={"network": network, "stages": stages})
    train.train(recipe, tmp_path / "out")
    assert Runner.load(tmp_path / "out" / "small", engine="openvino").golden_error < 1e-3


@pytest.fixture
def distilled(small_recipe_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    recipe = yaml.safe_load(small_recipe_text)
    recipe["network"] |= {"head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"}
    recipe["outliers"] |= {"markings": 1.0, "clean": 0.0}
    options = {"teachers": [{"bundle": "road_lite"}], "trained": ["decoder", "classifier", "head"], "class_weight": 1.0}
    stage = {"method": "distil", "steps": 2, "batch": 2, "lr": 0.001, "cached": 4, "loss_stride": 2, "options": options}
    recipe["stages"] = [stage]
    file = tmp_path / "distilled.yaml"
    file.write_text(yaml.safe_dump(recipe))
    return load_recipe(file)


@pytest.fixture
def classes(distilled: Recipe, small_recipe_text: str) -> Recipe:
    """A decoder of its own learns classes beside a member that keeps the shipped bundle's score."""
    shipped = load_bundle("road_lite").card
    light = {"name": "light_fpn", "channels": 32, "width": 64}
    member = {"decoder": light, "head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"}
    network = {
        "backbone": shipped.network["backbone"],
        "decoder": {"name": "context_fpn", "channels": 8, "middle": 8, "width": 16},
        "classifier": {"name": "linear", "classes": 11},
        "head": {"name": "ensemble", "members": [member]},
        "score": "mean_standardized",
    }
    stage = {"method": "inlier", "steps": 2, "batch": 2, "lr": 0.01, "cached": 4, "loss_stride": 2}
    stage |= {"unknowns": False, "options": {"teachers": [{"bundle": "road_lite"}]}}
    start = {"start": "road_lite", "start_parts": ["backbone"]}
    start |= {"start_members": [{"member": 0, "bundle": "road_lite"}]}
    return Recipe.model_validate(yaml.safe_load(small_recipe_text) | start | {"network": network, "stages": [stage]})


@pytest.mark.parametrize("name", ["distilled", "classes"])
def test_a_pyramid_and_what_its_teachers_say_are_recorded(name: str, request: pytest.FixtureRequest) -> None:
    distilled: Recipe = request.getfixturevalue(name)
    labels = load_labels("driving11")
    module = run_stage.make_stage(distilled, 0, train.segmentor_of(distilled, labels))
    samples = Samples.of(distilled, load_frames(distilled.data, labels), labels, distilled.seed, start=0, stop=4)
    folder = features.record_features(samples, None, module, distilled)
    packed, target, answers = features.FeatureSamples(folder, seed=1, stop=8)[0]
    image = next(samples[i][0] for i in range(4) if torch.equal(samples[i][1], target))
    module.segmentor.eval()  # a decoder in train mode would see the statistics of this picture
    with torch.no_grad():
        told = module.terms(module.normalize(image[None]), target[None], None)
        backbone = module.segmentor.backbone
        module.segmentor.backbone = features.Recorded(backbone, folder)
        recorded = module.terms(module.normalize(packed[None]), target[None], answers[None])
        module.segmentor.backbone = backbone
    assert packed.shape[1:] == target.shape
    assert told.keys() == recorded.keys()
    for name in told:
        torch.testing.assert_close(recorded[name], told[name], rtol=0.02, atol=1e-3)


def test_teachers_see_recorded_samples_without_their_paint(distilled: Recipe) -> None:
    labels = load_labels("driving11")
    frames = load_frames(distilled.data, labels)
    module = run_stage.make_stage(distilled, 0, train.segmentor_of(distilled, labels))
    painted, bare = (
        Samples.of(each, frames, labels, distilled.seed, start=0, stop=4)
        for each in (distilled, run_stage.unpainted(distilled))
    )
    lower = 0
    for index in range(4):
        (image, target), (plain, same) = painted[index], bare[index]
        assert torch.equal(target, same)
        images, plains = (module.normalize(each[None]) for each in (image, plain))
        with torch.no_grad():
            maps = module.features(images)
            seen = module.answers(images, images, maps, target[None])
            found = module.answers(images, plains, maps, target[None])
        unknown = module.subsample(target[None]) == OUTLIER
        assert (found[:, 0] <= seen[:, 0]).all()
        assert torch.equal(found[:, 0][unknown], seen[:, 0][unknown])
        assert torch.equal(found[:, 1:], seen[:, 1:])
        lower += int((found < seen).sum())
    assert lower
    made = features.record_features(painted, bare, module, distilled)
    other = distilled.stages[0].model_copy(update={"loss_stride": 4})
    again = run_stage.make_stage(distilled.model_copy(update={"stages": [other]}), 0, module.segmentor)
    assert features.record_features(painted, bare, again, distilled) != made


def test_a_network_is_taught_on_what_was_recorded(distilled: Recipe, tmp_path: Path) -> None:
    train.train(distilled, tmp_path / "out")
    assert any(key.startswith("backbone.") for key in load_bundle(tmp_path / "out" / "small").weights())
    assert len(list((tmp_path / "cache" / "features").iterdir())) == 1


def test_classes_are_learnt_beside_a_score_that_stays(classes: Recipe, tmp_path: Path) -> None:
    train.train(classes, tmp_path / "out")
    bundle, shipped = load_bundle(tmp_path / "out" / "small"), load_bundle("road_lite").weights()
    weights, member = bundle.weights(), "head.members.0."
    own = "" if "head.members.0.decoder.norm.weight" not in shipped else member  # where it ships beside other classes
    read = {"backbone.": "backbone.", f"{member}decoder.": f"{own}decoder.", f"{member}head.": f"{member}head."}
    kept = [
        (key, there + key.removeprefix(here)) for here, there in read.items() for key in weights if key.startswith(here)
    ]
    assert len(kept) > 100
    for key, there in kept:
        assert torch.equal(weights[key], shipped[there]), key
    # In deviations of its own on the held-out frames.
    assert weights["head.deviation"].item() > 0
    assert weights["head.deviation"].item() != 1
    torch.manual_seed(classes.seed)
    fresh = train.segmentor_of(classes, load_labels("driving11")).state_dict()
    assert not torch.equal(weights["decoder.to_middle.weight"], fresh["decoder.to_middle.weight"])


Made = tuple[Samples, DistilStage]


@pytest.fixture
def made(distilled: Recipe) -> Made:
    labels = load_labels("driving11")
    module = run_stage.make_stage(distilled, 0, train.segmentor_of(distilled, labels))
    frames = load_frames(distilled.data, labels)
    return Samples.of(distilled, frames, labels, distilled.seed, start=0, stop=4), module


@pytest.mark.parametrize("name", ["answers.npy", "features.npy", "shapes.json", "sizes.json"])
def test_a_damaged_recording_is_made_anew(distilled: Recipe, made: Made, name: str) -> None:
    samples, module = made
    folder = features.record_features(samples, None, module, distilled)
    (folder / name).write_bytes(b"") if "s.npy" in name else (folder / name).unlink()
    assert features.record_features(samples, None, module, distilled) == folder
    assert len(features.FeatureSamples(folder, seed=1, stop=1)[0]) == 3
    assert [each.name for each in folder.parent.iterdir()] == [folder.name]


def test_two_trainings_that_record_at_once_share_it(
    distilled: Recipe, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, module = made
    record, others = features._record, []

    def slower(*args: Any) -> None:
        monkeypatch.setattr(features, "_record", record)
        record(*args)
        others.append(features.record_features(samples, None, module, distilled))

    monkeypatch.setattr(features, "_record", slower)
    folder = features.record_features(samples, None, module, distilled)
    assert others == [folder] == list(folder.parent.iterdir())


def test_a_full_disk_is_told_before_anything_is_written(
    distilled: Recipe, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    samples, module = made

    def full(*args: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match="MiB: No space left on device; \\$OODSEG_CACHE"):
        features.record_features(samples, None, module, distilled)
    assert not list((tmp_path / "cache" / "features").iterdir())


def test_other_frames_or_another_card_of_a_teacher_are_recorded_anew(
    distilled: Recipe, made: Made, tmp_path: Path
) -> None:
    samples, module = made
    first = features._identity(samples, module, distilled)
    assert features._identity(samples, module, distilled) == first
    fewer = Samples.of(distilled, samples.frames[:-1], load_labels("driving11"), distilled.seed, start=0, stop=4)
    assert features._identity(fewer, module, distilled) != first

    bundle = load_bundle("road_lite")
    told = []
    for mean in (bundle.card.input.mean, (0.1, 0.1, 0.1)):
        shutil.copytree(bundle.path, tmp_path / "teacher", dirs_exist_ok=True)
        changed = bundle.card.input.model_copy(update={"mean": mean})
        rewrite_card(tmp_path / "teacher", bundle.card.model_copy(update={"input": changed}))
        options = distilled.stages[0].options | {"teachers": [{"bundle": str(tmp_path / "teacher")}]}
        stage = distilled.stages[0].model_copy(update={"options": options})
        taught = run_stage.make_stage(distilled.model_copy(update={"stages": [stage]}), 0, module.segmentor)
        told.append(taught.answers_from())
    assert told[0] != told[1]


def test_what_is_no_number_in_half_precision_is_not_recorded(distilled: Recipe, made: Made) -> None:
    samples, module = made
    module.answers = lambda images, plain, maps, target: torch.full((1, 12, 4, 4), 1e6)  # type: ignore[method-assign]
    with pytest.raises(ConfigError, match="answers of sample 0 are NaN"):
        features.record_features(samples, None, module, distilled)


def test_an_interrupted_distillation_goes_on_to_the_same_weights(distilled: Recipe, tmp_path: Path) -> None:
    stage = distilled.stages[0].model_copy(update={"steps": 4})
    recipe = distilled.model_copy(update={"stages": [stage]})
    train.train(recipe, tmp_path / "whole")
    fit, stopped = run_stage.ShowSteps.on_train_batch_end, []

    def stop(self: Any, trainer: Any, *args: Any) -> None:
        fit(self, trainer, *args)
        if trainer.global_step == 2 and not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_stage.ShowSteps, "on_train_batch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe, tmp_path / "parts")
    train.train(recipe, tmp_path / "parts", resume=True)
    one, other = (load_bundle(tmp_path / name / "small").weights() for name in ("whole", "parts"))
    assert one.keys() == other.keys()
    assert all(torch.equal(torch.as_tensor(one[key]), torch.as_tensor(other[key])) for key in one)
