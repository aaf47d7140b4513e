"""Calibration on normal driving: nobody writes black label pictures, and what a score means is not forgotten."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli.main import build_app
from oodseg_ros.errors import ConfigError, DatasetError
from oodseg_ros.evaluation.calibration.normal import open_normal

ENGINE = ("--engine", "torch", "--threads", "1")


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """images/ + labels/ with class ids of driving11 and unlabelled pixels; and a video of the same pictures."""
    root = tmp_path / "drive"
    for part in ("images", "labels"):
        (root / part).mkdir(parents=True)
    video = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for index in range(12):
        image = np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8)
        label = np.full((64, 96), 3, np.uint8)
        label[:20] = 255
        cv2.imwrite(str(root / "images" / f"{index}.png"), image)
        cv2.imwrite(str(root / "labels" / f"{index}.png"), label)
        video.write(image)
    video.release()
    return root


def calibrate(*words: object) -> object:
    arguments = ["calibrate", *map(str, words), *ENGINE]
    return CliRunner(env={"COLUMNS": "300"}).invoke(build_app(arguments), arguments)


@pytest.mark.parametrize("source", ["classes", "folder", "video"])
def test_whatever_shows_normal_driving_can_be_used(tiny_bundle: Path, drive: Path, tmp_path: Path, source: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    before = load_bundle(bundle).card.calibration
    root = {"classes": drive, "folder": drive / "images", "video": tmp_path / "drive.avi"}[source]
    data = ["folder", "--root", root, "--labels", "driving11"] if source == "classes" else ["frames", "--root", root]
    done = calibrate(bundle, *data, "--normal", "--target", "pixels=0.2")
    assert done.exit_code == 0, done.output
    after = load_bundle(bundle).card.calibration
    assert after.threshold != before.threshold
    assert after.table == before.table
    assert "12 frames" in after.source
    assert "the score table is that of before" in after.source
    assert str(tmp_path) not in after.source


def test_what_is_unlabelled_in_a_labelled_set_does_not_count(drive: Path) -> None:
    dataset = open_normal("folder", drive, labels="driving11")
    label = dataset.load(dataset.items[0])[1]
    assert (label[:20] == 255).all()
    assert (label[20:] == 0).all()


def test_it_must_be_asked_for(tiny_bundle: Path, drive: Path) -> None:
    done = calibrate(tiny_bundle, "folder", "--root", drive, "--labels", "driving11", "--target", "pixels=0.2")
    assert isinstance(done.exception, DatasetError)
    assert "--normal" in str(done.exception)
    done = calibrate(tiny_bundle, "frames", "--root", drive / "images", "--target", "pixels=0.2")
    assert isinstance(done.exception, ConfigError)
    assert "--normal" in str(done.exception)


def test_missed_objects_cannot_be_bounded_without_objects(tiny_bundle: Path, drive: Path) -> None:
    done = calibrate(tiny_bundle, "frames", "--root", drive / "images", "--normal", "--target", "objects=0.2")
    assert isinstance(done.exception, ConfigError)
    assert "these frames have none" in str(done.exception)


@pytest.mark.parametrize("target", ["pixels", "moon=1", "alerts=3"])
def test_every_target_is_listed(tiny_bundle: Path, drive: Path, target: str) -> None:
    done = calibrate(tiny_bundle, "frames", "--root", drive / "images", "--normal", "--target", target)
    for form in ("pixels=", "frames=", "objects=", "alerts-per-hour="):
        assert form in str(done.exception)
