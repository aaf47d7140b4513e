"""The strip around the horizon that is looked at in every picture of a fine camera."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
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
from oodseg_ros.inference.strip import ABOVE, camera_of, is_fine, strip_of, strip_size, strip_top
from oodseg_ros.model_card import InputSpec, Resize, Windows
from oodseg_ros.networks.input_size import network_size
from oodseg_ros.object_rule import Objects, SmallLook, Strip
from oodseg_ros.object_rule import SecondLook as Rule

ROAD, WALL = 3, 1
SPEC = InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 19, multiple=32)
SMALL_SPEC = SPEC.model_copy(update={"pixels": 64 * 128})
STRIP = Strip(zoom=2.0, height=0.25)
RULE = Rule(zoom=2.0, grow=1.0, above=2.0, below=3.0)
WITH = RULE.model_copy(update={"strip": STRIP})
OBJECTS = Objects(grow=1.0, seed=0.5, beside=9.0, ground=[ROAD])
FINE, COARSE = (128, 256), (72, 144)
"""Sizes of images for `SMALL_SPEC`, whose networks take 64 x 128 pixels."""
GROUND = np.zeros(256, bool)
GROUND[ROAD] = True


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ((1080, 1920), (256, 1920, 254)),
        ((1024, 2048), (256, 2048, 256)),
        ((900, 1600), (256, 1920, 212)),
        ((2160, 3840), (256, 1920, 508)),
        ((720, 1280), None),
        ((540, 960), None),
    ],
)
def test_fine_cameras_have_a_strip_of_these_sizes(image: tuple[int, int], wanted: tuple[int, int, int] | None) -> None:
    assert SecondLook(RULE, OBJECTS, SPEC).strip_size(*image) is None
    look = SecondLook(WITH, OBJECTS, SPEC)
    assert look.strip_size(*image) == wanted
    look.every_camera = True
    assert look.strip_size(*image) is not None


@given(
    st.integers(32, 4000),
    st.integers(32, 4000),
    st.sampled_from([1 << 13, 1 << 17, 1 << 19, 1 << 20]),
    st.sampled_from([1, 14, 16, 32]),
    st.floats(1.01, 4),
    st.floats(0.01, 0.99),
)
def test_a_strip_never_costs_more_than_the_first_look(
    height: int, width: int, pixels: int, multiple: int, zoom: float, share: float
) -> None:
    spec = SPEC.model_copy(update={"pixels": pixels, "multiple": multiple})
    strip = Strip(zoom=zoom, height=min(share, 1 / zoom**2 - 1e-9))
    size = strip_size(height, width, strip, spec)
    first = network_size(height, width, spec)
    if size is None:  # not even one row of multiples
        assert first[0] < 2 * zoom * multiple or multiple * zoom * first[1] > 0.9 * pixels
        return
    assert size.rows % multiple == size.columns % multiple == 0
    assert size.rows * size.columns <= first[0] * first[1]
    assert network_size(size.rows, size.columns, spec) == size[:2], "the network scales it"
    assert 1 <= size.tall <= height


def test_an_input_with_a_size_of_its_own_has_none() -> None:
    windows = Windows(height=512, width=512, stride_y=256, stride_x=256)
    for more in ({"resize": Resize(height=256, width=256)}, {"windows": windows}):
        assert strip_size(1080, 1920, STRIP, SPEC.model_copy(update=more)) is None


@pytest.mark.parametrize(
    "image",
    [(1080, 1920), (1024, 2048), (900, 1600), (2160, 3840), (1200, 1920), (1536, 2048), (1464, 1936), (800, 2560)],
)
def test_a_strip_s_size_tells_a_camera_that_has_it(image: tuple[int, int]) -> None:
    card = load_bundle("road_lite").card
    strip = strip_of(*image, card)
    assert strip is not None
    camera = camera_of(*strip[:2], card)
    assert camera is not None
    assert strip_of(*camera, card)[:2] == strip[:2]
    assert camera[1] / camera[0] == pytest.approx(image[1] / image[0], rel=0.07)


@pytest.mark.parametrize(
    "image", [(1080, 1920), (720, 1280), (480, 640), (375, 1242), (384, 1280), (512, 1024), (256, 512), (256, 1900)]
)
def test_the_size_of_a_picture_is_not_taken_for_a_strip_s(image: tuple[int, int]) -> None:
    card = load_bundle("road_lite").card
    assert camera_of(*image, card) is None
    assert camera_of(256, 1920, card) == (1080, 1920)
    bare = card.model_copy(update={"calibration": card.calibration.model_copy(update={"second_look": None})})
    assert camera_of(256, 1920, bare) is None


def road_from(row: int, of: int = 100, columns: int = 100) -> np.ndarray:
    """Cells of a wall, and of a road that begins at a row."""
    classes = np.full((of, 100), WALL, np.uint8)
    classes[row:, :columns] = ROAD
    return classes


@pytest.mark.parametrize(
    ("classes", "wanted", "why"),
    [
        (road_from(50), 200 - 35, "35 % above the ground"),
        (road_from(60, columns=5), 240 - 35, "five columns of a hundred are enough"),
        (road_from(60, columns=4), 150, "fewer are wrong labels here and there: no ground is seen"),
        (road_from(3), 0, "not above the picture"),
        (road_from(95), 300, "not below it"),
        (road_from(100), 150, "no ground is seen"),
    ],
)
def test_it_begins_above_the_ground(classes: np.ndarray, wanted: int, why: str) -> None:
    assert strip_top(classes, GROUND, 4, 400, 100) == wanted, why


def test_where_no_class_is_ground_it_is_in_the_middle() -> None:
    assert strip_top(road_from(50), np.zeros(256, bool), 4, 400, 100) == 150


class Eye:
    """Stands for a network: the score is the red of the image over 50, and 7 where it sees a strip."""

    def __init__(self) -> None:
        self.saw: list[np.ndarray] = []

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        score = images[..., 0].astype(np.float32) / 50
        if self.saw and images.shape[1] == 32:
            score[:] = 7
        self.saw.append(images)
        return np.full(images.shape[:3], ROAD, np.uint8), score


def picture(size: tuple[int, int], seed: int = 0, doubt: bool = False) -> np.ndarray:
    """Noise, and something in doubt near the lower left corner where asked."""
    image = np.random.default_rng(seed).integers(0, 40, (*size, 3), dtype=np.uint8)
    if doubt:
        image[-20:-8, 10:34, 0] = 125
    return image


def labels_of(size: tuple[int, int], row: int) -> np.ndarray:
    labels = np.full(size, WALL, np.uint8)
    labels[row:] = ROAD
    return labels


def looked(
    images: np.ndarray, rule: Rule, row: int = 60, every_camera: bool = False
) -> tuple[Eye, SecondLook, np.ndarray]:
    eye, look = Eye(), SecondLook(rule, OBJECTS, SMALL_SPEC)
    look.every_camera = every_camera
    _, score = eye(images)
    look(eye, images, np.stack([labels_of(images.shape[1:3], row)] * len(images)), score)
    return eye, look, score


def test_it_is_seen_at_the_camera_s_own_resolution_and_the_greater_score_decides() -> None:
    image = picture(FINE)
    eye, look, score = looked(image[None], WITH)
    assert (len(eye.saw), look.taken) == (2, 1)
    top = int(56 - ABOVE * 32)  # cells are 8 pixels high, and 60 is the middle of that from 56 on
    np.testing.assert_array_equal(eye.saw[1][0], image[top : top + 32])
    first = image[..., 0] / np.float32(50)
    # Its edge, 2 rows of 32, comes in bit by bit; the sides are the picture's own.
    np.testing.assert_array_equal(score[0, top + 2 : top + 30], np.maximum(first[top + 2 : top + 30], 7))
    for row, share in ((top, 0.25), (top + 31, 0.25), (top + 1, 0.75)):
        np.testing.assert_allclose(score[0, row], first[row] + share * (7 - first[row]), rtol=1e-6)
    outside = np.r_[0:top, top + 32 : 128]
    np.testing.assert_array_equal(score[0, outside], first[outside])
    assert looked(image[None], RULE)[1].taken == 0


def test_what_is_larger_and_in_doubt_goes_first_and_what_is_small_does_not() -> None:
    image = picture(FINE, doubt=True)
    eye, look, score = looked(image[None], WITH)
    other, _, wanted = looked(image[None], RULE)
    assert (len(eye.saw), look.taken) == (2, 1)
    np.testing.assert_array_equal(score, wanted)
    np.testing.assert_array_equal(eye.saw[1], other.saw[1])
    small = SmallLook(height=0.3, zoom=3.0, above=2.0)
    eye, look, score = looked(image[None], WITH.model_copy(update={"small": small}))
    assert (len(eye.saw), look.taken) == (2, 1)
    assert eye.saw[1].shape == (1, 32, 256, 3)


def test_where_both_kinds_are_in_doubt_it_goes_before_both() -> None:
    one, both = picture(FINE, doubt=True), picture(FINE, doubt=True)
    both[-40:-30, 200:216, 0] = 125
    # Of 16 cells that the picture is high, the first thing has two and the other one.
    rule = RULE.model_copy(update={"small": SmallLook(height=0.1, zoom=3.0, above=2.0)})
    look = SecondLook(rule, OBJECTS, SMALL_SPEC)
    for image, small, rows in ((one, False, 128), (both, True, 32)):
        labels, score = Eye()(image[None])
        assert look.window(score[0], labels[0]).small == small
        eye, _, _ = looked(image[None], rule.model_copy(update={"strip": STRIP}))
        assert [images.shape[1] for images in eye.saw] == [128, rows]


def test_at_the_picture_s_end_it_has_no_edge() -> None:
    score = looked(picture(FINE)[None], WITH, row=8)[2]
    first = picture(FINE)[..., 0] / np.float32(50)
    np.testing.assert_array_equal(score[0, :30], np.maximum(first[:30], 7))


def test_smaller_cameras_are_looked_at_as_without_it() -> None:
    image = picture(COARSE, doubt=True)
    assert not is_fine(*COARSE, STRIP, SMALL_SPEC)
    eye, look, score = looked(image[None], WITH)
    other, _, wanted = looked(image[None], RULE)
    assert look.taken == 1
    np.testing.assert_array_equal(score, wanted)
    np.testing.assert_array_equal(eye.saw[1], other.saw[1])


def test_a_calibration_sees_it_in_frames_of_smaller_cameras_too() -> None:
    image = picture(COARSE)
    eye, look, score = looked(image[None], WITH, every_camera=True)
    rows, columns, tall = look.strip_size(*COARSE)
    assert (rows, columns, tall) == (32, 256, 18)
    assert eye.saw[1].shape == (1, rows, columns, 3)
    assert (score[0] != image[..., 0] / np.float32(50)).any(axis=1).sum() == tall
    fine = picture(FINE)
    np.testing.assert_array_equal(looked(fine[None], WITH, every_camera=True)[2], looked(fine[None], WITH)[2])


def test_a_batch_is_one_run_more_and_each_as_if_it_were_alone() -> None:
    images, rows = np.stack([picture(FINE, 1), picture(FINE, 2)]), (50, 90)
    eye, look = Eye(), SecondLook(WITH, OBJECTS, SMALL_SPEC)
    _, score = eye(images)
    look(eye, images, np.stack([labels_of(FINE, row) for row in rows]), score)
    assert (len(eye.saw), look.taken) == (2, 2)
    assert eye.saw[1].shape == (2, 32, 256, 3)
    for index, row in enumerate(rows):
        np.testing.assert_array_equal(score[index], looked(images[index][None], WITH, row)[2][0])


def test_in_a_batch_one_may_have_a_window_and_another_a_strip() -> None:
    images = np.stack([picture(FINE, 1), picture(FINE, 2, doubt=True)])
    eye, look, score = looked(images, WITH)
    assert (len(eye.saw), look.taken) == (3, 2)
    for index in range(2):
        np.testing.assert_array_equal(score[index], looked(images[index][None], WITH)[2][0])


def test_of_several_scores_only_the_bundle_s_own_changes() -> None:
    image, eye, look = picture(FINE)[None], Eye(), SecondLook(WITH, OBJECTS, SMALL_SPEC)

    def both(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels, score = eye(images)
        return labels, np.concatenate([score, 10 * score])

    _, score = both(image)
    look(both, image, labels_of(FINE, 60)[None], score)
    np.testing.assert_array_equal(score[0], looked(image, WITH)[2][0])
    np.testing.assert_array_equal(score[1], 10 * (image[0, ..., 0] / np.float32(50)))


def test_scores_that_are_no_numbers_stay_what_they_are() -> None:
    look, images = SecondLook(WITH, OBJECTS, SMALL_SPEC), np.zeros((1, *FINE, 3), np.uint8)
    score = np.zeros((1, *FINE), np.float32)
    score[0, 64, 10:13] = np.nan, np.inf, -np.inf
    wanted = score.copy()
    look(lambda given: (None, np.zeros(given.shape[:3], np.float32)), images, labels_of(FINE, 60)[None], score)
    np.testing.assert_array_equal(score, wanted)
    look(lambda given: (None, np.full(given.shape[:3], np.nan, np.float32)), images, labels_of(FINE, 60)[None], score)
    assert np.isnan(score[0, 64]).all()
    score[:] = 0
    look(lambda given: (None, np.full(given.shape[:3], -np.inf, np.float32)), images, labels_of(FINE, 60)[None], score)
    assert np.isneginf(score[0, 64]).all(), "not hidden by the first look"
    assert (score[0, 100:] == 0).all()


def with_strip(bundle: Bundle, score: np.ndarray) -> Bundle:
    low, high = float(score.min()), float(score.max())
    more = {
        "objects": Objects(grow=low - 9, seed=0.5, beside=high + 9, ground=[]),
        "second_look": Rule(zoom=1.5, grow=low - 9, above=high + 8, below=high + 9, strip=STRIP),
    }
    card = bundle.card.model_copy(update={"calibration": bundle.card.calibration.model_copy(update=more)})
    return dataclasses.replace(bundle, card=card)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_every_engine_answers_it_as_a_picture_of_its_size(tiny_bundle: Path, engine: str) -> None:
    image = np.random.default_rng(3).integers(0, 256, (*FINE, 3), dtype=np.uint8)
    once = Runner.load(tiny_bundle, engine=engine, threads=1)
    first = once([image])[0]
    twice = Runner.load(with_strip(load_bundle(tiny_bundle), first.score), engine=engine, threads=1)
    answer, pair = twice([image])[0], twice([image, image[::-1]])
    second = once([image[48:80]])[0].score  # no class is ground: the middle
    np.testing.assert_allclose(answer.score[50:78], np.maximum(first.score[50:78], second[2:30]), atol=1e-3)
    assert (answer.score > first.score).any()
    np.testing.assert_array_equal(answer.score[:48], first.score[:48])
    np.testing.assert_array_equal(answer.labels, first.labels)
    np.testing.assert_allclose(pair[0].score, answer.score, atol=1e-3)
    assert twice.second_look.taken == 3


def test_what_is_warm_has_its_strip_compiled_too(tiny_bundle: Path) -> None:
    told: list[str] = []

    @contextmanager
    def preparing(text: str) -> Iterator[None]:
        told.append(text.partition(" for ")[2])
        yield

    bundle = load_bundle(tiny_bundle)
    runner = Runner.load(with_strip(bundle, bundle.golden()["score"]), engine="torch", threads=1, max_shapes=2)
    runner.preparing = preparing
    assert not runner.is_warm(*FINE)
    runner.warm(*FINE)
    assert told == ["256x128", "256x32"]
    assert runner.is_warm(*FINE)
    runner([picture(FINE)])
    assert len(told) == 2, "nothing is left for the first frame"
    runner.warm(*COARSE)
    runner.warm(*FINE, batch=2)
    assert told[2:] == ["144x72", "256x128 x 2", "256x32 x 2"]
    # Two shapes of images are kept, and their strips.
    runner([picture(FINE)] * 2)
    assert len(told) == 5
    assert runner.is_warm(*COARSE)
    assert not runner.is_warm(*FINE), "what ran first went"


def runner_ground(runner: Runner) -> np.ndarray:
    ground = np.zeros(256, bool)
    ground[runner.bundle.card.calibration.objects.ground] = True
    return ground


def test_the_shipped_bundle_takes_one() -> None:
    runner = Runner.load("road_lite", engine="openvino", threads=1)
    assert runner.second_look.rule.strip == Strip()
    image = np.zeros((900, 1600, 3), np.uint8)
    image[:] = np.linspace(80, 200, 900, dtype=np.uint8)[:, None, None]
    image[450:] = 90
    cv2.rectangle(image, (900, 520), (930, 545), (230, 40, 40), -1)
    answer = runner([image])[0]
    assert runner.second_look.taken == 1
    runner.second_look = None
    before = runner([image])[0]
    assert np.isfinite(answer.score).all()
    np.testing.assert_array_equal(answer.labels, before.labels)
    assert (answer.score >= before.score).all()
    changed = np.flatnonzero((answer.score != before.score).any(axis=1))
    assert 100 < changed.size <= changed[-1] + 1 - changed[0] <= 212
    step = cell_size(900, 1600, runner.bundle.card.input)
    top = strip_top(in_cells(before.score, before.labels, step)[1], runner_ground(runner), step, 900, 212)
    assert top <= changed[0] <= changed[-1] < top + 212
