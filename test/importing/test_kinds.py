from __future__ import annotations

import re
import sys

import cv2
import numpy as np
import pytest
import released_segformer as released
import torch
from released_tensors import random_state

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli import main as command_line
from oodseg_ros.cli.import_ import KINDS_TEXT
from oodseg_ros.errors import CheckpointError, ConfigError
from oodseg_ros.importing.kinds import KINDS, import_bundle, read_imported
from oodseg_ros.inference.runner import Runner
from oodseg_ros.scenes import scene

WIDTHS, DEPTHS = (8, 16, 20, 24), (1, 1, 1, 1)


@pytest.fixture
def segformer(tmp_path, monkeypatch):
    monkeypatch.setattr("oodseg_ros.importing.imported.CALIBRATION_SIZE", (96, 192))
    file = tmp_path / "segformer.pth"
    torch.save({"state_dict": random_state(released.segformer_layout("mmseg", WIDTHS, DEPTHS, channels=12))}, file)
    return file


def test_the_command_writes_a_bundle_that_runs(segformer, tmp_path, monkeypatch, capsys):
    out = tmp_path / "segformer_tiny"
    monkeypatch.setattr(sys, "argv", ["oodseg", "import", "segformer-mmseg", str(segformer), "--out", str(out)])
    with pytest.raises(SystemExit) as done:
        command_line.main()
    assert done.value.code in (0, None)
    printed = capsys.readouterr().out
    assert "tensors mapped" in printed
    assert "oodseg calibrate" in " ".join(printed.split())
    bundle = load_bundle(out)
    assert bundle.card.licence.weights.startswith("Apache-2.0")
    runner = Runner.load(bundle, engine="torch")
    assert runner.golden_error <= 1e-4
    prediction = runner([np.zeros((96, 128, 3), np.uint8)])[0]
    assert np.isfinite(prediction.score).all()


def test_a_folder_that_no_bundle_can_be_called_by_is_said_before_the_file_is_read(tmp_path):
    with pytest.raises(ConfigError, match=r"--out .*: 'my model' cannot be a bundle's name"):
        import_bundle("erfnet", [tmp_path / "none.pth"], tmp_path / "my model")


def test_a_card_does_not_tell_where_the_file_lay(segformer, tmp_path):
    out = tmp_path / "bundle"
    bundle, _ = import_bundle("segformer-mmseg", [segformer], out)
    assert bundle.card.training["from"] == "segformer.pth"
    assert str(tmp_path) not in (out / "model.yaml").read_text()


def test_another_score_can_be_chosen(segformer, tmp_path):
    bundle, _ = import_bundle("segformer-mmseg", [segformer], tmp_path / "entropy", score="entropy")
    assert bundle.card.network["score"] == "entropy"
    score = bundle.golden()["score"]
    assert score.min() >= 0
    assert score.max() <= np.log(19)
    with pytest.raises(ConfigError, match="not one that every network can have: max_logit"):
        import_bundle("segformer-mmseg", [segformer], tmp_path / "x", score="likelihood_ratio")


@pytest.mark.parametrize("score", ["mahalanobis", "standardized_max_logit"])
def test_fitted_scores_take_their_statistics_from_frames(segformer, tmp_path, score):
    frames = tmp_path / "frames"
    frames.mkdir()
    for seed in range(3):
        cv2.imwrite(str(frames / f"{seed}.png"), scene(seed, (96, 192)).image[..., ::-1])
    bundle, imported = import_bundle("segformer-mmseg", [segformer], tmp_path / score, score=score, fit=frames)
    assert bundle.card.training["fitted_on_frames"] == 3
    assert bundle.card.training["tensors"] == len(imported.state)
    weights = bundle.weights()
    name = "head.whitening" if score == "mahalanobis" else "head.mean"
    assert not torch.equal(weights[name], torch.eye(12) if score == "mahalanobis" else torch.zeros(19))
    # A frame that it was fitted on is ordinary.
    runner = Runner.load(bundle, engine="torch")
    usual = runner([scene(1, (96, 192)).image])[0].score
    if score == "mahalanobis":
        assert 3 < usual.mean() < 13  # squared distance in 12 dimensions, to the nearest of several means
    else:
        assert abs(np.median(usual)) < 1.5
    with pytest.raises(ConfigError, match="name them with --fit"):
        import_bundle("segformer-mmseg", [segformer], tmp_path / "x", score=score)
    with pytest.raises(ConfigError, match="only the scores mahalanobis"):
        import_bundle("segformer-mmseg", [segformer], tmp_path / "x", fit=frames)


def test_a_label_set_of_another_size_is_refused(segformer, tmp_path):
    with pytest.raises(CheckpointError, match="has 19 classes, label set driving11 has 11"):
        import_bundle("segformer-mmseg", [segformer], tmp_path / "x", labels="driving11")
    assert not (tmp_path / "x" / "model.yaml").exists()


def test_wrong_kinds_and_counts_are_refused(segformer):
    with pytest.raises(ConfigError, match=r"unknown kind 'onnx'; this version imports uem"):
        read_imported("onnx", [segformer])
    with pytest.raises(ConfigError, match="takes one file or folder, got 2"):
        read_imported("rpl", [segformer, segformer])
    with pytest.raises(CheckpointError, match=r"no complete RPL|no residual block"):
        read_imported("rpl", [segformer])


def test_the_help_lists_every_kind():
    for kind in KINDS:
        assert re.search(rf"\b{kind}\b", KINDS_TEXT)


def test_an_untrained_network_is_imported_and_said_to_be_one(segformer, tmp_path):
    """All weights of the last layer 0, as some frameworks begin: the score is one number everywhere."""
    content = torch.load(segformer, weights_only=True)
    for key in ("decode_head.conv_seg.weight", "decode_head.conv_seg.bias"):
        content["state_dict"][key].zero_()
    torch.save(content, segformer)
    bundle, _ = import_bundle("segformer-mmseg", [segformer], tmp_path / "constant")
    assert any("untrained" in note for note in bundle.card.training["notes"])
    prediction = Runner.load(bundle, engine="torch")([np.zeros((96, 128, 3), np.uint8)])[0]
    assert np.ptp(prediction.score) == 0
    calibrated = bundle.card.calibration.calibrate(prediction.score)
    assert (calibrated == 0).all()


def test_a_network_that_answers_with_nan_is_refused(segformer, tmp_path):
    content = torch.load(segformer, weights_only=True)
    content["state_dict"]["decode_head.conv_seg.weight"].fill_(3e38)
    torch.save(content, segformer)
    with pytest.raises(CheckpointError, match="answers with NaN or infinity"):
        import_bundle("segformer-mmseg", [segformer], tmp_path / "nan")
    assert not (tmp_path / "nan" / "model.yaml").exists()


@pytest.mark.parametrize("option", [{"preprocessing": "imagenet"}, {"resize": "processor"}])
def test_options_of_hf_are_refused_for_others(segformer, tmp_path, option):
    with pytest.raises(ConfigError, match="is for kind hf"):
        import_bundle("segformer-mmseg", [segformer], tmp_path / "x", **option)
