"""Recipes: shipped ones load, wrong ones are refused with the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from oodseg_ros.errors import ConfigError
from oodseg_ros.paths import config_dir
from oodseg_ros.training.methods import StageSpec
from oodseg_ros.training.recipe import OutlierSpec, expand, load_recipe

SHIPPED = sorted((config_dir() / "train").rglob("*.yaml"))
SHIPPED_BY_NAME = {path.stem: path for path in SHIPPED}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_recipes_load(path: Path) -> None:
    assert load_recipe(path).name == path.stem


def edited(tmp_path: Path, change: str, value: object) -> Path:
    data = yaml.safe_load(SHIPPED_BY_NAME["road_lite"].read_text())
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
        *(("name", name, "cannot be a bundle's name") for name in ("my drive", "../out", "été", "", "a" * 65, "a\n")),
        ("widths", [480, 224], r"widths: .*must be \[smallest, largest\]"),
        ("widths", [0, 224], r"widths: .*above 0"),
        ("augment", {"scale": [2.0, 0.5]}, r"augment\.scale: .*must be"),
        ("augment", {"pad": [0, 96]}, r"augment\.pad\.0: "),
        ("crop", [-3, 0], r"crop\.0: .*crop\.1: "),
        ("data.0.part", [0.8, 0.2], r"data\.0\.part: .*must be \[from, to\]"),
        ("data.0.part", [0, 80], r"data\.0\.part: "),
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
    with pytest.raises(ConfigError, match=r"^recipe: '\$SOME_ROOT/x': set the environment variable"):
        expand("$SOME_ROOT/x")


def test_a_recipe_can_replace_keys_of_another(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(yaml.safe_dump(yaml.safe_load(SHIPPED_BY_NAME["road_lite"].read_text())))
    (tmp_path / "second.yaml").write_text("base: first.yaml\nname: second\nseed: 7\n")
    (tmp_path / "third.yaml").write_text("base: second.yaml\nname: third\n")
    recipe, first = load_recipe(tmp_path / "second.yaml"), load_recipe(tmp_path / "first.yaml")
    assert (recipe.name, recipe.seed) == ("second", 7)
    assert recipe.model_dump(exclude={"name", "seed"}) == first.model_dump(exclude={"name", "seed"})
    third = load_recipe(tmp_path / "third.yaml")
    assert (third.name, third.seed, third.network) == ("third", 7, first.network)
    (tmp_path / "first.yaml").write_text("base: third.yaml\n")
    with pytest.raises(ConfigError, match=r"its own base: third\.yaml -> second\.yaml -> first\.yaml -> third\.yaml"):
        load_recipe(tmp_path / "third.yaml")


@pytest.mark.parametrize("base", ['"a\\0.yaml"', "7", "[a.yaml]"])
def test_a_base_that_is_no_file_name_is_said(tmp_path: Path, base: str) -> None:
    (tmp_path / "recipe.yaml").write_text(f"base: {base}\n")
    with pytest.raises(ConfigError, match=r"base: .* is no file name"):
        load_recipe(tmp_path / "recipe.yaml")


def test_label_files_are_looked_for_beside_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "own_labels.yaml"
    file.write_text("name: own\nclasses: [{name: a, color: [1, 2, 3]}, {name: b, color: [4, 5, 6]}]\n")
    data = yaml.safe_load(SHIPPED_BY_NAME["road_lite"].read_text())
    data |= {"label_set": file.name, "data": [{"dataset": "folder", "root": "x", "labels": file.name}]}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(data))
    recipe = load_recipe(tmp_path / "own.yaml")
    assert (recipe.label_set, recipe.data[0].labels) == (str(file), str(file))
    assert recipe.calibration.data[1].labels == "cityscapes19"


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        ({"method": "ovr_topk", "options": {"scal": 2}}, "ovr_topk has no 'scal'; did you mean 'scale'"),
        ({"method": "uem", "options": {"ce_weight": -1}}, "ce_weight: Input should be greater"),
        ({"method": "rpl_coro"}, "did you mean 'rpl_corocl'"),
    ],
)
def test_options_belong_to_their_method(stage: dict, sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        StageSpec(steps=1, batch=1, lr=1.0, **stage)


def test_the_rate_warms_up_and_falls_to_its_last_value() -> None:
    spec = StageSpec(method="uem", steps=100, batch=1, lr=2.0, warmup=10, power=0.9, final_lr=0.5)
    assert [spec.rate(step) for step in (0, 1, 9, 10)] == pytest.approx([0.0, 0.1, 0.9, 1.0])
    assert spec.rate(55) == pytest.approx(0.25 + 0.75 * 0.5**0.9)
    assert spec.rate(100) == pytest.approx(0.25)
    constant = spec.model_copy(update={"schedule": "constant"})
    assert constant.rate(99) == 1.0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"method": "none", "markings": 0.4}, "`markings`: only for method road_paste, and the method is none"),
        ({"method": "patch_paste", "context": True, "sizes": [0.1, 0.2]}, "`sizes`: only for method road_paste"),
        ({"overlap": True}, "`overlap`: only for method patch_paste"),
        ({"sizes": [0.5, 0.1]}, "sizes\n.*must be"),
        ({"sizes": [0.0, 0.1]}, "sizes\n.*must be"),
        ({"sizes": [0.1, float("inf")]}, "sizes\n.*must be"),
        ({"style": "reinhard", "style_strength": [1.0, 0.5]}, "`style_strength` must be"),
    ],
)
def test_options_that_would_have_no_effect_or_no_sense_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        OutlierSpec(**wrong)
