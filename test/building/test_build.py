"""Orders: what is built, reused, kept aside, or refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from oodseg_ros.building import tensorrt
from oodseg_ros.building.build import build_engine
from oodseg_ros.building.gate_data import calibration_frames, gate_data
from oodseg_ros.building.order import Frames, Order
from oodseg_ros.building.view import View, check_shape
from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.errors import ConfigError, DatasetError, EngineError
from oodseg_ros.inference.engine_cache import default_dir, draft, find, stored
from oodseg_ros.inference.engines.tensorrt_api import load_api, tensorrt_identity
from oodseg_ros.inference.graph_cache import identity
from oodseg_ros.inference.strip import camera_of, strip_of
from oodseg_ros.model_card import ModelCard
from oodseg_ros.object_rule import Objects, SecondLook, Strip
from oodseg_ros.scenes import scene

SIZE = (64, 128)
ORDER = Order("tensorrt_rtx", "fp32", *SIZE, target="sm_89")
needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a CUDA device")


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))
    return load_bundle(shutil.copytree(tiny_bundle, tmp_path / "tiny"))


def frames(count: int = 2):
    return gate_data(SIZE, limit=count)


@pytest.fixture
def api():
    try:
        return load_api("tensorrt_rtx")
    except EngineError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def built_ahead(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A cache folder with one engine for a device that is not here, and the phases that its build told."""
    try:
        load_api("tensorrt_rtx")
    except EngineError as error:
        pytest.skip(str(error))
    phases: dict[str, float] = {}
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OODSEG_CACHE", str(cache))
        built = build_engine(load_bundle(tiny_bundle), ORDER, frames(), "scenes", progress=phases.__setitem__)
    assert not built.usable
    return cache, phases


@pytest.fixture
def waiting(bundle: Bundle, built_ahead: tuple[Path, dict[str, float]], tmp_path: Path) -> Bundle:
    """The bundle with that engine in its cache."""
    shutil.copytree(built_ahead[0], tmp_path / "cache")
    return bundle


@needs_no_cuda
def test_an_engine_for_another_device_waits_for_its_gate(waiting: Bundle, built_ahead: tuple) -> None:
    (engine,) = stored(waiting, pending=True)
    assert engine.folder == default_dir() / "pending"
    assert engine.side.built["tensors"]["score"] == "FLOAT 1x64x128"
    assert built_ahead[1]["export"] == 1.0
    wanted = tensorrt_identity(waiting, "tensorrt_rtx", "fp32", 1, *SIZE, "sm_89")
    with pytest.raises(EngineError, match=r"it is built, but was not run yet .*sm_89.*; run: oodseg build"):
        find(waiting, wanted)


