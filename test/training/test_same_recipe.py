"""Resuming with another recipe is refused with what changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from oodseg_ros.errors import ConfigError
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.same_recipe import FILE, keep_recipe


def test_only_what_changes_weights_is_compared(small_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(small_recipe), tmp_path / "run"
    keep_recipe(recipe, folder, resume=False, write=True)
    keep_recipe(recipe.model_copy(update={"workers": 3, "description": "other"}), folder, resume=True, write=True)
    with pytest.raises(ConfigError, match=r"seed was 2000, is 7\. .*another --out"):
        keep_recipe(recipe.model_copy(update={"seed": 7}), folder, resume=True, write=True)
    with pytest.raises(ConfigError, match=r"crop was \[64, 96\], is \[96, 96\]"):
        keep_recipe(recipe.model_copy(update={"crop": (96, 96)}), folder, resume=True, write=True)


def test_a_new_run_replaces_it_and_other_processes_write_nothing(small_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(small_recipe), tmp_path / "run"
    keep_recipe(recipe, folder, resume=True, write=False)
    assert not (folder / FILE).exists()
    keep_recipe(recipe, folder, resume=False, write=True)
    other = recipe.model_copy(update={"seed": 7})
    keep_recipe(other, folder, resume=False, write=True)
    keep_recipe(other, folder, resume=True, write=True)
    assert [file.name for file in folder.iterdir()] == [FILE]
