"""Recorded features: what a frozen backbone gives, once; training on them is training on the samples."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import ConfigError
from oodseg_ros.inference.runner import Runner
from oodseg_ros.labels import load_labels
from oodseg_ros.training import features, train
from oodseg_ros.training.frames import load_frames
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.samples import Samples

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

    def normalize(images: torch.Tensor) -> torch.Tensor:
        return (images.float() / 255 - 0.5) / 0.5

    given = (samples, segmentor.backbone, recipe, recipe.stages[0])
    kept = features.FeatureSamples(features.record_features(*given, normalize), seed=1, stop=40)
    recorded, numbers = features.Recorded(segmentor.backbone), set()
    for index in range(40):
        maps, target = kept[index]
        number = next(i for i in range(5) if torch.equal(samples[i][1], target))
        numbers.add(number)
        with torch.inference_mode():
            wanted = segmentor.backbone(normalize(samples[number][0][None]))
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
