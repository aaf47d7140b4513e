"""Network size: aspect kept, budget kept, never enlarged, always a multiple."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.inference.sizes import at_image_size, network_size
from oodseg_ros.model_card import InputSpec

SPEC = InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 19, multiple=32)


def test_common_cameras() -> None:
    assert network_size(1024, 2048, SPEC) == (512, 1024)
    assert network_size(1080, 1920, SPEC) == (544, 960)
    assert network_size(360, 480, SPEC) == (352, 480)


@given(st.integers(32, 8192), st.integers(32, 8192))
def test_any_image(height: int, width: int) -> None:
    h, w = network_size(height, width, SPEC)
    assert h % 32 == w % 32 == 0
    assert h >= 32
    assert w >= 32
    assert h <= height + 16
    assert w <= width + 16
    assert h * w <= (1 << 19) * 1.15 + 32 * max(h, w)


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (360, 480), (512, 1024)])
def test_pictures_and_answers_are_resized_as_torch_does_up_to_rounding(height: int, width: int) -> None:
    """The network answers half as large as its input; every map comes back at the image's size."""
    network = network_size(height, width, SPEC)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, height // 8, width // 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    seen = []

    def run(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert small.shape == (2, *network, 3)
        seen.append(small)
        gray = small[:, ::2, ::2].astype(np.float32).mean(axis=3)
        return (gray // 32).astype(np.uint8), gray

    labels, score = at_image_size(run, height, width, SPEC)(images)
    assert labels.shape == score.shape == (2, height, width)
    assert (labels.dtype, score.dtype) == (np.uint8, np.float32)

    def resized(maps: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
        more = {} if mode == "nearest" else {"align_corners": False}
        return F.interpolate(torch.from_numpy(maps).float(), size=size, mode=mode, **more).numpy()

    wanted = resized(images.transpose(0, 3, 1, 2), network, "bilinear").transpose(0, 2, 3, 1)
    assert np.abs(seen[0] - wanted).max() <= 1.0
    small_labels, small_score = run(seen[0])
    np.testing.assert_allclose(score, resized(small_score[:, None], (height, width), "bilinear")[:, 0], atol=1e-2)
    assert (labels == resized(small_labels[:, None], (height, width), "nearest")[:, 0]).mean() > 0.99


def test_an_image_of_the_network_s_size_is_not_copied() -> None:
    images = np.zeros((1, 512, 1024, 3), np.uint8)
    answer = np.zeros((1, 512, 1024), np.uint8), np.zeros((1, 512, 1024), np.float32)

    def run(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert pictures is images
        return answer

    labels, score = at_image_size(run, 512, 1024, SPEC)(images)
    assert labels is answer[0]
    assert score is answer[1]
