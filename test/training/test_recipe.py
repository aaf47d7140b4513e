"""Recipes: shipped ones load, wrong ones are refused with the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from oodseg_ros.errors import ConfigError
from oodseg_ros.paths import config_dir
from oodseg_ros.training.recipe import expand, load_recipe

SHIPPED = sorted((config_dir() / "train").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def edited(tmp_path: Path, change: str, value: object) -> Path:
    data = yaml.safe_load(SHIPPED[0].read_text())
    place = data
    *parents, last = change.split(".")
    for key in parents:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(data))
    return path


@pytest.mark.parametrize(
    ("change", "value", "sentence"),
    [
        ("sead", 1, "sead: unknown key, did you mean 'seed'?"),
        ("stages.0.step", 5, r"stages\.0\.step: unknown key, did you mean 'steps'\?"),
        ("outliers.shape", 0.1, r"did you mean 'shapes'\?"),
        ("stages.0.method", "magic", r"stages\.0\.method"),
        ("outliers.clean", 2, r"outliers\.clean"),
        ("data", [], "data"),
    ],
)
def test_wrong_recipes_name_the_place(tmp_path: Path, change: str, value: object, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_recipe(edited(tmp_path, change, value))


@pytest.mark.parametrize("text", ["- a", "a: [", "\x00"])
def test_what_is_no_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="recipe"):
        load_recipe(path)


def test_roots_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_ROOT", "/data")
    assert expand("$SOME_ROOT/x") == Path("/data/x")
    monkeypatch.delenv("SOME_ROOT")
    with pytest.raises(ConfigError, match="set the environment variable"):
        expand("$SOME_ROOT/x")
