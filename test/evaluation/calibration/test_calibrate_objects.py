"""A bundle's object thresholds from pictures in folders and patterns: which are read, left out, and pasted into."""

import shutil
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
from oodseg_ros.model_card import Metric


def test_a_bundle_is_calibrated_on_folders_and_patterns(runner, folder: Path, tmp_path: Path) -> None:
    target = ObjectTarget(false_frames=0.2, grow_rate=0.1, seed=0.2, min_area=10)
    pattern = str(folder / "images" / "*[0-3].png")
    others = str(folder / "images" / "*[4-5].png")
    found, deciding = calibrate_objects(runner, [others, pattern], target)
    assert all(name.partition(" (")[0].endswith(".png") for name in deciding)
    assert found.frames == 2 + 4
    assert found.calibration.source.startswith("images/*[4-5].png, images/*[0-3].png, 6 frames")
    runner.bundle.card.metrics.append(Metric(name="AP", value=0.5, data="another", command="oodseg evaluate"))
    bundle = write_calibration(runner.bundle, found.calibration, tmp_path / "copy")
    assert load_bundle(bundle.path).card.calibration == found.calibration
    assert load_bundle(bundle.path).card.metrics == [], "they are of what was found and published before"
    fewer, named = calibrate_objects(runner, [others, pattern], target, without=["frame0", "frame4.png"])
    assert fewer.frames == 1 + 3
    assert not any(name.startswith(("frame0", "frame4")) for name in named)
    cannot_judge = SimpleNamespace(bundle=runner.bundle)
    with pytest.raises(ConfigError, match=r"without nothing\.png: no frame has this name"):
        calibrate_objects(cannot_judge, [str(folder / "images")], target, without=["nothing.png", "frame1"])
    with pytest.raises(ConfigError, match=r"has no class meadow; it has .*road"):
        calibrate_objects(runner, [pattern], target, ground_classes=["meadow"])
    with pytest.raises(ConfigError, match="no file fits"):
        calibrate_objects(runner, [str(folder / "*.gif")], target)
    with pytest.raises(ConfigError, match="at least 99 frames that count, there are at most 2"):
        calibrate_objects(cannot_judge, [pattern], ObjectTarget(), every=2)
    ranges = str(folder / "images" / "frame[0-3].png")
    assert calibrate_objects(runner, [ranges], target)[0].frames == 4


def test_what_cannot_be_judged_is_left_out_and_said(runner, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = ObjectTarget(false_frames=0.2, grow_rate=0.1, seed=0.2, min_area=10)
    images = folder / "images"
    (images / "frame0.png").write_bytes(b"no picture")
    cv2.imwrite(str(images / "frame1.png"), np.zeros((20, 20, 3), np.uint8))
    (images / "frame7.heic").write_bytes(b"another kind")
    (folder / "again").mkdir()
    for path in images.glob("frame?.png"):
        if (image := cv2.imread(str(path))) is not None and len(image) == 64:
            cv2.imwrite(str(folder / "again" / path.name), image[:, ::-1])
    for source in (str(images), str(images / "frame*")):
        caplog.clear()
        found, _ = calibrate_objects(runner, [source], target)
        assert found.frames == 4
        for what in ("frame0.png cannot be decoded", "got 20x20", ".heic files are not read"):
            assert what in caplog.text
    found, _ = calibrate_objects(runner, [str(images), str(folder / "again")], target, without=["frame2"])
    assert found.frames == 6
    assert "frame2 left out 2 frames" in caplog.text


def test_frames_that_prove_nothing_are_no_evidence(runner, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Black ones are none that the node calls clear, and one picture many times is one picture."""
    target = ObjectTarget(false_frames=0.2, grow_rate=0.1, seed=0.2, min_area=10)
    alone, _ = calibrate_objects(runner, [str(folder / "images")], target)
    assert alone.frames == 6
    more = folder / "more"
    more.mkdir()
    for index in range(5):
        cv2.imwrite(str(more / f"black{index}.png"), np.full((64, 128, 3), index, np.uint8))
        cv2.imwrite(str(more / f"white{index}.png"), np.full((64, 128, 3), 255 - index, np.uint8))
    cv2.imwrite(str(more / "fog.png"), np.full((64, 128, 3), 120, np.uint8))
    shutil.copy(folder / "images" / "frame0.png", more / "copy.png")
    (folder / "link").symlink_to(folder / "images")
    found, _ = calibrate_objects(runner, [str(folder / name) for name in ("images", "more", "link")], target)
    assert found.calibration.threshold == alone.calibration.threshold
    assert found.frames == 6
    for what in ("5 skipped (the node does not judge such a picture: black)", "over_exposed", "6 skipped (the same"):
        assert what in caplog.text
    caplog.clear()
    (more / "torn.png").write_bytes(b"no picture")
    given = [str(folder / name) for name in ("images", "more")]
    loose = ObjectTarget(false_frames=0.3, grow_rate=0.1, seed=0.2, min_area=10)
    fewer, _ = calibrate_objects(runner, given, loose, every=2, without=["frame0", "torn", "black0"])
    assert fewer.frames == 3, "the copy of frame0 is left out with it; every other one of five"
    rest, _ = calibrate_objects(runner, given, target, without=["copy"])
    assert rest.frames == 6
    assert "copy.png is left out, but the same picture stays as frame0.png: name both" in caplog.text
    with pytest.raises(ConfigError, match="frames that count, there are at most 6"):
        calibrate_objects(runner, [str(folder / name) for name in ("images", "more")], ObjectTarget(0.1))


def test_unknowns_are_pasted_into_the_frames_that_choose(runner, folder: Path, tmp_path: Path) -> None:
    target = ObjectTarget(false_frames=0.2, grow_rate=0.3, sizes=(), seed=0.2, min_area=10)
    cutout = np.full((40, 30, 4), 255, np.uint8)
    cutout[..., 1] = 0
    for path in sorted((folder / "images").iterdir()):
        image = cv2.imread(str(path))
        cv2.imwrite(str(path.with_stem(f"{path.stem}_left")), image[:, ::-1])
        cv2.imwrite(str(path.with_stem(f"{path.stem}_low")), image[::-1])
    given = [str(folder / "images")]
    found, _ = calibrate_objects(runner, given, target, every=3, cutouts=[cutout])
    assert "of 6 frames" in found.calibration.evidence.source
    # With one limit for all sizes the thresholds are those without them.
    alone = calibrate_objects(runner, given, target, every=3)[0].calibration
    assert alone.evidence is None
    assert alone == found.calibration.model_copy(update={"evidence": None})
    written = write_calibration(runner.bundle, found.calibration, tmp_path / "copy")
    assert load_bundle(written.path).card.calibration.evidence == found.calibration.evidence
