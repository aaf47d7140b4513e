"""Runner: the same answers from every engine, any sizes, and nothing but the golden answer is accepted."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

from oodseg_ros.bundle import load_bundle, save_bundle
from oodseg_ros.errors import EngineError, ImageError
from oodseg_ros.inference.graph import predict
from oodseg_ros.inference.runner import Runner
from oodseg_ros.model_card import InputSpec

SIZES = [(64, 128), (64, 128), (90, 161), (200, 100)]


def images() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]


@pytest.fixture(scope="module")
def torch_runner(tiny_bundle: Path) -> Runner:
    return Runner.load(tiny_bundle, engine="torch")


@pytest.fixture(scope="module")
def openvino_runner(tiny_bundle: Path) -> Runner:
    return Runner.load(tiny_bundle, engine="openvino")


def test_predictions_have_the_size_of_their_image(torch_runner: Runner) -> None:
    for image, prediction in zip(images(), torch_runner(images()), strict=True):
        assert prediction.labels.shape == prediction.score.shape == image.shape[:2]
        assert prediction.labels.dtype == np.uint8
        assert prediction.score.dtype == np.float32
        assert prediction.labels.max() < 11
        assert prediction.bundle_id.startswith("tiny@")


def test_batching_does_not_change_an_answer(torch_runner: Runner) -> None:
    together = torch_runner(images())
    for image, prediction in zip(images(), together, strict=True):
        alone = torch_runner([image])[0]
        np.testing.assert_allclose(prediction.score, alone.score, atol=1e-4)


def test_openvino_answers_as_torch_does(torch_runner: Runner, openvino_runner: Runner) -> None:
    assert openvino_runner.engine_identity.startswith("openvino-")
    for reference, prediction in zip(torch_runner(images()), openvino_runner(images()), strict=True):
        assert np.abs(reference.score - prediction.score).max() <= 1e-3
        assert (reference.labels == prediction.labels).mean() > 0.999


def test_a_later_frame_does_not_change_an_earlier_answer(openvino_runner: Runner) -> None:
    first, second = images()[:2]
    prediction = openvino_runner([first])[0]
    kept = prediction.score.copy()
    openvino_runner([second])
    np.testing.assert_array_equal(prediction.score, kept)


def test_openvino_is_the_default_on_a_cpu(tiny_bundle: Path) -> None:
    assert Runner.load(tiny_bundle).engine_identity.startswith("openvino")


def test_a_flipped_view_is_accepted(torch_runner: Runner) -> None:
    image = images()[0]
    np.testing.assert_array_equal(
        torch_runner([image[:, ::-1]])[0].score, torch_runner([np.ascontiguousarray(image[:, ::-1])])[0].score
    )


@pytest.mark.parametrize(
    "image", [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32), np.zeros((8, 64, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(torch_runner: Runner, image: np.ndarray) -> None:
    with pytest.raises(ImageError):
        torch_runner([image])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"engine": "abacus"}, "unknown engine 'abacus'"),
        ({"engine": "torch", "precision": "int3"}, "no precision 'int3'"),
        ({"engine": "openvino", "device": "npu9"}, "npu9"),
    ],
)
def test_what_cannot_be_had_is_said(tiny_bundle: Path, arguments: dict, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        Runner.load(tiny_bundle, **arguments)


def test_an_engine_that_misses_the_golden_frame_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = load_bundle(tiny_bundle)
    golden = bundle.golden()
    golden["score"] = golden["score"] + 0.01
    path = tmp_path / "other"
    save_bundle(path, bundle.card, bundle.weights(), golden)
    with pytest.raises(EngineError, match="does not reproduce the golden frame"):
        Runner.load(path, engine="openvino")


def test_a_bundle_that_moved_still_runs(tiny_bundle: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(tiny_bundle, tmp_path / "elsewhere"))
    assert yaml.safe_load((moved / "model.yaml").read_text())["name"] == "tiny"
    assert Runner.load(moved, engine="torch").golden_error <= 1e-4


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_labels_and_score_may_be_formed_at_half_size(tiny_bundle: Path, tmp_path: Path, engine: str) -> None:
    """Another bundle: its golden frame and its score are its own, near those of the whole one."""
    whole = load_bundle(tiny_bundle)
    spec = whole.card.input.model_copy(update={"output_stride": 2})
    golden = whole.golden()
    golden["labels"], golden["score"] = predict(whole.segmentor(), spec, golden["image"])
    half = save_bundle(tmp_path / "half", whole.card.model_copy(update={"input": spec}), whole.weights(), golden)
    runner = Runner.load(half, engine=engine)
    assert runner.golden_error <= 1e-3
    image = images()[2].repeat(4, axis=0).repeat(4, axis=1)
    answer, wanted = runner([image])[0], Runner.load(whole, engine="torch")([image])[0]
    assert answer.score.shape == wanted.score.shape == image.shape[:2]
    assert 0 < np.abs(answer.score - wanted.score).mean() < 0.3 * wanted.score.std()


def test_an_output_stride_that_leaves_pixels_out_is_refused() -> None:
    with pytest.raises(ValueError, match="output_stride above 1 must divide multiple"):
        InputSpec(mean=(0, 0, 0), std=(1, 1, 1), pixels=1 << 20, multiple=14, output_stride=4)


@pytest.mark.parametrize(("seconds", "pays"), [({1: 0.02, 4: 0.03}, True), ({1: 0.02, 4: 0.3}, False)])
def test_a_batch_pays_if_its_first_runs_say_so(tiny_bundle: Path, seconds: dict[int, float], pays: bool) -> None:
    class Clocked:
        identity = "clocked"

        def check_golden(self) -> float:
            return 0.0

        def compile(self, batch: int, height: int, width: int):
            def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                time.sleep(seconds[batch])
                return images[..., 0], images[..., 1].astype(np.float32)

            return run

    image = np.zeros((32, 64, 3), np.uint8)
    asked = Runner(load_bundle(tiny_bundle), Clocked(), measure_batch=False)
    assert asked.batch_pays(32, 64, 4), "whoever names a batch gets it"
    runner = Runner(load_bundle(tiny_bundle), Clocked(), measure_batch=True)
    runner.warm(32, 64)
    assert not runner.batch_pays(32, 64, 4), "single images first"
    for _ in range(3):
        runner([image])
    assert runner.batch_pays(32, 64, 4), "now it is tried"
    for _ in range(3):
        runner([image] * 4)  # the first one compiles, and is not counted
    assert runner.batch_pays(32, 64, 4)
    runner([image] * 4)
    assert runner.batch_pays(32, 64, 4) == pays
    assert runner.batch_pays(64, 64, 4) is False, "another size is another question"


def test_what_is_prepared_has_a_name(tiny_bundle: Path) -> None:
    told: list[str] = []

    @contextmanager
    def preparing(text: str) -> Iterator[None]:
        told.append(text)
        yield
        told.append("done")

    runner = Runner.load(tiny_bundle, engine="torch")
    runner.preparing = preparing
    for _ in range(2):
        runner(images()[:1])
    runner.warm(90, 161)
    assert [text.partition(" for ")[2] for text in told] == ["128x64", "", "161x90", ""]
