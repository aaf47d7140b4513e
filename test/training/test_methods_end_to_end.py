"""Methods that want more than plain images, from their samples to a bundle that loads, and resumed on the way."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from oodseg_ros.bundle import load_bundle
from oodseg_ros.training import run_stage as running
from oodseg_ros.training.recipe import Recipe, load_recipe
from oodseg_ros.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

WIDE = {"name": "wide_resnet38", "divisor": 32}
DEEPLAB = {"name": "deeplab", "channels": 8, "fine": 4, "rates": [1, 2]}
DINO = {"name": "dinov2", "variant": "s", "image_size": 70, "width": 48, "depth": 4, "heads": 3, "taps": [0, 1, 2, 3]}


@pytest.fixture
def cutouts(tmp_path: Path) -> str:
    folder = tmp_path / "cutouts"
    folder.mkdir()
    picture = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)
    picture[..., 3] = 0
    picture[5:25, 5:35, 3] = 255
    cv2.imwrite(str(folder / "thing_1.png"), picture)
    return str(folder)


@pytest.fixture
def recipe_of(small_recipe: Path, cutouts: str):
    def make(network: dict, outliers: dict, stages: list[dict], **more: object) -> Recipe:
        data = yaml.safe_load(small_recipe.read_text())
        if "cutouts" in outliers:
            outliers["cutouts"] = [{"root": cutouts}]
        data |= {"network": network, "outliers": outliers, "stages": stages, **more}
        small_recipe.write_text(yaml.safe_dump(data))
        return load_recipe(small_recipe)

    return make


def test_rpl_corocl_learns_from_pairs_of_contexts(recipe_of, tmp_path: Path) -> None:
    recipe = recipe_of(
        {
            "backbone": WIDE,
            "decoder": DEEPLAB,
            "classifier": {"name": "linear", "classes": 11, "bias": False},
            "head": {"name": "residual_pattern", "rates": [1, 2], "projector": True},
            "score": "residual_energy",
        },
        {"method": "anomaly_mix", "variant": "rpl", "context": True, "scales": [0.5, 1.0], "cutouts": []},
        [{"method": "rpl_corocl", "steps": 2, "batch": 2, "optimizer": "adam", "lr": 1e-3}],
        augment={"scale": [1.0, 1.0], "color": "none"},
    )
    train(recipe, tmp_path / "out")
    assert load_bundle(tmp_path / "out" / "small").card.network["head"]["name"] == "residual_pattern"
    log = (tmp_path / "out" / "run" / "stage1_rpl_corocl" / "metrics.csv").read_text()
    assert "term_corocl" in log


def test_drl_learns_from_overlapping_crops(recipe_of, tmp_path: Path) -> None:
    recipe = recipe_of(
        {
            "backbone": {"name": "mit", "widths": [8, 16, 20, 24], "depths": [1, 1, 1, 1]},
            "decoder": {"name": "all_mlp", "channels": 8},
            "classifier": {"name": "linear", "classes": 11},
            "head": {"name": "drl_reconstruction"},
            "score": "discrepancy",
        },
        {"method": "patch_paste", "patches": 2, "overlap": True, "patch_sides": [8, 16]},
        [{"method": "drl", "steps": 2, "batch": 2, "lr": 1e-3}],
        augment={"scale": [2.0, 2.0]},
    )
    train(recipe, tmp_path / "out")
    load_bundle(tmp_path / "out" / "small")
    assert "term_reconstruction" in (tmp_path / "out" / "run" / "stage1_drl" / "metrics.csv").read_text()


def test_a_mixture_run_resumed_ends_like_one_that_was_not(
    recipe_of, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """G-G: the means move by EM; the memory of features and the position in it must survive the interruption."""
    options = {"memory": 64, "per_step": 5, "interval": 2}
    recipe = recipe_of(
        {
            "backbone": DINO,
            "decoder": {"name": "dino_fpn", "channels": 8, "hidden": 12},
            "classifier": {"name": "gmm", "classes": 11, "components": 2},
            "head": {"name": "uem", "levels": [3], "hidden": 16, "width": 8, "form": "G", "components": 2},
            "score": "likelihood_ratio",
        },
        {"shapes": 1.0},
        [
            {"method": "inlier_gmm", "steps": 5, "batch": 2, "lr": 1e-3, "options": options, "unknowns": False},
            {"method": "uem", "steps": 3, "batch": 2, "lr": 1e-3, "options": {**options, "ce_weight": 0.5}},
        ],
        crop=[56, 84],
        input={"mean": [0.485] * 3, "std": [0.229] * 3, "pixels": 16384, "multiple": 14},
    )
    train(recipe, tmp_path / "whole")
    monkeypatch.setattr(running, "SAVE_EVERY", 2)
    stage = running.stage_class("inlier_gmm")
    terms, calls = stage.terms, []

    def dies_in_step_four(self, *arguments):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("power cut")
        return terms(self, *arguments)

    monkeypatch.setattr(stage, "terms", dies_in_step_four)
    with pytest.raises(RuntimeError, match="power cut"):
        train(recipe, tmp_path / "again")
    monkeypatch.setattr(stage, "terms", terms)
    train(recipe, tmp_path / "again", resume=True)
    whole, again = (load_file(tmp_path / name / "small" / "weights.safetensors") for name in ("whole", "again"))
    for key, value in whole.items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=1e-6, msg=key)
    assert not torch.equal(whole["classifier.means"], torch.zeros_like(whole["classifier.means"]))
