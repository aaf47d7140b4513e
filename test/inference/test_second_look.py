"""A second look: only at what is in doubt, larger; the mean of both decides, of what is small the greater."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.inference.candidates import cell_size, in_cells
from oodseg_ros.inference.runner import Runner
from oodseg_ros.inference.second_look import SecondLook
from oodseg_ros.model_card import Calibration, InputSpec, Resize
from oodseg_ros.object_rule import Objects, SmallLook
from oodseg_ros.object_rule import SecondLook as Rule

ROAD, WALL = 3, 1
SPEC = InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 19, multiple=32)
RULE = Rule(zoom=2.0, grow=1.0, above=2.0, below=3.0)
OBJECTS = Objects(grow=1.0, seed=0.5, beside=9.0, ground=[ROAD])
SIZE = (256, 512)


class Eye:
    """Stands for a network: the score is the red of the image over 50, one more when it sees the image larger."""

    def __init__(self, more: float = 1.0) -> None:
        self.more, self.saw = more, []
        self.labels = np.full(SIZE, ROAD, np.uint8)

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score = images[..., 0].astype(np.float32) / 50 + (self.more if self.saw else 0)
        self.saw.append(images)
        return np.full(images.shape[:3], ROAD, np.uint8), score


def picture(strength: float, box: tuple[int, int, int, int] = (200, 150, 240, 180)) -> np.ndarray:
    x0, y0, x1, y1 = box
    image = np.zeros((*SIZE, 3), np.uint8)
    image[y0:y1, x0:x1, 0] = round(50 * strength)
    image[..., 1] = np.arange(SIZE[1]) % 256  # where a pixel was
    return image


def looked(
    images: np.ndarray, labels: np.ndarray | None = None, rule: Rule = RULE, more: float = 1.0
) -> tuple[Eye, SecondLook, np.ndarray]:
    eye, look = Eye(more), SecondLook(rule, OBJECTS, SPEC)
    found, score = eye(images)
    look(eye, images, found if labels is None else labels, score)
    return eye, look, score


def test_what_is_in_doubt_is_seen_larger_and_both_scores_are_averaged() -> None:
    image = picture(2.5)
    eye, look, score = looked(image[None])
    assert (len(eye.saw), look.taken) == (2, 1)
    # Half of the sides, the object in its middle, as large as the image.
    x0, y0, x1, y1 = look.window(image[..., 0] / np.float32(50), np.full(SIZE, ROAD, np.uint8)).box
    assert (x1 - x0, y1 - y0) == (256, 128)
    assert abs((x0 + x1) / 2 - 220) <= 4
    assert y1 == 229 or abs((y0 + y1) / 2 - 165) <= 4
    np.testing.assert_array_equal(eye.saw[1][0], cv2.resize(image[y0:y1, x0:x1], SIZE[::-1]))
    assert score[0, 165, 220] == pytest.approx(2.5 + 0.5)
    outside = np.ones(SIZE, bool)
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(score[0][outside], (image[..., 0] / np.float32(50))[outside])
    # No step at the window's edge: the second look comes in bit by bit.
    assert 0 < score[0, (y0 + y1) // 2, x0] < 0.1


@pytest.mark.parametrize(
    ("strength", "ground", "why"), [(1.9, ROAD, "too weak"), (3.1, ROAD, "no doubt"), (2.5, WALL, "not on the ground")]
)
def test_all_else_is_seen_once(strength: float, ground: int, why: str) -> None:
    image = picture(strength)
    eye, look, score = looked(image[None], np.full((1, *SIZE), ground, np.uint8))
    assert (len(eye.saw), look.taken) == (1, 0), why
    np.testing.assert_array_equal(score[0], image[..., 0] / np.float32(50))


def test_of_a_batch_only_what_is_in_doubt_changes_and_as_if_it_were_alone() -> None:
    images = np.stack([picture(2.5), picture(1.5), picture(2.2, (20, 200, 60, 250))])
    eye, look, score = looked(images)
    assert (len(eye.saw), look.taken) == (2, 2)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(score[index], looked(image[None])[2][0])


SMALL = RULE.model_copy(update={"small": SmallLook(height=0.05, zoom=3.2, above=1.5)})
TINY, LARGE = (60, 200, 72, 208), (200, 150, 240, 180)


def test_small_candidates_are_looked_at_closer_and_the_greater_score_decides() -> None:
    eye, look, score = looked(picture(1.7, TINY)[None], rule=SMALL)  # too weak for anything larger
    assert look.taken == 1
    x0, y0, x1, y1 = look.window(score[0] * 0 + picture(1.7, TINY)[..., 0] / np.float32(50), eye.labels).box
    assert (x1 - x0, y1 - y0) == (160, 80)
    assert abs((x0 + x1) / 2 - 80) <= 14, "at the picture's edge"
    assert score[0, 204, 66] == pytest.approx(2.7)
    less = picture(1.7, TINY)
    np.testing.assert_array_equal(looked(less[None], rule=SMALL, more=-1)[2][0], less[..., 0] / np.float32(50))


@pytest.mark.parametrize("more", [1.0, -1.0])
def test_the_greater_score_is_published_where_the_mean_decides(more: float) -> None:
    images = np.stack([picture(2.5), picture(1.5)])
    eye, look = Eye(more), SecondLook(RULE, OBJECTS, SPEC)
    labels, score = eye(images)
    greater, none = look(eye, images, labels, score)
    assert none is None, "there was one look"
    assert score[0, 165, 220] == pytest.approx(2.5 + more / 2)
    assert greater[165, 220] == pytest.approx(2.5 + max(more, 0))
    first = images[0, ..., 0] / np.float32(50)
    assert (greater >= np.maximum(first, score[0])).all()
    x0, y0, x1, y1 = look.window(first, labels[0]).box
    outside = np.ones(SIZE, bool)
    outside[y0:y1, x0:x1] = False
    np.testing.assert_array_equal(greater[outside], first[outside])
    # Of what is small it decides, too.
    tiny = picture(1.7, TINY)[None]
    eye, look = Eye(more), SecondLook(SMALL, OBJECTS, SPEC)
    assert look(eye, tiny, *eye(tiny)) == [None]
    assert look.taken == 1


def test_a_rule_of_an_earlier_way_to_join_both_scores_is_refused() -> None:
    look = RULE.model_dump()
    card = {"threshold": 2.0, "objects": OBJECTS.model_dump(), "table": [(0, 0), (1, 1)], "source": "none"}
    assert Calibration.model_validate(card | {"second_look": look}).second_look == RULE
    with pytest.raises(ValueError, match="Input should be 2"):
        Calibration.model_validate(card | {"second_look": look | {"version": 1}})
    del look["version"]
    of_before = look | {"small": {"height": 0.05, "zoom": 3.0, "above": 1.5, "counts": 9.0}, "strip": None}
    cure = "calibrate-objects --second-look 2.0 --small-look 3.0 --small-look-height 0.05 and your frames"
    with pytest.raises(ValueError, match=f"a mean of both looks decided.*{cure}"):
        Calibration.model_validate(card | {"second_look": of_before})


def test_one_look_more_at_most_and_small_candidates_first() -> None:
    both = np.maximum(picture(2.6, LARGE), picture(1.7, TINY))
    eye, look, score = looked(both[None], rule=SMALL)
    assert (len(eye.saw), look.taken) == (2, 1)
    assert score[0, 204, 66] == pytest.approx(2.7)
    assert score[0, 165, 220] == pytest.approx(2.6)
    # What is larger keeps its own band, and zoom.
    assert looked(picture(1.7, LARGE)[None], rule=SMALL)[1].taken == 0
    np.testing.assert_array_equal(
        looked(picture(2.6, LARGE)[None], rule=SMALL)[2], looked(picture(2.6, LARGE)[None])[2]
    )


def test_of_several_scores_only_the_bundle_s_own_is_looked_at_again() -> None:
    images, eye, look = picture(2.5)[None], Eye(), SecondLook(RULE, OBJECTS, SPEC)

    def both(given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, score = eye(given)
        return labels, np.concatenate([score, 10 * score])

    labels, score = both(images)
    look(both, images, labels, score)
    np.testing.assert_array_equal(score[1], images[0, ..., 0] / np.float32(5))
    np.testing.assert_array_equal(score[0], looked(images)[2][0])


@given(st.integers(0, 2**32 - 1), st.integers(32, 700), st.integers(32, 700), st.floats(1.01, 4), st.booleans())
def test_windows_lie_in_the_image_whatever_the_score(
    seed: int, height: int, width: int, zoom: float, has_small: bool
) -> None:
    rng = np.random.default_rng(seed)
    score = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), 8) * 30
    score[rng.random(score.shape) < 0.01] = rng.choice([np.nan, np.inf, -np.inf])
    labels = rng.integers(0, 5, (height, width)).astype(np.uint8)
    small = SmallLook(height=0.1, zoom=zoom, above=1.5) if has_small else None
    look = SecondLook(RULE.model_copy(update={"zoom": zoom, "small": small}), OBJECTS, SPEC)
    window = look.window(score, labels)
    if window is None:
        return
    x0, y0, x1, y1 = window.box
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height
    assert (x1 - x0, y1 - y0) == (round(width / zoom), round(height / zoom))
    odd = score.copy()
    odd[np.isfinite(odd)] = 0
    images = np.zeros((1, height, width, 3), np.uint8)
    look(lambda given: (labels[None], np.zeros((1, height, width), np.float32)), images, labels[None], score[None])
    score[np.isfinite(score)] = 0
    np.testing.assert_array_equal(score, odd)  # NaN, inf and -inf stay what they are


def with_second_look(bundle: Bundle, score: np.ndarray) -> Bundle:
    """The bundle with one that nearly everything is in doubt for."""
    low, high = float(score.min()), float(score.max())
    more = {
        "objects": Objects(grow=low - 9, seed=0.01, beside=high + 9, ground=[]),
        "second_look": Rule(zoom=1.5, grow=low - 9, above=low - 9, below=high + 9),
    }
    card = bundle.card.model_copy(update={"calibration": bundle.card.calibration.model_copy(update=more)})
    return dataclasses.replace(bundle, card=card)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_bundle_that_asks_for_it_gets_it_on_every_engine(tiny_bundle: Path, engine: str) -> None:
    """The answer is the mean of what the same network says of the whole and of the window."""
    image = np.random.default_rng(3).integers(0, 256, (90, 161, 3), dtype=np.uint8)
    once = Runner.load(tiny_bundle, engine=engine)
    first = once([image])[0]
    twice = Runner.load(with_second_look(load_bundle(tiny_bundle), first.score), engine=engine)
    assert twice.golden_error <= 1e-3  # the golden frame is that of one look
    answer = twice([image])[0]
    assert once.second_look is None
    assert twice.second_look.taken == 1
    np.testing.assert_array_equal(answer.labels, first.labels)
    x0, y0, x1, y1 = twice.second_look.window(first.score.copy(), first.labels).box
    closer = cv2.resize(image[y0:y1, x0:x1], (161, 90))
    second = cv2.resize(once([closer])[0].score, (x1 - x0, y1 - y0))
    rows, columns = slice(y0 + 12, y1 - 12), slice(x0 + 16, x1 - 16)
    wanted = (first.score[rows, columns] + second[12:-12, 16:-16]) / 2
    np.testing.assert_allclose(answer.score[rows, columns], wanted, atol=1e-3)
    wanted = np.maximum(first.score[rows, columns], second[12:-12, 16:-16])
    np.testing.assert_allclose(answer.published[rows, columns], wanted, atol=1e-3)
    np.testing.assert_array_equal(first.published, first.score)


@pytest.mark.parametrize("size", [(32, 8192), (64, 8192), (8192, 32), (32, 32)])
def test_a_picture_that_the_network_squeezes_has_cells(size: tuple[int, int]) -> None:
    """Where it was without any, OpenCV ended the process."""
    spec = SPEC.model_copy(update={"resize": Resize(height=256, width=256)})
    score = np.zeros(size, np.float32)
    look = SecondLook(RULE, OBJECTS, spec)
    cells, classes = in_cells(score, np.full(size, ROAD, np.uint8), cell_size(*size, spec))
    assert cells.size == classes.size > 0
    assert look.window(score, np.full(size, ROAD, np.uint8)) is None
