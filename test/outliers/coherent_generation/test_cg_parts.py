"""Parts of CG-Aug: colours, outlines, places, words, and the filter."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oodseg_ros.datasets.encoding import CITYSCAPES_IDS
from oodseg_ros.errors import ConfigError, DatasetError
from oodseg_ros.labels import load_labels
from oodseg_ros.outliers.coherent_generation.layout import (
    OBJECT_CLASSES,
    AdeOutlines,
    CutoutOutlines,
    build_prompt,
    paint,
    place_on_road,
    table_to_ade,
)
from oodseg_ros.outliers.coherent_generation.networks import intersection_over_union, judge

ADE, CITY = load_labels("ade20k"), load_labels("cityscapes19")


def ade_name(city: str) -> str:
    return ADE.names[table_to_ade("cityscapes19")[CITY.names.index(city)]]


@pytest.mark.parametrize(
    ("city", "ade"),
    [
        *(("rider", "person"), ("motorcycle", "bicycle"), ("train", "bus"), ("traffic sign", "signboard")),
        *(("terrain", "grass"), ("vegetation", "tree"), ("road", "road"), ("sky", "sky")),
    ],
)
def test_cityscapes_classes_become_ade_classes(city: str, ade: str) -> None:
    assert ade_name(city) == ade


def test_label_ids_tell_more_than_train_ids() -> None:
    table = table_to_ade("cityscapes19", CITYSCAPES_IDS)
    found = {value: ADE.names[table[value]] for value in (1, 6, 7, 14, 15, 18, 29, 30, 33)}
    assert found[1] == found[6] == found[7] == "road"  # own vehicle, ground, road
    assert [found[value] for value in (14, 15, 18, 29, 30, 33)] == [
        "fence",
        "bridge",
        "pole",
        "car",
        "truck",
        "bicycle",
    ]
    assert (table[[0, 2, 3, 4, 5, 9, 16, 255]] == 255).all()
    with pytest.raises(ConfigError, match="no mapping"):
        table_to_ade("streethazards13")


def test_objects_are_no_classes_of_driving_sets() -> None:
    mapped = {ADE.names[value] for value in table_to_ade("cityscapes19", CITYSCAPES_IDS) if value < 255}
    assert len(OBJECT_CLASSES) == len(set(OBJECT_CLASSES)) > 60
    assert set(OBJECT_CLASSES) <= set(ADE.names)
    assert not set(OBJECT_CLASSES) & (mapped | {"van", "minibike", "streetlight", "house", "awning"})


def test_control_pictures_are_painted_in_ade_colors() -> None:
    ids = np.full((4, 4), ADE.names.index("road"), np.uint8)
    ids[0] = 255
    outline = np.zeros((4, 4), bool)
    outline[3, 3] = True
    picture = paint(ids, outline, "animal")
    assert tuple(picture[1, 1]) == (140, 140, 140)
    assert tuple(picture[0, 0]) == (0, 0, 0)
    assert tuple(picture[3, 3]) == (255, 0, 122)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(5, 900), st.integers(5, 900))
def test_objects_lie_on_the_road_in_the_asked_size(seed: int, height: int, width: int) -> None:
    road = np.zeros((500, 1000), bool)
    road[300:] = True
    placed = place_on_road(np.random.default_rng(seed), road, np.ones((height, width), bool), sides=(60, 120))
    rows, columns = np.nonzero(placed)
    larger = max(np.ptp(rows), np.ptp(columns)) + 1
    assert 59 <= larger <= 121
    center = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    assert 299 <= center[0] <= 351  # on the road, 150 from the border
    assert 149 <= center[1] <= 851


def test_the_margin_shrinks_where_the_road_is_near_the_border() -> None:
    road = np.zeros((500, 1000), bool)
    road[470:] = True
    placed = place_on_road(np.random.default_rng(0), road, np.ones((20, 20), bool), sides=(20, 20))
    assert np.nonzero(placed)[0].max() >= 470
    assert place_on_road(np.random.default_rng(0), np.zeros((500, 1000), bool), np.ones((20, 20), bool)) is None
    edge = np.zeros((500, 1000), bool)
    edge[495:] = True
    assert place_on_road(np.random.default_rng(0), edge, np.ones((20, 20), bool)) is None


def test_prompts_come_in_the_published_shares() -> None:
    prompts = [build_prompt(np.random.default_rng(seed), "armchair") for seed in range(600)]
    assert all("There is a armchair accidentally staying on the road." in prompt.text for prompt in prompts)
    assert all(prompt.text.endswith("realistic, high resolution") for prompt in prompts)
    shifted = [prompt for prompt in prompts if prompt.domain]
    assert 0.44 < len(shifted) / 600 < 0.56
    words = Counter(word for prompt in shifted for word in prompt.domain.split("_")[1:3])
    assert 0.62 < words["day"] / len(shifted) < 0.78
    assert min(words[weather] for weather in ("cloudy", "rainy", "snowy", "foggy", "clear")) > 0.12 * len(shifted)
    assert all(" " not in prompt.domain for prompt in prompts)


def test_ade_outlines_are_single_objects(tmp_path: Path) -> None:
    values = np.full((80, 100), ADE.names.index("road") + 1, np.uint8)
    values[10:50, 10:40] = ADE.names.index("armchair") + 1
    values[60:70, 80:90] = ADE.names.index("bag") + 1  # too small
    cv2.imwrite(str(tmp_path / "a.png"), values)
    for seed in range(6):
        outline = AdeOutlines(tmp_path).draw(np.random.default_rng(seed))
        assert (outline.name, outline.mask.shape, outline.mask.all()) == ("armchair", (40, 30), True)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((80, 100), ADE.names.index("road") + 1, np.uint8))
    with pytest.raises(DatasetError, match="no object of at least"):
        AdeOutlines(tmp_path).draw(np.random.default_rng(0))
    with pytest.raises(DatasetError, match="no ADE20K annotation"):
        AdeOutlines(tmp_path / "nothing")


def test_cutout_outlines_know_what_they_are(tmp_path: Path) -> None:
    rgba = np.zeros((50, 60, 4), np.uint8)
    rgba[10:40, 20:50, 3] = 255
    names = [("dog", "animal", "animal"), ("chair", "furniture", "chair"), ("drone", "", "plaything")]
    for name, _, _ in names:
        cv2.imwrite(str(tmp_path / f"{name}.png"), rgba)
    (tmp_path / "cutouts.json").write_text(
        json.dumps([{"file": f"{name}.png", "cls": name, "kind": kind} for name, kind, _ in names])
    )
    drawn = {
        (o.name, o.ade_class) for o in (CutoutOutlines(tmp_path).draw(np.random.default_rng(s)) for s in range(30))
    }
    assert drawn == {(name, ade) for name, _, ade in names}
    assert CutoutOutlines(tmp_path).draw(np.random.default_rng(0)).mask.shape == (30, 30)
    assert CutoutOutlines(tmp_path, ("animal", "furniture")).draw(np.random.default_rng(0)).name == "drone"


def test_only_objects_that_are_found_again_are_kept() -> None:
    outline = np.zeros((40, 60), bool)
    outline[10:20, 10:30] = True
    boxes = []

    def shifted(by: int):
        def segment(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
            boxes.append(box)
            return np.roll(outline, by, axis=1)

        return segment

    image = np.zeros((40, 60, 3), np.uint8)
    good, bad = judge(image, outline, shifted(2)), judge(image, outline, shifted(5))
    assert boxes[0] == (10, 10, 29, 19)
    assert (good.iou, good.kept) == (pytest.approx(18 / 22), True)
    assert (bad.iou, bad.kept) == (pytest.approx(15 / 25), False)
    assert not judge(image, outline, shifted(0), least_iou=1.0).kept
    assert intersection_over_union(np.zeros((2, 2), bool), np.zeros((2, 2), bool)) == 0
