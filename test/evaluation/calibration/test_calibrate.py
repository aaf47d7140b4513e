import shutil

import cv2
import numpy as np
import pytest

from oodseg_ros.bundle import load_bundle
from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.errors import ConfigError, DatasetError
from oodseg_ros.evaluation.calibration.calibrate import Target, calibrate, parse_target, write_calibration
from oodseg_ros.evaluation.calibration.fit import frame_loss, object_loss, pixel_loss, threshold_grid
from oodseg_ros.evaluation.metrics.paired_histogram import PairedHistogram
from oodseg_ros.inference.runner import Runner
from oodseg_ros.object_rule import Evidence, Objects, SecondLook
from oodseg_ros.pipeline.obstacles.objects import find_objects

GRID = np.linspace(-3, 3, 61).astype(np.float32).astype(np.float64)


def noise(seed: int):
    rng = np.random.default_rng(seed)
    score = cv2.GaussianBlur(rng.normal(size=(60, 80)).astype(np.float32), (0, 0), 2) * 5
    label = (cv2.GaussianBlur(rng.normal(size=(60, 80)), (0, 0), 3) > 0.12).astype(np.uint8)
    label[:5] = 255
    score[30, :7] = np.nan
    return score, label


@pytest.mark.parametrize("seed", range(4))
def test_losses_are_those_of_their_definitions_at_every_threshold(seed):
    score, label = noise(seed)
    pixels, frames = pixel_loss(score, label, GRID), frame_loss(score, label, GRID, 30)
    objects = object_loss(score, label, GRID, 20, 0.5)
    count, ids = cv2.connectedComponents((label == 1).astype(np.uint8), connectivity=8)
    known = [ids == i for i in range(1, count) if (ids == i).sum() >= 20]
    for j, threshold in enumerate(GRID):
        above = score > np.float32(threshold)
        judged = (label == 0) & ~np.isnan(score)
        assert pixels[j] == pytest.approx(above[judged].mean())
        _, _, stats, _ = cv2.connectedComponentsWithStats((above & (label == 0)).astype(np.uint8), connectivity=8)
        assert frames[j] == float((stats[1:, cv2.CC_STAT_AREA] >= 30).any())
        assert objects[j] == pytest.approx(np.mean([above[mask].sum() < 0.5 * mask.sum() for mask in known]))


@pytest.mark.parametrize("seed", range(6))
def test_frame_loss_by_the_rule_of_a_bundle(seed):
    score, label = noise(seed)
    labels = np.full(score.shape, 1, np.uint8)
    labels[30:] = 3
    rule = Objects(grow=0.5, seed=0.4, beside=2.0, ground=[3])
    loss = frame_loss(score, label, GRID, 20, rule, labels)
    masked = np.where(label == 0, score, np.float32(-np.inf)).astype(np.float32)
    for threshold, found in zip(GRID, loss, strict=True):
        real = bool(find_objects(masked, labels, threshold, rule, 20, 1)[0])
        assert found == (threshold < 0.5 or real)


def test_a_calibrated_bundle_keeps_its_object_rule(runner, dataset, tmp_path):
    threshold = runner.bundle.card.calibration.threshold
    for grow, beside in ((threshold - 1e-3, threshold + 1e-3), (threshold - 1e6, threshold + 1e6)):
        rule = Objects(grow=grow, seed=1, beside=beside)
        evidence = Evidence(strengths=[grow], unknown=[0.5], normal=[1.0], candidates=1)
        look = SecondLook(zoom=1.5, grow=grow, above=grow, below=beside)
        more = {"objects": rule, "evidence": evidence, "second_look": look}
        calibration = runner.bundle.card.calibration.model_copy(update=more)
        bundle = write_calibration(runner.bundle, calibration, tmp_path / f"{grow}")
        result = calibrate(Runner.load(bundle, engine="torch"), dataset, parse_target("pixels=0.3", None))
        found = result.calibration
        assert found.second_look == look  # its threshold is of what both looks say
        assert found.objects.grow == min(grow, found.threshold)
        assert found.objects.beside == max(beside, found.threshold)
        # The table is of what grows together; of other candidates it would say nothing.
        assert found.evidence == (evidence if found.objects.grow == grow else None)


def test_frames_that_do_not_count():
    score, label = noise(0)
    assert object_loss(score, np.zeros_like(label), GRID, 20, 0.5) is None
    assert pixel_loss(score, np.ones_like(label), GRID) is None
    assert frame_loss(score, np.full_like(label, 255), GRID, 30) is None


def test_grid_reaches_above_all_scores_and_is_dense_at_the_top():
    rng = np.random.default_rng(0)
    negative, positive = rng.normal(size=100000).astype(np.float32), np.float32([3, 4, np.inf, -np.inf])
    histogram = PairedHistogram()
    histogram.add(negative, positive)
    grid = threshold_grid(histogram, 1000)
    assert np.isfinite(grid).all()
    assert np.all(np.diff(grid) > 0)
    top = np.sort(negative)[::-1][:5]
    assert np.isin(top, grid).all()
    histogram = PairedHistogram()
    histogram.add(negative, negative[:0])
    assert threshold_grid(histogram)[-1] > negative.max()


