"""Channels that say nothing go without a trace; what else goes stays within the bound."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from oodseg_ros.bundle import Bundle, load_bundle, save_bundle
from oodseg_ros.errors import ConfigError, DatasetError
from oodseg_ros.inference.graph import predict
from oodseg_ros.inference.runner import Runner
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.sources.image_files import read_image
from oodseg_ros.training.fewer_channels import Moments, Spread, chosen, refitted
from oodseg_ros.training.narrow import Narrowed, narrow, write_narrowed

NETWORK = {
    "backbone": {"name": "efficientnet_lite", "variant": 0, "stages": 6},
    "decoder": {"name": "light_fpn", "channels": 8, "width": 8},
    "classifier": {"name": "linear", "classes": 11},
    "head": {"name": "uem", "levels": [1, 2], "hidden": 16, "width": 8},
    "score": "likelihood_ratio",
}
DEAD = {0: 12, 2: 54, 14: 432}
SPEC = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 16, multiple=32)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frames")
    for index in range(6):
        image = np.random.default_rng(index).integers(0, 256, (12, 16, 3), np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(image, (256, 192), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Random weights; in blocks 0, 2 and 14 every fourth hidden channel is always 0, every eighth one more always 2."""
    torch.manual_seed(0)
    segmentor = build_segmentor(NETWORK, SPEC).eval()
    for module in segmentor.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.weight.data.uniform_(0.8, 1.5)
            module.bias.data.normal_(0.5, 0.5)
    for index in DEAD:
        norm = segmentor.backbone._blocks[index]._bn1
        norm.weight.data[::4], norm.bias.data[::4] = 0, -1
        norm.weight.data[1::8], norm.bias.data[1::8] = 0, 2
    card = load_bundle(tiny_bundle).card.model_copy(update={"network": NETWORK, "input": SPEC})
    image = load_bundle(tiny_bundle).golden()["image"]
    labels, score = predict(segmentor, SPEC, image)
    path = tmp_path_factory.mktemp("bundles") / "lively"
    return save_bundle(path, card, segmentor.state_dict(), {"image": image, "labels": labels, "score": score})


@pytest.fixture(scope="module")
def exact(bundle: Bundle, frames: Path) -> Narrowed:
    """Without what nobody misses."""
    return narrow(bundle, [str(frames)], error=1e-9)


def test_channels_that_are_always_the_same_go_without_a_trace(
    bundle: Bundle, exact: Narrowed, frames: Path, tmp_path: Path
) -> None:
    found = exact
    # Random channels that ReLU6 clips everywhere go, too.
    removed = [one.before - one.after for one in found.blocks]
    assert all(removed[index] >= dead for index, dead in DEAD.items())
    assert all(one.after > 0 for one in found.blocks)
    assert found.frames == 6
    deviation = bundle.golden()["score"].std()
    assert found.change.percentile <= found.change.largest <= 1e-3 * deviation
    assert found.change.labels < 1e-3

    written = write_narrowed(bundle, found, [str(frames)], 1e-9, tmp_path / "narrow")
    assert written.card.network["backbone"]["hidden"] == [one.after for one in found.blocks]
    assert {**written.card.network["backbone"], "hidden": None} == {**NETWORK["backbone"], "hidden": None}
    assert written.card.calibration == bundle.card.calibration
    assert written.card.training["narrowed"] == [
        {"from": bundle.id, "frames": f"6 of {frames.parent.name}/{frames.name}", "error": 1e-9}
    ]
    # Whoever loads it has its golden frame checked; on the frames it answers as the whole one.
    runner = Runner.load(written, engine="torch", threads=1)
    image = read_image(frames / "0.png")
    assert np.abs(predict(bundle.segmentor(), SPEC, image)[1] - runner([image])[0].score).max() <= 1e-3 * deviation


def test_the_bound_holds_and_more_goes_where_more_may(bundle: Bundle, exact: Narrowed, frames: Path) -> None:
    found = narrow(bundle, [str(frames)], error=0.3)
    assert all(0 <= one.error <= 0.3 for one in found.blocks)
    assert all(one.after <= less.after for one, less in zip(found.blocks, exact.blocks, strict=True))
    assert sum(one.after for one in found.blocks) < sum(one.after for one in exact.blocks)
    assert found.change.largest > exact.change.largest


