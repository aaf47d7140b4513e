"""Every shipped recipe: its network can be built at full size, and its methods find in it what they train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from oodseg_ros.labels import load_labels
from oodseg_ros.paths import config_dir
from oodseg_ros.training.methods import METHODS, stage_class
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.run_stage import make_stage
from oodseg_ros.training.start import _start
from oodseg_ros.training.train import segmentor_of

SHIPPED = sorted((config_dir() / "train").rglob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_its_stages_train_parts_of_its_network(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    with torch.device("meta"):
        segmentor = segmentor_of(recipe, load_labels(recipe.label_set))
        for index, stage in enumerate(recipe.stages):
            module = make_stage(recipe, index, segmentor)
            trained = sum(p.numel() for group in module.groups() for p in group["params"])
            assert trained > 0
            if stage.method in ("uem", "rpl", "rpl_corocl", "two_stage_a", "drl"):
                assert trained == sum(p.numel() for p in module.segmentor.head.parameters())


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if load_recipe(path).start == "road_lite"], ids=lambda path: path.stem
)
def test_what_starts_from_the_shipped_bundle_fits_it(path: Path) -> None:
    recipe = load_recipe(path)
    segmentor = segmentor_of(recipe, load_labels(recipe.label_set))
    _, loaded = _start(segmentor, recipe)
    assert {"backbone", "decoder", "classifier"} <= set(loaded)
    # Of road_slow the other member comes out of another bundle.
    assert ("head.members.0" in loaded) == (recipe.name == "road_slow")


def test_every_method_has_a_recipe() -> None:
    assert {stage.method for path in SHIPPED for stage in load_recipe(path).stages} >= set(METHODS) - {"joint"}


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("uem_d_d_dinov2", 788_226),  # the published figure is 788K
        ("rpl_corocl_deeplab", 30_894_896),
        ("rpl_deeplab", 30_816_768),
        ("two_stage_deeplab", 30_749_952),
    ],
)
def test_trained_parameters_are_the_published_ones(name: str, trained: int) -> None:
    recipe = load_recipe(config_dir() / "train" / f"{name}.yaml")
    with torch.device("meta"):
        segmentor = segmentor_of(recipe, load_labels(recipe.label_set))
        stage = recipe.stages[-1]
        module = stage_class(stage.method)(segmentor, recipe.input, stage)
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == trained
