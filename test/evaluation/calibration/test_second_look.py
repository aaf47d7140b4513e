"""What is in doubt is chosen by what a second look may cost."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import ConfigError
from oodseg_ros.evaluation.calibration.calibrate import write_calibration
from oodseg_ros.evaluation.calibration.calibrate_objects import calibrate_objects
from oodseg_ros.evaluation.calibration.object_target import ObjectTarget
from oodseg_ros.evaluation.calibration.second_look import LookTarget, fit_second_look
from oodseg_ros.inference.runner import Runner
from oodseg_ros.inference.second_look import SecondLook
from oodseg_ros.model_card import InputSpec, Resize, Windows
from oodseg_ros.object_rule import Objects, Strip
from oodseg_ros.pipeline.obstacles.objects import find_objects

ROAD = 3
SPEC = InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 19, multiple=32)


def frames(count: int, seed: int):
    for index in range(count):
        rng = np.random.default_rng([seed, index])
        score = cv2.GaussianBlur(rng.normal(size=(128, 256)).astype(np.float32), (0, 0), 8) * 20
        yield score, np.full(score.shape, ROAD, np.uint8)


def test_about_the_share_of_new_frames_is_looked_at_again() -> None:
    rule = fit_second_look(frames(200, 0), LookTarget(1.5, 0.2), 0.1, 0.5, [ROAD], SPEC)
    assert rule.zoom == 1.5
    look = SecondLook(rule, Objects(grow=rule.grow, seed=0.5, beside=rule.below, ground=[ROAD]), SPEC)
    own = [look.window(*frame) is not None for frame in frames(200, 0)]
    assert np.mean(own) == pytest.approx(0.2, abs=0.011)
    assert np.mean([look.window(*frame) is not None for frame in frames(200, 1)]) == pytest.approx(0.2, abs=0.1)


def test_small_candidates_have_a_share_of_their_own() -> None:
    target = LookTarget(1.5, 0.2, small_zoom=2.5, small_height=0.2, small_share=0.3)
    rule = fit_second_look(frames(200, 0), target, 0.1, 0.5, [ROAD], SPEC)
    assert (rule.small.zoom, rule.small.height) == (2.5, 0.2)
    assert rule.options == "--second-look 1.5 --small-look 2.5 --small-look-height 0.2"
    look = SecondLook(rule, Objects(grow=rule.grow, seed=0.5, beside=rule.below, ground=[ROAD]), SPEC)
    windows = [look.window(*frame) for frame in frames(200, 0)]
    assert np.mean([window is not None and window.small for window in windows]) == pytest.approx(0.3, abs=0.011)
    # Without it, all else is looked at as often as where nothing is small.
    assert rule.below == fit_second_look(frames(200, 0), LookTarget(1.5, 0.2), 0.1, 0.5, [ROAD], SPEC).below


def test_the_strip_is_as_asked_for_and_changes_nothing_else() -> None:
    target = LookTarget(1.5, 0.2, small_zoom=2.5, strip_zoom=2, strip_height=0.2)
    rule = fit_second_look(frames(50, 0), target, 0.1, 0.5, [ROAD], SPEC)
    assert rule.strip == Strip(zoom=2, height=0.2)
    assert rule.options.endswith("--small-look-height 0.05 --strip 2 --strip-height 0.2")
    assert "a strip around the horizon of 0.2 of its height, 2 times as large, where the greater" in rule.words
    without = fit_second_look(frames(50, 0), LookTarget(1.5, 0.2, small_zoom=2.5), 0.1, 0.5, [ROAD], SPEC)
    assert without == rule.model_copy(update={"strip": None})
    assert rule.words.startswith(without.words)
    with pytest.raises(ConfigError, match="only where the others have a second look"):
        LookTarget(0, strip_zoom=2)
    for wrong, said in (
        ({"strip_zoom": 1}, "zoom of a second look must be"),
        ({"strip_zoom": 2, "strip_height": 1}, "share of the picture's, got 1"),
        ({"strip_zoom": 3}, "more than the first look; 3 times as large it has at most 0.111"),
    ):
        with pytest.raises(ConfigError, match=said):
            LookTarget(1.5, **wrong)


@pytest.mark.parametrize("count", [5, 12, 19])
def test_the_share_is_a_bound_for_few_frames_too(count: int) -> None:
    """Of 12 frames, a tenth is one: two were a sixth."""
    rule = fit_second_look(frames(count, 0), LookTarget(1.5, 0.2), 0.1, 0.5, [ROAD], SPEC)
    look = SecondLook(rule, Objects(grow=rule.grow, seed=0.5, beside=rule.below, ground=[ROAD]), SPEC)
    assert sum(look.window(*frame) is not None for frame in frames(count, 0)) == count // 5
    with pytest.raises(ConfigError, match=rf"5\.0% of {count} frames .* on 20 frames or more"):
        fit_second_look(frames(count, 0), LookTarget(1.5, 0.05), 0.1, 0.5, [ROAD], SPEC)


def test_a_look_at_small_candidates_needs_one_at_all_else_and_numbers_in_range() -> None:
    with pytest.raises(ConfigError, match="only where the others have one"):
        LookTarget(0, small_zoom=2)
    with pytest.raises(ConfigError, match=r"closer than 1\.5 times, got 1\.2"):
        LookTarget(1.5, small_zoom=1.2)
    for wrong in (
        {"small_zoom": 1.0},
        {"small_zoom": 2, "small_share": 0},
        {"small_zoom": 2, "small_height": 1},
    ):
        with pytest.raises(ConfigError, match=r"look must be|looked at again must|share of the picture's"):
            LookTarget(1.5, **wrong)


@pytest.mark.parametrize(("zoom", "share"), [(1.0, 0.1), (4.5, 0.1), (-1.5, 0.1), (1.5, 0.0), (1.5, 1.0)])
def test_numbers_out_of_range_are_refused(zoom: float, share: float) -> None:
    with pytest.raises(ConfigError, match=r"second look must be|looked at again must"):
        LookTarget(zoom, share)


def test_frames_without_anything_in_doubt_are_told() -> None:
    flat = [(np.zeros((64, 128), np.float32), np.full((64, 128), ROAD, np.uint8))] * 20
    with pytest.raises(ConfigError, match=r"less than 10\.0% of the frames .* would not pay"):
        fit_second_look(flat, LookTarget(1.5), 0.02, 0.5, [ROAD], SPEC)
    endless = [(score + np.float32(np.inf), labels) for score, labels in flat]
    with pytest.raises(ConfigError, match="infinite score"):
        fit_second_look([*frames(20, 0), *endless], LookTarget(1.5), 0.02, 0.5, [ROAD], SPEC)
    with pytest.raises(ConfigError, match="no frame without unknowns"):
        fit_second_look([], LookTarget(1.5), 0.02, 0.5, [ROAD], SPEC)


def test_a_bundle_gets_a_second_look_keeps_it_and_loses_it_again(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(12):
        noise = np.random.default_rng(index).integers(0, 256, (16, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index:02d}.png"), cv2.resize(noise, (256, 128)))
    target, given = ObjectTarget(false_frames=0.2, grow_rate=0.3, seed=0.2, min_area=10), [str(folder)]
    ground = load_bundle(tiny_bundle).labels.names  # random classes: everything can be stood on
    first = Runner.load(tiny_bundle, engine="torch", threads=1)
    found, _ = calibrate_objects(first, given, target, ground_classes=ground, look=LookTarget(1.5, 0.5))
    bundle = write_calibration(first.bundle, found.calibration, tmp_path / "twice")
    rule = bundle.card.calibration.second_look
    assert rule == found.calibration.second_look
    assert 0 < first.second_look.taken < 12
    # What was chosen with the runner's own second look holds for one that is loaded.
    loaded = Runner.load(bundle, engine="torch", threads=1)
    again, _ = calibrate_objects(loaded, given, target, ground_classes=ground)
    assert again.calibration == found.calibration
    assert loaded.second_look.taken == first.second_look.taken
    # Of another seed or ground, strengths mean something else than when the band was chosen.
    for other, on in ((dataclasses.replace(target, seed=0.3), ground), (target, ground[:2])):
        with pytest.raises(ConfigError, match=r"with seed 0\.2 and the ground .*--second-look 1\.5"):
            calibrate_objects(loaded, given, other, ground_classes=on)
    without, _ = calibrate_objects(loaded, given, target, ground_classes=ground, look=LookTarget(0))
    assert without.calibration.second_look is None
    assert loaded.second_look is None


@pytest.mark.parametrize(("size", "views"), [((144, 72), 2), ((256, 128), 1)])
def test_with_a_strip_frames_of_smaller_cameras_are_judged_in_both_ways(
    tiny_bundle: Path, tmp_path: Path, size: tuple[int, int], views: int
) -> None:
    """The bounds are for the frames as they are; what the strip of fine cameras does to them, enlarged, is told."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for index in range(12):
        noise = np.random.default_rng(index).integers(0, 256, (16, 32, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index:02d}.png"), cv2.resize(noise, size))
    target, given = ObjectTarget(false_frames=0.2, grow_rate=0.3, seed=0.2, min_area=10), [str(folder)]
    ground = load_bundle(tiny_bundle).labels.names
    runner = Runner.load(tiny_bundle, engine="torch", threads=1)
    look = LookTarget(1.5, 0.5, strip_zoom=2)
    found, deciding = calibrate_objects(runner, given, target, ground_classes=ground, look=look)
    bundle = write_calibration(runner.bundle, found.calibration, tmp_path / "wide")
    assert bundle.card.calibration.second_look.strip == Strip(), "the options' defaults are the card's"
    assert ("enlarged for the strip of fine cameras" in found.calibration.source) == (views == 2)
    assert found.frames == 12
    assert all(name.partition(" (")[0].endswith(".png") for name in deciding)
    assert not runner.second_look.every_camera
    # The same frames, seen by a loaded bundle.
    loaded = Runner.load(bundle, engine="torch", threads=1)
    rule, threshold = bundle.card.calibration.objects, bundle.card.calibration.threshold
    images = [cv2.imread(str(path))[..., ::-1] for path in sorted(folder.iterdir())]
    for every_camera in (False, True):
        loaded.second_look.every_camera = every_camera
        maps = [(one.score, one.labels) for one in loaded([np.ascontiguousarray(image) for image in images])]
        false = [bool(find_objects(*one, threshold, rule, target.min_area, 99)[0]) for one in maps]
        if every_camera and views == 2:
            assert f"{np.mean(false):.2%} of 12 frames have a false object" in found.calibration.source
        else:
            assert np.mean(false) <= sum(found.false) + 1e-9
    # Without options it keeps the strip, and is judged as before.
    loaded.second_look.every_camera = False
    again, _ = calibrate_objects(loaded, given, target, ground_classes=ground)
    assert again.calibration == found.calibration
    gone, _ = calibrate_objects(loaded, given, target, ground_classes=ground, look=LookTarget(1.5, 0.5))
    assert gone.calibration.second_look.strip is None
    assert "strip of fine cameras" not in gone.calibration.source


def test_a_strip_is_refused_for_an_input_of_a_size_of_its_own(tiny_bundle: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    windows = Windows(height=64, width=64, stride_y=32, stride_x=32)
    for more, said in (({"resize": Resize(height=64, width=64)}, "resize"), ({"windows": windows}, "windows")):
        spec = bundle.card.input.model_copy(update=more)
        other = dataclasses.replace(bundle, card=bundle.card.model_copy(update={"input": spec}))
        with pytest.raises(ConfigError, match=rf"has .*{said}.*leave out --strip"):
            calibrate_objects(SimpleNamespace(bundle=other), [], ObjectTarget(), look=LookTarget(1.5, strip_zoom=2))
