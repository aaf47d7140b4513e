"""A whole ControlNet pipeline and a whole Segment Anything, tiny and random, from files on disk: no network.

Importing diffusers takes most of the time, so what needs it is marked slow.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from oodseg_ros.cli.main import build_app
from oodseg_ros.datasets.encoding import read_values
from oodseg_ros.datasets.generated import find_generated
from oodseg_ros.errors import CheckpointError
from oodseg_ros.outliers.coherent_generation.networks import Sam, Sampling, draw_picture, generated_size, load_pipeline


@pytest.mark.slow
def test_a_pipeline_from_disk_draws_by_control_words_and_seed(weights: tuple[Path, Path]) -> None:
    pipeline = load_pipeline(*map(str, weights))
    assert type(pipeline.scheduler).__name__ == "DDIMScheduler"
    sampling = Sampling(steps=2, resolution=64)
    control = np.zeros((100, 200, 3), np.uint8)
    control[50:] = 140
    image = draw_picture(pipeline, control, "a road", "blurry", 1, sampling)
    assert image.shape == (64, 128, 3)
    assert image.dtype == np.uint8
    assert image.std() > 1
    np.testing.assert_array_equal(image, draw_picture(pipeline, control, "a road", "blurry", 1, sampling))
    assert (image != draw_picture(pipeline, control, "a road", "blurry", 2, sampling)).any()


@pytest.mark.slow
def test_weights_that_are_no_safetensors_are_refused(weights: tuple[Path, Path], tmp_path: Path) -> None:
    _, control = weights
    state = {"x": torch.zeros(1)}
    (tmp_path / "config.json").write_text((control / "config.json").read_text())
    torch.save(state, tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        load_pipeline(str(weights[0]), str(tmp_path))


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [((1024, 2048), 512, (512, 1024)), ((720, 1280), 512, (512, 896)), ((360, 480), 512, (512, 704))],
)
def test_sides_are_multiples_of_64(size: tuple[int, int], resolution: int, expected: tuple[int, int]) -> None:
    assert generated_size(*size, resolution) == expected


def test_segment_anything_answers_at_the_size_of_the_picture(sam_weights: Path, tmp_path: Path) -> None:
    segment = Sam(str(sam_weights))
    image = np.random.default_rng(0).integers(0, 256, (50, 120, 3), dtype=np.uint8)
    one, two = segment(image, (10, 10, 60, 40)), segment(image, (100, 5, 119, 20))
    assert one.shape == two.shape == (50, 120)
    assert one.dtype == bool
    np.testing.assert_array_equal(one, segment(image, (10, 10, 60, 40)))
    with pytest.raises(CheckpointError, match="safetensors"):
        Sam(str(tmp_path / "nothing"))


@pytest.mark.slow
def test_the_whole_command_runs_offline(weights: tuple[Path, Path], sam_weights: Path, tmp_path: Path) -> None:
    """Random weights make random pictures, and a random segmenter finds a random mask: enough for an IoU above zero."""
    rgba = np.zeros((50, 60, 4), np.uint8)
    rgba[10:40, 20:50, 3] = 255
    cv2.imwrite(str(tmp_path / "dog.png"), rgba)
    (tmp_path / "cutouts.json").write_text(json.dumps([{"file": "dog.png", "cls": "dog", "kind": "animal"}]))
    for name, array in (("images", np.zeros((480, 640, 3), np.uint8)), ("labels", np.full((480, 640), 3, np.uint8))):
        (tmp_path / "frames" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "frames" / name / "a.png"), array)
    arguments = ["generate", "--root", str(tmp_path / "frames"), "--out", str(tmp_path / "out")]
    arguments += ["--outlines", str(tmp_path), "--dataset", "folder", "--split", "", "--labels", "driving11"]
    arguments += ["--base", str(weights[0]), "--control", str(weights[1]), "--sam", str(sam_weights)]
    arguments += ["--steps", "2", "--resolution", "64", "--least-iou", "0", "--attempts", "5"]
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(build_app(["generate"]), arguments)
    assert shown.exception is None
    assert "1 pictures made, 0 were there" in shown.output
    (found,) = find_generated(tmp_path / "out", "", ["a"])["a"]
    assert found.read().shape == (480, 640, 3)
    assert set(np.unique(read_values(found.label))) == {3, 254}
