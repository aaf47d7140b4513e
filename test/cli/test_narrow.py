from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli.main import build_app
from oodseg_ros.errors import ConfigError


def run(*arguments: object):
    words = ["narrow", *map(str, arguments), "--threads", "1"]
    return CliRunner(env={"COLUMNS": "160"}).invoke(build_app(words), words)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    for index in range(4):
        image = np.random.default_rng(index).integers(0, 256, (64, 128, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / f"{index}.png"), image)
    return tmp_path / "frames"


def test_narrow_tells_what_went_and_writes_a_bundle(tiny_bundle: Path, frames: Path, tmp_path: Path) -> None:
    done = run(tiny_bundle, frames, "--error", 0.2, "--out", tmp_path / "new")
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    for words in ("hidden channels", "on 4 frames", "GFLOP at", "scores on these frames moved", "calibrate-objects"):
        assert words in told
    hidden = load_bundle(tmp_path / "new").card.network["backbone"]["hidden"]
    assert len(hidden) == 16
    data = json.loads(run(tiny_bundle, f"{frames}/*.png", "--error", 0.2, "--out", tmp_path / "same", "--json").stdout)
    assert [block["after"] for block in data["blocks"]] == hidden
    assert data["gflop"] < data["gflop_before"]
    assert data["parameters"] < data["parameters_before"]
    assert data["frames"] == 4


def test_narrow_says_that_nothing_went(tiny_bundle: Path, frames: Path, tmp_path: Path) -> None:
    # Random weights have dead channels; the second time they are gone.
    once, again = (
        run(bundle, frames, "--error", 1e-9, "--out", out)
        for bundle, out in ((tiny_bundle, tmp_path / "once"), (tmp_path / "once", tmp_path / "again"))
    )
    assert "nothing removed" in again.output, once.output + again.output
    assert load_bundle(tmp_path / "again").card.network == load_bundle(tmp_path / "once").card.network


@pytest.mark.parametrize(
    ("words", "told"), [(["--error", "1"], "between 0 and 1"), (["--out", "."], "exists; give another --out")]
)
def test_narrow_refuses_before_the_work(tiny_bundle: Path, frames: Path, tmp_path: Path, words, told) -> None:
    done = run(tiny_bundle, frames, "--out", tmp_path / "new", *words)
    assert isinstance(done.exception, ConfigError)
    assert told in str(done.exception)
    assert not (tmp_path / "new").exists()
