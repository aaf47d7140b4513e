from __future__ import annotations

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from oodseg_ros.inference.graph import DeployGraph
from oodseg_ros.inference.windows import Windowed, plan_by_count, plan_by_stride, spread, starts
from oodseg_ros.model_card import InputSpec, Windows
from oodseg_ros.networks.segmentor import Segmentor


class Sides(nn.Module):
    """A network whose logits are the input itself: window averages must give the input back."""

    channels, strides, multiple = (3,), (1,), 1

    def forward(self, images):
        return [images]


class First(nn.Module):
    channels = 3

    def forward(self, features):
        return features[0]


class Same(nn.Module):
    classes = 3

    def forward(self, decoded):
        return decoded


class Position(nn.Module):
    """Evidence that depends on the place inside the window, so that averaging shows."""

    SCORES = ("position",)

    def evidence(self, given):
        height, width = given.size
        ramp = torch.arange(width, dtype=torch.float32).expand(height, width)
        return ramp.expand(given.images.shape[0], 1, height, width).clone()

    def score(self, logits, evidence, stride=1):
        return evidence[:, 0]


def identity(head: nn.Module | None = None) -> Segmentor:
    return Segmentor(Sides(), First(), Same(), head, "position" if head else "max_logit").eval()


def test_uems_protocol_has_the_published_number_of_windows():
    sizes = {(1024, 2048): 45, (720, 1280): 9, (1080, 1920): 48}
    for size, count in sizes.items():
        assert len(plan_by_stride(size, (518, 1036), (140, 140))) == count


@pytest.mark.parametrize("size", [(658, 1176), (1218, 2016), (518, 1036)])
def test_the_reference_holes_are_covered(size):
    plan = plan_by_stride(size, (518, 1036), (140, 140))
    assert plan.rows[-1] + 518 == size[0]
    assert plan.cols[-1] + 1036 == size[1]


@given(st.integers(1, 400), st.integers(1, 120), st.integers(1, 120))
@example(length=4, window=3, stride=3)  # fewer places than windows
def test_no_pixel_is_left_out_at_any_size(length, window, stride):
    stride = min(stride, window)
    for first in (starts(length, window, stride), spread(length, window, stride % 7)):
        seen = torch.zeros(max(length, window))
        for start in first:
            assert 0 <= start <= max(0, length - window)
            seen[start : start + window] += 1
        assert seen.min() >= 1
        assert len(set(first)) == len(first)


def test_evenly_spread_plans():
    assert len(plan_by_count((1024, 2048), (518, 1036), (2, 4))) == 8
    assert len(plan_by_count((1024, 2048), (518, 1036), (1, 1))) == 4  # fewer would leave holes
    assert len(plan_by_count((1022, 2044), (1022, 1036), (1, 2))) == 2


@pytest.mark.parametrize("size", [(20, 30), (7, 30), (20, 9), (6, 5), (10, 12), (33, 47)])
@pytest.mark.parametrize("batch", [0, 1, 4])
def test_averaging_gives_back_what_every_window_agrees_on(size, batch):
    images = torch.randn(2, 3, *size)
    output = Windowed(identity(), (10, 12), (4, 5), batch)(images)
    torch.testing.assert_close(output.logits, images)
    torch.testing.assert_close(output.score, -images.amax(dim=1))


def test_evidence_is_the_mean_over_the_windows_that_see_a_pixel():
    windowed = Windowed(identity(Position()), (4, 6), (4, 3))
    score = windowed(torch.zeros(1, 3, 4, 9)).score
    assert score[0, 0].tolist() == [0.0, 1.0, 2.0, 1.5, 2.5, 3.5, 3.0, 4.0, 5.0]


def test_a_window_as_large_as_the_input_changes_nothing(small_network):
    network, images = small_network
    with torch.inference_mode():
        direct = network(images)
        windowed = Windowed(network, images.shape[-2:], images.shape[-2:])(images)
    torch.testing.assert_close(windowed.score, direct.score)


def test_a_bundle_with_windows_is_compiled_with_them(small_network):
    network, _ = small_network
    windows = Windows(height=56, width=70, stride_y=28, stride_x=35)
    common = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "pixels": 1 << 20, "multiple": 14}
    graph = DeployGraph(network, InputSpec(**common, windows=windows), 84, 140).eval()
    images = torch.randint(0, 256, (2, 84, 140, 3), dtype=torch.uint8)
    with torch.no_grad():
        labels, score = graph(images)
        normal = (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
        expected = Windowed(network, (56, 70), (28, 35))(normal)
        exported = torch.export.export(graph, (images,), strict=False).module()(images)
    torch.testing.assert_close(score, expected.score, atol=1e-4, rtol=1e-4)
    assert (labels == expected.logits.argmax(dim=1)).float().mean() > 0.999
    torch.testing.assert_close(exported[1], score, atol=1e-4, rtol=1e-4)


def test_a_stride_that_leaves_holes_is_refused():
    with pytest.raises(ValueError, match="leave pixels out"):
        Windows(height=10, width=10, stride_y=11, stride_x=5)


@pytest.fixture
def small_network():
    from oodseg_ros.networks.build import build_segmentor

    torch.manual_seed(0)
    spec = {
        "backbone": {"name": "dinov2", "variant": "s", "width": 24, "depth": 4, "heads": 2, "taps": [0, 1, 2, 3]},
        "decoder": {"name": "dino_fpn", "channels": 8, "hidden": 8},
        "classifier": {"name": "linear", "classes": 4},
        "head": {"name": "uem", "levels": [3], "hidden": 16, "width": 8},
        "score": "likelihood_ratio",
    }
    return build_segmentor(spec).eval(), torch.randn(1, 3, 56, 84)