def test_nothing_is_changed_where_every_channel_is_needed(
    bundle: Bundle, exact: Narrowed, frames: Path, tmp_path: Path
) -> None:
    narrowed = write_narrowed(bundle, exact, [str(frames)], 1e-9, tmp_path / "once")
    again = narrow(narrowed, [str(frames)], error=1e-9)
    assert all(one.after == one.before for one in again.blocks)
    assert again.network == narrowed.card.network
    assert again.change.largest == 0
    twice = write_narrowed(narrowed, again, [str(frames)], 1e-9, tmp_path / "twice")
    assert twice.weights_hash == narrowed.weights_hash
    assert len(twice.card.training["narrowed"]) == 2


def test_what_others_say_goes_and_what_fits_by_chance_stays() -> None:
    rng = torch.Generator().manual_seed(0)
    halves, seen = [], []
    for _ in range(2):
        free = torch.randn(4000, 6, generator=rng, dtype=torch.float64) + 3
        values = torch.cat([free, 0.02 * free[:, :2], 0.02 * free.sum(1, keepdim=True)], dim=1)
        halves.append(spread(values))
        seen.append(values)
    weight = torch.randn(5, 9, generator=rng, dtype=torch.float64)
    kept, error = chosen(weight, *halves, error=1e-2)
    assert kept == [0, 1, 2, 3, 4, 5]
    assert error <= 1e-2
    new, constant = refitted(weight, halves[0].with_(halves[1]), kept)
    for values in seen:
        wrong, right = values[:, kept] @ new.T + constant, values @ weight.T
        assert (wrong - right).square().sum() <= 1e-4 * (right - right.mean(0)).square().sum()
    # Twenty vectors fit by chance: what fits them is not taken for what holds.
    few = [spread(torch.randn(20, 40, generator=rng, dtype=torch.float64)) for _ in range(2)]
    assert len(chosen(torch.randn(5, 40, generator=rng, dtype=torch.float64), *few, error=0.05)[0]) > 35


def spread(values: torch.Tensor) -> Spread:
    found = Moments(values.shape[1])
    found.add(values)
    return found.spread()


def test_two_spreads_together_are_that_of_all() -> None:
    one, other = torch.randn(7, 3).double() + 2, torch.randn(11, 3).double()
    both, all_ = spread(one).with_(spread(other)), spread(torch.cat([one, other]))
    assert both.count == all_.count
    assert torch.allclose(both.mean, all_.mean)
    assert torch.allclose(both.covariance, all_.covariance)


def test_a_block_that_says_nothing_keeps_one_channel() -> None:
    halves = [spread(torch.full((10, 4), 2.0))] * 2
    kept, error = chosen(torch.ones(3, 4, dtype=torch.float64), *halves, error=0.01)
    assert (len(kept), error) == (1, 0.0)
    new, constant = refitted(torch.ones(3, 4, dtype=torch.float64), halves[0], kept)
    assert torch.allclose(new @ torch.full((1,), 2.0, dtype=torch.float64) + constant, torch.tensor(8.0).double())


def test_a_frame_that_cannot_be_decoded_is_left_out_and_said(
    bundle: Bundle, frames: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index in range(3):
        shutil.copy(frames / f"{index}.png", tmp_path)
    (tmp_path / "1.png").write_bytes(b"no picture")
    assert narrow(bundle, [str(tmp_path)]).frames == 2
    assert "1 skipped" in caplog.text
    assert "1.png" in caplog.text


def test_what_cannot_be_narrowed_is_refused(bundle: Bundle, frames: Path, tmp_path: Path) -> None:
    other = {"name": "resnet", "depth": 50}
    foreign = replace(bundle, card=bundle.card.model_copy(update={"network": NETWORK | {"backbone": other}}))
    with pytest.raises(ConfigError, match=r"only a backbone efficientnet_lite can be narrowed, that of .* is resnet"):
        narrow(foreign, [str(frames)])
    for error in (0, 1, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            narrow(bundle, [str(frames)], error)
    with pytest.raises(ConfigError, match=r"1 frames: .* give two at least"):
        narrow(bundle, [str(frames / "0.png")])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="no frame that can be read"):
        narrow(bundle, [str(tmp_path)])