@pytest.fixture
def many(tmp_path):
    root = tmp_path / "many"
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    for index in range(24):
        rng = np.random.default_rng(index)
        label = np.zeros((64, 128), np.uint8)
        label[20:40, 5 * index : 5 * index + 12] = 1
        image = rng.integers(0, 255, (64, 128, 3), dtype=np.uint8)
        cv2.imwrite(str(root / "images" / f"{index:02d}.png"), image)
        cv2.imwrite(str(root / "labels" / f"{index:02d}.png"), label)
    return open_dataset("folder", root)


@pytest.mark.parametrize(("kind", "confidence"), [("pixels", None), ("objects", None), ("frames", 0.7)])
def test_a_bundle_is_calibrated_and_still_loads(runner, many, tmp_path, kind, confidence):
    result = calibrate(runner, many, Target(kind, 0.2, confidence))
    assert result.choice.frames == 24
    assert result.choice.risk <= 0.2
    losses = []
    for item in many.items:
        image, label = many.load(item)
        score, threshold = runner([image])[0].score, np.asarray([result.choice.threshold])
        if kind == "pixels":
            losses.append(pixel_loss(score, label, threshold))
        elif kind == "frames":
            losses.append([_has_group(score > threshold[0], label, 100)])
        else:
            losses.append(object_loss(score, label, threshold, 100, 0.5))
    assert np.mean(losses) == pytest.approx(result.choice.risk)
    written = write_calibration(runner.bundle, result.calibration, tmp_path / "copy")
    assert written.card.calibration.threshold == result.choice.threshold
    assert written.card.calibration.inlier_histogram is not None
    assert written.weights_hash == runner.bundle.weights_hash
    assert "at most 0.2" in written.card.calibration.source
    assert load_bundle(runner.bundle.path).card.calibration == runner.bundle.card.calibration
    with pytest.raises(ConfigError, match="exists"):
        write_calibration(runner.bundle, result.calibration, tmp_path / "copy")


def test_frames_that_prove_nothing_are_left_out(runner, many):
    alone = calibrate(runner, many, Target("pixels", 0.2)).choice
    for index in range(6):
        black = np.full((64, 128, 3), index, np.uint8)
        cv2.imwrite(str(many.root / "images" / f"3{index}.png"), black)
        cv2.imwrite(str(many.root / "labels" / f"3{index}.png"), black[..., 0] * 0)
    for part in ("images", "labels"):
        shutil.copy(many.root / part / "00.png", many.root / part / "40.png")
    more = calibrate(runner, open_dataset("folder", many.root), Target("pixels", 0.2))
    assert more.choice == alone
    assert more.skipped["40"] == "the same picture as an earlier one"
    assert more.skipped["30"] == "the node does not judge such a picture: black"
    assert len(more.skipped) == 7


def _has_group(above, label, least):
    _, _, stats, _ = cv2.connectedComponentsWithStats((above & (label == 0)).astype(np.uint8), connectivity=8)
    return float((stats[1:, cv2.CC_STAT_AREA] >= least).any())


def test_held_out_half(runner, many):
    result = calibrate(runner, many, Target("pixels", 0.3))
    assert result.held_out.frames == 12
    assert result.held_out_frames == 12
    assert 0 <= result.held_out_risk <= 1
    said = result.calibration.source
    assert f"on 12 of them alone gave threshold {result.held_out.threshold:.6g}, which on the other 12 measured" in said
    assert f"threshold {result.choice.threshold:.6g} measured" in said
    assert "min_area" not in said
    few = calibrate(runner, many, Target("pixels", 0.05))
    assert few.held_out is None
    assert "too few frames" in few.calibration.source


def test_too_few_frames_and_wrong_targets(runner, many, folder):
    done = []
    with pytest.raises(ConfigError, match="at least 99 frames"):
        calibrate(runner, many, Target("pixels", 0.01), progress=lambda *count: done.append(count))
    assert not done  # before the work
    with pytest.raises(ConfigError, match="--rate"):
        parse_target("alerts-per-hour=6")
    assert parse_target("alerts-per-hour=36", rate=10).alpha == pytest.approx(0.001)
    assert parse_target("objects=0.1", confidence=0.9) == Target("objects", 0.1, 0.9)
    for wrong in ("pixels", "pixels=x", "lanes=0.1"):
        with pytest.raises(ConfigError):
            parse_target(wrong)
    with pytest.raises(DatasetError, match="class labels"):
        calibrate(runner, open_dataset("folder", folder, labels="driving11"), Target("pixels", 0.1))
