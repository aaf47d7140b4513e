"""The fleet's loop, last part: what a rollout would change, and rules that refuse it with an exit status."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bags import compressed, write_bag
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle, rewrite_card
from oodseg_ros.cli.main import build_app
from oodseg_ros.comparing.alerts import Row, alarms, changes, read_rows
from oodseg_ros.comparing.figures import BINS, NAMES, FrameCounts, compare_counts, count_frames, parse_rule
from oodseg_ros.errors import ConfigError
from oodseg_ros.evaluation.score_store import ScoreStore
from oodseg_ros.paths import models_dir
from oodseg_ros.scenes import drive as scenes

PERIOD = 200_000_000


def rows(states: str, camera: str = "front") -> list[Row]:
    """O = OBSTACLE, C = CLEAR, U = UNKNOWN, five per second."""
    names = {"O": "OBSTACLE", "C": "CLEAR", "U": "UNKNOWN"}
    return [Row(index, camera, index * PERIOD, names[state], "", ()) for index, state in enumerate(states)]


@pytest.mark.parametrize(
    ("old", "new", "kinds", "same"),
    [
        ("CCOOCC", "CCOOCC", [], 1),
        ("CCOOCC", "CCCCCC", ["disappeared"], 0),
        ("CCCCCC", "COCCOC", ["appeared", "appeared"], 0),
        ("CCOOCC", "COOCCC", ["moved"], 0),
        ("CCOOOC", "CCOUOC", ["moved"], 0),  # one became two
        ("OOOCOOO", "OOOOOCO", ["moved"], 0),  # two stayed two
        ("OOCCCO", "OOCUCC", ["disappeared"], 1),
        ("UUUU", "UUUU", [], 0),
    ],
)
def test_alerts_that_appear_disappear_or_move(old: str, new: str, kinds: list[str], same: int) -> None:
    found, equal = changes(rows(old), rows(new))
    assert [change.kind for change in found] == kinds
    assert equal == same


def boxed(states: str, *things: tuple[int, int, int, tuple[int, int, int, int]]) -> list[Row]:
    """Things are (track, first frame, last frame, box)."""
    return [
        replace(row, obstacles=tuple({"track": t, "box": list(box)} for t, a, b, box in things if a <= row.frame <= b))
        for row in rows(states)
    ]


LEFT, RIGHT = (0, 0, 40, 40), (200, 0, 240, 40)


def test_two_objects_at_one_time_are_not_one_that_moved() -> None:
    found, same = changes(boxed("CCOOCC", (1, 2, 3, LEFT)), boxed("COOOCC", (5, 1, 3, RIGHT)))
    assert sorted(change.kind for change in found) == ["appeared", "disappeared"]
    assert same == 0
    found, same = changes(boxed("CCOOCC", (1, 2, 3, LEFT)), boxed("CCOOCC", (5, 2, 3, RIGHT)))
    assert sorted(change.kind for change in found) == ["appeared", "disappeared"]
    (change,), _ = changes(boxed("CCOOCC", (1, 2, 3, LEFT)), boxed("COOOCC", (5, 1, 3, (10, 10, 50, 50))))
    assert change.kind == "moved"
    assert not change.lost
    assert not change.gained


def test_an_object_that_is_lost_within_an_alert_is_told_with_its_frame() -> None:
    old = boxed("COOOOC", (1, 1, 4, LEFT), (2, 3, 4, RIGHT))
    (change,), same = changes(old, boxed("COOOOC", (7, 1, 4, LEFT)))
    assert (change.kind, same, change.first.frame) == ("changed", 0, 3)
    assert (len(change.lost), len(change.gained)) == (1, 0)
    (change,), _ = changes(boxed("COOOOC", (7, 1, 4, LEFT)), old)
    assert (len(change.lost), len(change.gained)) == (0, 1)
    (moved,), _ = changes(old, boxed("COOOCC", (7, 1, 3, LEFT)))
    assert (moved.kind, len(moved.lost)) == ("moved", 1)
    # Found one frame later, and for one frame less: the same object, and so is one in a row that only holds the alert.
    assert changes(old, boxed("COOOOC", (7, 1, 2, LEFT), (8, 4, 4, RIGHT))) == ([], 1)
    (gone,), _ = changes(old, boxed("CCCCCC"))
    assert (gone.kind, len(gone.lost)) == ("disappeared", 2)


def test_a_move_says_by_how_much_and_where_to_look() -> None:
    (change,), _ = changes(rows("CCOOC"), rows("COOOC"))
    assert (change.begins_s, change.ends_s, change.first.frame) == (-0.2, 0.0, 1)
    (later,), _ = changes(rows("COOCC"), rows("COOOC"))
    assert (later.begins_s, later.ends_s, later.first.frame) == (0.0, 0.2, 3)
    assert changes(rows("CCOOC"), rows("COOOC"), tolerance_s=0.2) == ([], 1)


def test_cameras_are_apart() -> None:
    found, _ = changes(rows("COC", "left"), rows("COC", "right"))
    assert [(change.kind, change.first.camera) for change in found] == [("disappeared", "left"), ("appeared", "right")]


@given(st.text("OCU", max_size=30), st.text("OCU", max_size=30))
def test_no_alarm_is_lost(old: str, new: str) -> None:
    found, same = changes(rows(old), rows(new))
    told = sum(len(change.old) + len(change.new) for change in found)
    assert told + 2 * same == len(alarms(rows(old))) + len(alarms(rows(new)))
    if old == new:
        assert found == []


def test_rules_are_read_and_kept() -> None:
    values = {"AP.change": -0.02, "alerts.disappeared": 1, "FPR95.new": math.nan}
    assert parse_rule("AP.change<-0.01").broken(values) == "AP.change < -0.01: it is -0.02"
    assert parse_rule(" alerts.disappeared  >  1 ").broken(values) == ""
    for name in ("FPR95.new", "mIoU.change"):  # not defined, not there
        assert "not known here" in parse_rule(f"{name} > 0.5").broken(values)


@pytest.mark.parametrize("text", ["", "AP", "AP.change = 3", "alerts.lost > 0", "AP.change < x", "AP.change < 1; rm"])
def test_rules_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--fail-if"):
        parse_rule(text)
    assert "alerts.disappeared" in NAMES


def test_figures_agree_with_scikit_learn_and_intervals_hold_the_change(tiny_bundle: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bundle = load_bundle(tiny_bundle)
    counts, pooled = [], []
    for side, shift in (("old", 0.8), ("new", 1.6)):
        store = ScoreStore(tmp_path / side)
        labels, scores = [], []
        for index in range(12):
            label = np.zeros((40, 60), np.uint8)
            label[10:20, 10 : 20 + index] = 1
            label[:3] = 255
            score = rng.normal(0, 1, label.shape).astype(np.float32) + shift * (label == 1)
            score[-1] = np.nan
            store.put(f"{index:02d}", score, label, labels=np.zeros(label.shape, np.uint8))
            judged = (label < 255) & ~np.isnan(score)
            labels.append(label[judged])
            scores.append(score[judged])
        counts.append(count_frames(store.names(), store, store, bundle.card.calibration, bundle.labels))
        pooled.append((np.concatenate(labels), np.concatenate(scores)))
    figures = compare_counts(*counts)
    for index, side in enumerate(("old", "new")):
        assert figures["AP"][side] == pytest.approx(average_precision_score(*pooled[index]), abs=2e-3)
        assert figures["AUROC"][side] == pytest.approx(roc_auc_score(*pooled[index]), abs=1e-3)
    for name in ("AP", "AUROC"):
        assert 0 < figures[name]["low"] <= figures[name]["change"] <= figures[name]["high"]
    same = compare_counts(counts[0], counts[0])
    assert {same[name]["change"] for name in ("AP", "AUROC", "FPR95")} == {0.0}
    assert same["AP"]["low"] == same["AP"]["high"] == 0.0


def test_frames_that_cannot_have_a_false_object_do_not_count() -> None:
    normal = np.zeros((3, BINS))
    normal[:2, 5] = 10
    none = np.zeros(3)
    counts = FrameCounts(["a", "b", "void"], normal, np.zeros((3, BINS)), none, none, np.array([1.0, 0, 0]))
    assert compare_counts(counts, counts)["frames_with_false_object"]["old"] == 0.5


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """A bag of four procedural pictures with something on the road."""
    pictures = {10**9 + index * PERIOD: scene.image for index, scene in enumerate(scenes(5, 4))}
    messages = [(stamp, compressed(stamp, picture, "png", "front")) for stamp, picture in pictures.items()]
    return write_bag(tmp_path / "drive", [("/front/image_raw/compressed", *one) for one in messages])


def with_threshold(bundle: Path, path: Path, threshold: float) -> Path:
    shutil.copytree(bundle, path)
    card = load_bundle(path).card
    calibration = card.calibration.model_copy(
        update={"threshold": threshold, "inlier_histogram": None, "objects": None, "second_look": None}
    )
    rewrite_card(path, card.model_copy(update={"calibration": calibration}))
    return path


def compare(*words: object):
    arguments = ["compare", *map(str, words), "--engine", "torch", "--threads", "1"]
    return CliRunner(env={"COLUMNS": "200"}).invoke(build_app(arguments), arguments)


def test_a_rollout_is_refused_by_its_rule(drive: Path, tmp_path: Path) -> None:
    old = with_threshold(models_dir() / "road_lite", tmp_path / "old", 1.5)
    new = with_threshold(models_dir() / "road_lite", tmp_path / "new", 1e6)  # nothing is
    words = (old, new, "--bags", drive, "--fail-if", "alerts.disappeared > 0", "--fail-if", "alerts.appeared > 0")
    done = compare(*words, "--out", tmp_path / "out", "--camera-height", "1.59", "--fov", "48.7")
    assert done.exit_code == 1, done.output
    assert "refused: alerts.disappeared > 0: it is 1" in done.output
    assert "refused: alerts.appeared" not in done.output
    (table,) = (tmp_path / "out" / "old").glob("*/alerts.csv")
    assert any("range_m" in thing for row in read_rows(table) for thing in row.obstacles)  # without camera_info
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())
    lost = told["alerts"].pop("objects_lost")
    assert lost == told["differences"][0]["objects_lost"] > 1  # so low a threshold finds many
    zeros = dict.fromkeys(("new", "appeared", "moved", "changed", "same", "objects_gained"), 0)
    assert told["alerts"] == zeros | {"old": 1, "disappeared": 1}
    assert [entry["kind"] for entry in told["differences"]] == ["disappeared"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "<h2>Refused</h2>" in page
    assert page.count("<img") == 1
    shipped = models_dir() / "road_lite"
    back = compare(new, shipped, "--bags", drive, "--fail-if", "alerts.disappeared > 0", "--out", tmp_path / "back")
    assert back.exit_code == 0, back.output
    assert "the second look differs, old: none; new: 1.41 times" in back.output
    assert "the coherence of published scores differs, old: 0; new: 0.7" in back.output


def test_what_cannot_be_compared_is_said_before_any_work(tiny_bundle: Path, tmp_path: Path) -> None:
    for words, sentence in (
        ((), "nothing to compare on"),
        (("--bags", tmp_path, "--fail-if", "moon > 1"), "no figure is called moon"),
        (("--bags", tmp_path, "--fail-if", "alerts.apeared > 1"), "did you mean alerts.appeared?"),
        (("--dataset", "folder"), "belong together"),
    ):
        done = compare(tiny_bundle, tiny_bundle, *words, "--out", tmp_path / "out")
        assert isinstance(done.exception, ConfigError)
        assert sentence in str(done.exception)
    assert not (tmp_path / "out").exists()
