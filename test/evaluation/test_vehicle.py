"""Objects as a vehicle gets them: counted by hand on scores made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.evaluation.classes import Classes
from oodseg_ros.evaluation.evaluate import EvaluationOptions, evaluate
from oodseg_ros.evaluation.score_store import ScoreStore
from oodseg_ros.evaluation.vehicle import vehicle_figures
from oodseg_ros.labels import load_labels
from oodseg_ros.model_card import Calibration
from oodseg_ros.object_rule import Objects

LABELS = load_labels("driving11")
ROAD, WALL = LABELS.names.index("road"), LABELS.names.index("building")
CALIBRATION = Calibration(threshold=1.0, table=[(0.0, 0.0), (1.0, 1.0)], source="by hand")
RULE = Objects(grow=0.5, seed=0.1, beside=3.0, ground=[ROAD])


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    """Three frames of 200x400, a wall above row 100, road below."""
    kept = ScoreStore(tmp_path / "scores")
    labels = np.full((200, 400), WALL, np.uint8)
    labels[100:] = ROAD

    def put(name: str, truth: list[tuple[int, ...]], found: list[tuple[int, ...]]) -> None:
        score, label = np.zeros(labels.shape, np.float32), np.zeros(labels.shape, np.uint8)
        for x0, y0, x1, y1, value in truth:
            label[y0:y1, x0:x1] = value
        for x0, y0, x1, y1, value in found:
            score[y0:y1, x0:x1] = value
        kept.put(name, score, label, labels=labels)

    # An object of 60x40 in three pieces that a weak part joins; a small one that is missed.
    put("broken", [(50, 110, 110, 150, 1), (300, 120, 310, 130, 1)], [(50, 110, 110, 150, 0.8)])
    score, label, _ = kept.get("broken")
    for x in (50, 70, 90):
        score[112:148, x : x + 15] = 2.0
    kept.put("broken", score, label, labels=labels)
    # False: one on the road, one on the wall, one that is too small, one in the void.
    put("false", [(0, 150, 400, 200, 255)], [(10, 120, 30, 140, 2), (10, 20, 30, 40, 2), (90, 120, 94, 124, 2)])
    score, label, _ = kept.get("false")
    score[160:190, 200:260] = 2.0
    kept.put("false", score, label, labels=labels)
    put("clear", [], [])
    return kept


NAMES = ["broken", "false", "clear"]


def test_by_threshold_alone(store: ScoreStore) -> None:
    found = vehicle_figures(NAMES, store, CALIBRATION, LABELS, None)
    assert (found["objects"], found["frames"], found["rule"]) == (2, 3, None)
    assert found["found"] == 0.5
    assert found["found_by_size"] == [("100-399", 1, 0.0, 0.0), ("1600-6399", 1, 1.0, pytest.approx(3 * 540 / 2400))]
    assert found["fragments_per_object"] == 3
    assert found["false_on_ground_per_frame"] == found["false_beside_per_frame"] == pytest.approx(1 / 3)
    assert found["frames_with_false_on_ground"] == pytest.approx(1 / 3)


def test_by_the_rule_of_the_bundle(store: ScoreStore) -> None:
    found = vehicle_figures(NAMES, store, CALIBRATION.model_copy(update={"objects": RULE}), LABELS, None)
    assert found["found_by_size"][1] == ("1600-6399", 1, 1.0, 1.0)
    assert found["fragments_per_object"] == 1
    assert found["false_on_ground_per_frame"] == pytest.approx(1 / 3)
    assert found["false_beside_per_frame"] == 0
    assert found["rule"]["beside"] == 3.0


def test_where_nobody_says_what_the_ground_is_nothing_stands_beside_it(store: ScoreStore) -> None:
    other = replace(LABELS, names=tuple(f"class_{index}" for index in range(len(LABELS))))
    found = vehicle_figures(NAMES, store, CALIBRATION, other, None)
    assert np.isnan(found["false_on_ground_per_frame"])
    assert np.isnan(found["frames_with_false_beside"])
    told = vehicle_figures(NAMES, store, CALIBRATION, replace(other, ground=(f"class_{ROAD}",)), None)
    assert told == vehicle_figures(NAMES, store, CALIBRATION, LABELS, None)


def test_a_frame_that_cannot_have_a_false_object_does_not_count(store: ScoreStore) -> None:
    expected = vehicle_figures(NAMES, store, CALIBRATION, LABELS, None)
    assert expected["frames_not_judged"] == 0
    score, label, extra = store.get("false")
    store.put("void", score, np.full_like(label, 255), **extra)
    store.put("no score", np.full_like(score, np.nan), label, **extra)
    found = vehicle_figures([*NAMES, "void", "no score"], store, CALIBRATION, LABELS, None)
    assert found == expected | {"frames": 5, "frames_not_judged": 2}
    alone = vehicle_figures(["void"], store, CALIBRATION, LABELS, None)
    assert np.isnan(alone["frames_with_false_on_ground"])
    identity = LABELS.map_from(LABELS.name)
    classes = Classes(LABELS, identity, identity, instead=True)
    assert vehicle_figures(["void", "clear"], store, CALIBRATION, LABELS, classes)["frames_not_judged"] == 1


def test_where_everything_is_known_every_object_is_false(store: ScoreStore) -> None:
    identity = LABELS.map_from(LABELS.name)
    found = vehicle_figures(NAMES, store, CALIBRATION, LABELS, Classes(LABELS, identity, identity, instead=True))
    assert found["objects"] == 0
    assert np.isnan(found["found"])
    # The three pieces on the road, and what was true or false before; the void stays out.
    assert found["false_on_ground_per_frame"] == pytest.approx(4 / 3)


def test_an_evaluation_reports_it(runner, folder: Path, tmp_path: Path) -> None:
    from oodseg_ros.evaluation.report.page import write_report

    dataset = open_dataset("folder", folder)
    page = tmp_path / "report.html"
    evaluation = evaluate(
        runner, dataset, tmp_path / "out", EvaluationOptions(), then=lambda made: write_report(made, dataset, page)
    )
    found = evaluation.metrics["vehicle"]
    assert found["objects"] == 4 == sum(row[1] for row in found["found_by_size"])
    assert "What a vehicle gets" in page.read_text()
    assert found["frames_not_judged"] == 1  # frame 5
    assert "false objects are of the 5 frames with a judged pixel, 1 left out" in page.read_text()