@needs_no_cuda
def test_on_its_device_it_goes_through_the_gate_and_is_not_compiled_again(
    waiting: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = on_the_device(waiting, 0.0, monkeypatch)
    accepted = build_engine(waiting, ORDER, frames(), "scenes")
    assert accepted.usable
    assert accepted.acceptance is not None
    assert accepted.acceptance.passed
    (engine,) = find(waiting, tensorrt_identity(waiting, "tensorrt_rtx", "fp32", 1, *SIZE, "sm_89"))
    engine.verify()
    assert engine.path(".plan").read_bytes() == answers.plan
    assert stored(waiting, pending=True) == []
    assert build_engine(waiting, ORDER, frames(), "scenes").reused


@needs_no_cuda
def test_a_pending_engine_that_fails_its_gate_is_gone(waiting: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_device(waiting, np.nan, monkeypatch)
    with pytest.raises(EngineError, match=r"refused \(the score is not a number.*nothing was stored"):
        build_engine(waiting, ORDER, frames(), "scenes")
    assert stored(waiting) == stored(waiting, pending=True) == []
    assert [file for file in default_dir().rglob("*") if file.is_file()] == []


def test_with_other_parts_in_int8_or_other_frames_an_engine_is_built_again(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = identity(bundle, "int8", 1, *SIZE, "sm_87", "tensorrt-10.3.0")
    images = [np.zeros((*SIZE, 3), np.uint8)]
    with draft(wanted, default_dir()) as place:
        place.path(".plan").write_bytes(b"plan")
        place.store(True, built={"quantized": ["decoder"], **Frames((), "", images).calibrated})
    monkeypatch.setattr(tensorrt, "identity", lambda bundle, order: wanted)
    monkeypatch.setattr(tensorrt, "build", lambda *given: ("a new one", None))
    order = Order("tensorrt", "int8", *SIZE, device="cuda", quantize=("decoder",))
    assert build_engine(bundle, order, frames(), "scenes", images).reused
    assert build_engine(bundle, replace(order, quantize=()), frames(), "scenes", images).engine == "a new one"
    for others in ([images[0] + 1], images * 2, [images[0].reshape(SIZE[1], SIZE[0], 3)]):
        assert build_engine(bundle, order, frames(), "scenes", others).engine == "a new one"


def on_the_device(bundle: Bundle, error: float, monkeypatch: pytest.MonkeyPatch) -> Answers:
    """As if the device were here; nothing may be compiled any more."""
    answers = Answers(bundle, error)
    monkeypatch.setattr(tensorrt, "architecture", lambda engine, device: "sm_89")
    monkeypatch.setattr(tensorrt, "TensorRtEngine", answers)
    monkeypatch.setattr(tensorrt, "build_plan", None)
    return answers


class Answers:
    """Stands for the device that is not here: answers as torch does, plus an error."""

    def __init__(self, bundle: Bundle, error: float) -> None:
        from oodseg_ros.inference.engines.torch import TorchEngine

        self.engine, self.error, self.plan = TorchEngine(bundle), error, b""

    def __call__(self, bundle: Bundle, **options: str) -> Answers:
        return self

    def load(self, plan: Path, *shape: int):
        self.plan = plan.read_bytes()
        graph = self.engine.compile(*shape)

        def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            labels, score = graph(images)
            return labels, score + np.float32(self.error)

        return run


@needs_no_cuda
@pytest.mark.parametrize(
    ("order", "sentence"),
    [
        (
            Order("abacus", "fp32", *SIZE),
            "unknown engine 'abacus'; this version knows openvino, tensorrt, tensorrt_rtx",
        ),
        (Order("tensorrt", "fp16", *SIZE), "built on the device that it runs on, and no CUDA device is here"),
        (Order("tensorrt", "fp16", *SIZE, target="sm_89"), "tensorrt.*(is built on|needs the Python package)"),
        (Order("tensorrt_rtx", "fp16", *SIZE), "name the one that the engine is for, e.g. --target sm_89"),
        (
            Order("tensorrt_rtx", "int8", *SIZE, target="sm_89"),
            "tensorrt_rtx has no precision 'int8' on cuda",
        ),
        (Order("tensorrt_rtx", "fp8", *SIZE, target="sm_89"), "no precision 'fp8'"),
    ],
)
def test_what_cannot_be_built_is_said(api, bundle: Bundle, order: Order, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        build_engine(bundle, order, frames(), "scenes")
    assert stored(bundle) == []


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_fp32_needs_no_build_where_nothing_is_compiled_ahead(bundle: Bundle, engine: str) -> None:
    built = build_engine(bundle, Order(engine, "fp32", *SIZE), frames(), "scenes")
    assert built.usable
    assert built.engine is None


def test_an_accepted_engine_is_found_and_not_built_twice(bundle: Bundle) -> None:
    order = Order("torch", "bf16", *SIZE, allowed_ap=1.0, allowed_fpr95=1.0)
    first = build_engine(bundle, order, frames(), "scenes")
    assert first.acceptance is not None
    assert first.acceptance.data == "scenes"
    assert not first.reused
    second = build_engine(bundle, order, [], "nothing is looked at")
    assert second.reused
    assert second.engine == first.engine


def test_an_engine_can_be_put_beside_its_bundle(bundle: Bundle) -> None:
    folder = bundle.path / "engines"
    order = Order("torch", "bf16", *SIZE, allowed_ap=1.0, allowed_fpr95=1.0, folder=folder)
    built = build_engine(bundle, order, frames(), "scenes")
    assert built.engine is not None
    assert built.engine.folder == folder
    assert stored(bundle) == [built.engine]


def test_scenes_are_the_gate_s_data_where_none_is_named() -> None:
    data = gate_data(SIZE, limit=3)
    pairs = list(data)
    assert len(pairs) == data.frames == 3
    assert data.name == "procedural scenes 77000-77002"
    assert pairs[0][0].shape == (*SIZE, 3)
    np.testing.assert_array_equal(pairs[1][0], list(data)[1][0])


@pytest.mark.parametrize(
    ("name", "root", "sentence"),
    [("road_anomaly_21", None, "needs --root"), ("nonsense", Path(), "no dataset is called 'nonsense'")],
)
def test_data_that_is_no_data_is_said(name: str, root: Path | None, sentence: str) -> None:
    with pytest.raises(DatasetError, match=sentence):
        gate_data(SIZE, name, root)


def test_calibration_frames_come_from_any_source(tmp_path: Path) -> None:
    assert calibration_frames(None) == []
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((32, 64, 3), index, np.uint8))
    assert [int(image[0, 0, 0]) for image in calibration_frames(str(tmp_path), limit=3)] == [0, 2, 4]


@pytest.mark.parametrize("lost", [0, 5])
def test_calibration_frames_tell_what_was_lost_also_behind_the_last_of_them(tmp_path: Path, caplog, lost: int) -> None:
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((32, 64, 3), index, np.uint8))
    (tmp_path / f"{lost}.png").write_bytes(b"no picture")
    assert len(calibration_frames(str(tmp_path), limit=3)) == 3
    assert f"{lost}.png" in caplog.text
    assert "1 skipped" in caplog.text


def test_calibration_frames_of_nothing_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "0.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match="holds no frame that can be read"):
        calibration_frames(str(tmp_path))


@pytest.mark.parametrize("text", ["1080", "1080x", "x", "1920x10", "99999x1080", "-64x64", "64 x 64"])
def test_sizes_are_checked(text: str) -> None:
    from oodseg_ros.inference.sizes import parse_size

    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        parse_size(text)
    assert parse_size(" 1920x1080 ") == (1080, 1920)


@pytest.mark.parametrize(
    ("size", "frame", "word"),
    [
        ((1920, 1080), (1080, 1920), "WIDTHxHEIGHT, so 1920x1080"),  # (height, width): sides exchanged
        ((640, 480), (480, 640), "WIDTHxHEIGHT, so 640x480"),
        ((375, 1242), (480, 640), "your camera's size"),
    ],
)
def test_a_size_that_contradicts_the_frames_is_refused(size: tuple, frame: tuple, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        check_shape(size, frame, "--accept-on data")


@pytest.mark.parametrize("frame", [(1024, 2048), (1080, 1920), (480, 640), (540, 960)])
def test_usual_shapes_go_together(frame: tuple) -> None:
    check_shape((1024, 2048), frame, "--accept-on data")


def test_it_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "0.png"), np.zeros((60, 100, *([3] * (part == "images"))), np.uint8))
    with pytest.raises(ConfigError, match="100x60"):
        gate_data((100, 60), "folder", tmp_path)
    with pytest.raises(ConfigError, match="100x60"):
        calibration_frames(str(tmp_path / "images"), size=(100, 60))
    assert len(calibration_frames(str(tmp_path / "images"), size=(60, 100))) == 1


FINE, STRIP = (128, 256), (32, 256)
"""Sizes of a fine camera's images and of their strip, for `card`."""


@pytest.fixture
def card(tiny_bundle: Path) -> ModelCard:
    """Of the tiny bundle, with a strip."""
    card, at = load_bundle(tiny_bundle).card, 0.0
    rules = {
        "objects": Objects(grow=at - 2, seed=0.5, beside=at),
        "second_look": SecondLook(zoom=1.5, grow=at - 2, above=at - 1, below=at, strip=Strip()),
    }
    card = card.model_copy(update={"calibration": card.calibration.model_copy(update=rules)})
    assert strip_of(*FINE, card)[:2] == STRIP
    return card


def numbered(height: int, width: int) -> np.ndarray:
    """A gray picture whose every row has its own number."""
    return np.repeat(np.arange(height, dtype=np.uint8)[:, None], width, axis=1)


def drawn(folder: Path, size: tuple[int, int]) -> Path:
    """A set of one frame, whose rows have their numbers; of the labels those of every third row are unknown."""
    for part, picture in (
        ("images", np.dstack([numbered(*size)] * 3)),
        ("labels", (numbered(*size) % 3 == 2).astype(np.uint8)),
    ):
        (folder / part).mkdir(parents=True)
        cv2.imwrite(str(folder / part / "0.png"), picture)
    return folder


@pytest.mark.parametrize(
    ("frame", "rows", "why"),
    [
        ((128, 256), range(48, 80), "the camera's own: what its strip is"),
        ((192, 384), range(72, 120), "a larger one's, whose strip has the same size"),
        ((96, 256), range(32, 64), "another one's: as flat as the strip"),
        ((30, 250), range(30), "cut out before"),
    ],
)
def test_an_engine_for_strips_sees_the_middle_of_frames(
    card: ModelCard, tmp_path: Path, frame: tuple[int, int], rows: range, why: str
) -> None:
    root = drawn(tmp_path, frame)
    (image,) = calibration_frames(str(root / "images"), size=STRIP, card=card)
    assert image.shape == (len(rows), frame[1], 3)
    np.testing.assert_array_equal(image[:, 0, 0], rows, why)
    ((image, truth),) = gate_data(STRIP, "folder", root, card=card)
    np.testing.assert_array_equal(image[:, -1, 0], rows, why)
    np.testing.assert_array_equal(truth[:, -1] == 1, np.array(rows) % 3 == 2, why)
    assert truth.shape == image.shape[:2]


@pytest.mark.parametrize("size", [SIZE, FINE])
def test_an_engine_for_pictures_sees_all_of_them_also_where_the_bundle_has_a_strip(
    card: ModelCard, tmp_path: Path, size: tuple[int, int]
) -> None:
    root = drawn(tmp_path, FINE)
    (image,) = calibration_frames(str(root / "images"), size=size, card=card)
    np.testing.assert_array_equal(image[:, 0, 0], range(128))
    data = gate_data(size, "folder", root, card=card)
    assert [(image.shape, truth.shape) for image, truth in data] == [((*FINE, 3), FINE)]
    assert "strip" not in data.name
    (image, _), *_ = gate_data(size, limit=1, card=card)
    np.testing.assert_array_equal(image, scene(77000, size).image)


def test_scenes_for_strips_are_strips_of_scenes(card: ModelCard) -> None:
    camera = camera_of(*STRIP, card)
    assert camera is not None
    strip = strip_of(*camera, card)
    assert strip is not None
    assert strip[:2] == STRIP
    top = (camera[0] - strip.tall) // 2
    data = gate_data(STRIP, limit=1, card=card)
    ((image, truth),) = data
    whole = scene(77000, camera)
    np.testing.assert_array_equal(image, whole.image[top : top + strip.tall])
    np.testing.assert_array_equal(truth, whole.anomaly[top : top + strip.tall])
    assert data.name == "procedural scenes 77000-77000, their strips"
    bare = card.model_copy(update={"calibration": card.calibration.model_copy(update={"second_look": None})})
    assert next(iter(gate_data(STRIP, limit=1, card=bare)))[0].shape == (*STRIP, 3), "no strip: all of flat pictures"


def test_frames_that_have_no_such_strip_are_refused_before_anything_is_built(card: ModelCard, tmp_path: Path) -> None:
    root = drawn(tmp_path, (240, 120))
    sentence = r"--size 256x32 is that of a strip of pictures like 256x\d+; the frames of --\S+ \S+ are 120x240"
    with pytest.raises(ConfigError, match=sentence):
        calibration_frames(str(root / "images"), size=STRIP, card=card)
    with pytest.raises(ConfigError, match=sentence):
        gate_data(STRIP, "folder", root, card=card)
    with pytest.raises(ConfigError, match="does not fit the frames"):
        View(FINE, card).check((256, 128), "--accept-on data")
    coarse = drawn(tmp_path / "coarse", (96, 191))  # less detail than any strip has
    with pytest.raises(ConfigError, match=r"are 191x96: neither such pictures, at least 192 pixels wide, nor strips"):
        calibration_frames(str(coarse / "images"), size=STRIP, card=card)


def test_every_calibration_frame_must_fit(card: ModelCard, tmp_path: Path) -> None:
    images = drawn(tmp_path, FINE) / "images"
    cv2.imwrite(str(images / "zz.png"), np.zeros((240, 120, 3), np.uint8))
    with pytest.raises(ConfigError, match="are 120x240"):
        calibration_frames(str(images), size=STRIP, card=card)
    with pytest.raises(ConfigError, match="120x240"):
        calibration_frames(str(images), size=FINE, card=card)
