"""BF16 and INT8 for OpenVINO: built, gated, found again, refused where anything is not as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import openvino
import openvino.opset13 as operations
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oodseg_ros.building import openvino as building
from oodseg_ros.building.build import build_engine
from oodseg_ros.building.openvino import quantized, strided, weight_steps, whole_numbers
from oodseg_ros.building.order import Order
from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.evaluation.score_variant import with_score
from oodseg_ros.inference import engine_cache
from oodseg_ros.inference.engines.openvino import OpenVinoEngine, openvino_core
from oodseg_ros.inference.runner import Runner
from oodseg_ros.networks.backbones import efficientnet_lite

SIZE = (64, 128)
LOOSE = {"allowed_ap": 0.2, "allowed_fpr95": 0.3}
"""The network has random weights: its ranking is nearly chance and moves with every rounding."""


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy, so that engines beside it are this module's own."""
    path = tmp_path_factory.mktemp("openvino") / "tiny"
    shutil.copytree(tiny_bundle, path)
    return load_bundle(path)


def frames(count: int, seed: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    return list(small.repeat(8, axis=1).repeat(8, axis=2))


def pairs(size: tuple[int, int] = SIZE) -> list[tuple[np.ndarray, np.ndarray]]:
    truth = np.zeros(size, np.uint8)
    truth[: size[0] // 2, : size[1] // 3] = 1
    return [(image, truth) for image in frames(3, 2, size)]


def build(bundle: Bundle, precision: str, judged: list | None = None, calibration: list = (), **more) -> tuple:
    order = Order("openvino", precision, *SIZE, threads=1, **more)
    built = build_engine(bundle, order, pairs() if judged is None else judged, "a test", calibration)
    return built.engine, built.acceptance


@pytest.fixture(scope="module")
def built(bundle: Bundle) -> dict[str, tuple]:
    """Both precisions, accepted, in the folder beside the bundle."""
    where = bundle.path / "engines"
    return {
        precision: build(bundle, precision, calibration=frames(4, 1), folder=where, **LOOSE)
        for precision in ("bf16", "int8")
    }


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_an_accepted_engine_answers_nearly_as_torch(bundle: Bundle, built: dict, precision: str) -> None:
    runner = Runner.load(bundle, engine="openvino", precision=precision, threads=1)
    reference = Runner.load(bundle, engine="torch")
    assert runner.engine_identity.split("-")[2] == precision
    assert 0 < runner.golden_error <= 2 * built[precision][0].side.golden["max_abs_delta"] + 1e-3
    for image in frames(2, 5):
        answer, wanted = runner([image])[0], reference([image])[0]
        spread = wanted.score.max() - wanted.score.min()
        # The mean, because a processor without VNNI adds INT8 products in 16 bits, which saturate here and there.
        assert 0 < np.abs(answer.score - wanted.score).mean() < 0.2 * spread
        assert (answer.labels == wanted.labels).mean() > 0.9


def test_the_gate_is_recorded_beside_the_engine(built: dict) -> None:
    for engine, acceptance in built.values():
        side = json.loads(next(engine.folder.glob(f"{engine.side.identity.stem}.json")).read_text())
        assert side["accepted"]
        assert side["acceptance"]["frames"] == 3
        assert side["acceptance"]["max_abs_delta"] == acceptance.max_abs_delta > 0
        assert side["golden"]["label_agreement"] > 0.9
        assert len(side["files"]) == 3


def test_int8_is_int8_and_its_last_products_are_not(bundle: Bundle, built: dict) -> None:
    model = openvino_core().read_model(built["int8"][0].path(".xml"))
    by_type = {
        kind: [op for op in model.get_ops() if op.get_type_name() == kind] for kind in ("FakeQuantize", "Convolution")
    }
    assert len(by_type["FakeQuantize"]) > 50
    last = [op for op in by_type["Convolution"] if op.output(0).shape[1] in (2, 11)]
    assert len(last) == 2
    for op in last:
        assert all(value.get_node().get_type_name() not in ("FakeQuantize", "Multiply") for value in op.input_values())


def test_int8_maps_are_smaller_and_need_fewer_bands(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path))  # a cached graph has the bands of its own time
    monkeypatch.setattr(efficientnet_lite, "BAND_BYTES", 1 << 19)
    engine = build(bundle, "int8", calibration=frames(2, 1), folder=tmp_path / "engines", **LOOSE)[0]
    int8, fp32 = openvino_core().read_model(engine.path(".xml")), OpenVinoEngine(bundle).graph(1, *SIZE)
    concats = [sum(op.get_type_name() == "Concat" for op in model.get_ops()) for model in (int8, fp32)]
    assert concats[0] < concats[1]


def test_bf16_leaves_the_last_products_in_fp32(bundle: Bundle, built: dict) -> None:
    engine = OpenVinoEngine(bundle, precision="bf16", threads=1)
    if "BF16" not in engine._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU computes BF16 graphs in FP32")
    compiled = engine._core.compile_model(built["bf16"][0].path(".xml"), "CPU", engine._options)
    found = {"f32": 0, "bf16": 0}
    for op in compiled.get_runtime_model().get_ops():
        info = op.get_rt_info()
        if info["layerType"].astype(str) == "Convolution":
            found[info["runtimePrecision"].astype(str)] += 1
    assert found["bf16"] > 40
    assert found["f32"] == 2


def test_without_an_accepted_engine_the_command_is_named(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match=r"oodseg build .* --engine openvino --precision int8"):
        Runner.load(tiny_bundle, engine="openvino", precision="int8")


def test_another_score_of_the_same_weights_is_another_engine(bundle: Bundle, built: dict) -> None:
    with pytest.raises(EngineError, match="oodseg build"):
        Runner.load(with_score(bundle, "energy"), engine="openvino", precision="bf16")


def test_another_size_or_batch_is_refused(bundle: Bundle, built: dict) -> None:
    runner = Runner.load(bundle, engine="openvino", precision="bf16", threads=1)
    with pytest.raises(EngineError, match="--size 128x96 --batch 1"):
        runner.warm(96, 128)
    with pytest.raises(EngineError, match="batch 1 instead of 2"):
        runner.warm(*SIZE, batch=2)


def test_what_fails_its_gate_is_not_stored(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"refused \(AP moved.*nothing was stored"):
        build(bundle, "int8", calibration=frames(2, 1), folder=tmp_path, allowed_ap=0.0)
    assert list(tmp_path.iterdir()) == []


def test_frames_of_other_sizes_are_resized_for_gate_and_calibration(bundle: Bundle, tmp_path: Path) -> None:
    engine, acceptance = build(bundle, "bf16", pairs((96, 160)), batch=2, folder=tmp_path, **LOOSE)
    assert engine.side.identity.batch == 2
    assert acceptance.frames == 3


def test_a_damaged_engine_is_refused(bundle: Bundle, built: dict, tmp_path: Path) -> None:
    path = tmp_path / "tiny"
    shutil.copytree(bundle.path, path)
    for weights in path.glob("engines/*bf16*.bin"):
        data = bytearray(weights.read_bytes())
        data[1000] ^= 0xFF
        weights.write_bytes(data)
    with pytest.raises(EngineError, match="missing, changed or damaged"):
        Runner.load(path, engine="openvino", precision="bf16")


def test_an_engine_that_answers_otherwise_than_at_its_build_is_refused(
    bundle: Bundle, built: dict, tmp_path: Path
) -> None:
    path = tmp_path / "tiny"
    shutil.copytree(bundle.path, path)
    copy = load_bundle(path)
    engine = next(e for e in engine_cache.stored(copy) if e.side.identity.precision == "int8")
    answer = engine.path(".golden.npz")
    with np.load(answer) as data:
        labels, score = data["labels"], data["score"]
    with answer.open("wb") as stream:
        np.savez(stream, labels=labels, score=score + 1.0)
    files = engine.side.files | {answer.name: engine_cache.sha256(answer)}
    car = engine_cache.SideCar(**{**vars(engine.side), "files": files})
    car.write(engine.folder / f"{engine.side.identity.stem}.json")
    with pytest.raises(EngineError, match="does not answer as it did when it was accepted"):
        Runner.load(copy, engine="openvino", precision="int8")


@pytest.mark.parametrize(
    ("precision", "sentence"),
    [("fp16", "no precision 'fp16' on cpu; choose from fp32, bf16"), ("int8", "--calibration")],
)
def test_what_cannot_be_built_is_said(bundle: Bundle, precision: str, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        build(bundle, precision)


GREY, COLORFUL = (100, 140), (0, 256)
"""Pixel values of calibration frames from a dull day, and of what a camera may show."""


def small_network(cut: bool = True) -> openvino.Model:
    """uint8 `[1, 32, 64, 3]` → maps: a strided convolution, a depthwise one, a product over channels; `cut` = each with
    a ReLU behind it.
    """
    rng = np.random.default_rng(3)
    images = operations.parameter([1, 32, 64, 3], np.uint8)
    given = operations.transpose(operations.convert(images, "f32"), operations.constant([0, 3, 1, 2]))
    y = operations.add(operations.multiply(given, np.float32(1 / 127.5)), np.float32(-1))
    for shape, stride in (((16, 3, 3, 3), 2), ((16, 1, 1, 3, 3), 1), ((8, 16, 1, 1), 1)):
        weights = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        weights[0] = np.abs(weights[0])  # one output whose products all add up
        convolution = operations.group_convolution if len(shape) == 5 else operations.convolution
        pads = [shape[-1] // 2] * 2
        y = convolution(y, operations.constant(weights), [stride] * 2, pads, pads, [1, 1])
        y = operations.relu(y) if cut else operations.add(y, operations.constant(np.float32([[[[0.1]]]])))
    return openvino.Model([operations.result(y)], [images])


def answer(model: openvino.Model, image: np.ndarray) -> np.ndarray:
    return openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([image])[0].copy()


def test_int8_holds_for_pictures_unlike_those_of_its_calibration() -> None:
    rng = np.random.default_rng(4)
    model = small_network()
    calibration = [rng.integers(*GREY, (1, 32, 64, 3), dtype=np.uint8) for _ in range(3)]
    quant = quantized(model, calibration, [])
    others = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(2)]
    blue = np.zeros((1, 32, 64, 3), np.uint8)
    blue[:, 8:, 16:, 2] = 250
    for image in (*calibration, *others, blue):
        error = np.abs(answer(quant, image) - answer(model, image)).max()
        # nncf's own ranges and weights: 0.8; these ranges with weights that overflow where there is no VNNI: 0.12.
        assert error < 0.03 * answer(model, others[0]).max()


def test_what_rounded_weights_take_away_on_average_is_given_back() -> None:
    rng = np.random.default_rng(4)
    model = small_network()
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(3)]
    quant = quantized(model, frames, [])
    shift = np.mean([answer(quant, image) - answer(model, image) for image in frames], axis=(0, 1, 3, 4))
    assert np.abs(shift).max() < 0.0015 * answer(model, frames[0]).max()  # 0.0027 without, 0.0007 with


@pytest.mark.parametrize("cut", [True, False])
def test_maps_of_whole_numbers_answer_the_same(monkeypatch: pytest.MonkeyPatch, cut: bool) -> None:
    rng = np.random.default_rng(4)
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(3)]
    stored = quantized(small_network(cut), frames, [])
    monkeypatch.setattr(building, "store_whole_numbers", lambda model: None)
    plain = quantized(small_network(cut), frames, [])
    kinds = [node.get_type_name() for node in stored.get_ops()]
    tops = [node.input_value(4).get_node().data.item() for node in stored.get_ordered_ops() if "Fake" in str(node)]
    # The picture and, without the ReLUs, what the depthwise convolution pads are no maps with zero at 0.
    assert [top == 255 for top in tops] == [False, cut, True]
    assert kinds.count("Relu") == (1 if cut else 0)  # the last one, which nothing quantizes
    for image in frames:
        want = answer(plain, image)
        # A number at half a step may fall to either side.
        assert np.abs(answer(stored, image) - want).mean() < 1e-3 * np.abs(want).max()
        assert np.abs(want).max() > 0


def network_of(*parts) -> openvino.Model:
    """uint8 `[1, 32, 64, 3]` → what the parts make of it, one after the other."""
    images = operations.parameter([1, 32, 64, 3], np.uint8)
    y = operations.transpose(operations.convert(images, "f32"), operations.constant([0, 3, 1, 2]))
    y = operations.add(operations.multiply(y, np.float32(1 / 127.5)), np.float32(-1))
    for part in parts:
        y = part(y)
    return openvino.Model([operations.result(y)], [images])


def convolution(shape: tuple, seed: int, stride: int = 1, begin: int = 0, end: int = 0, bias: float = 0.0):
    """A part of `network_of` with random weights and biases around `bias`."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
    shift = (bias + 0.3 * rng.normal(size=(1, shape[0], 1, 1))).astype(np.float32)

    def part(y):
        pads = [begin] * 2, [end] * 2
        y = operations.convolution(y, operations.constant(weights), [stride] * 2, *pads, [1, 1])
        return operations.add(y, operations.constant(shift))

    return part


@pytest.mark.parametrize(
    "between",
    [
        [convolution((16, 3, 3, 3), 1, bias=2), convolution((8, 16, 2, 2), 2, begin=1)],
        [
            convolution((16, 3, 3, 3), 1),
            lambda y: operations.clamp(y, 0.5, 6),
            convolution((8, 16, 1, 1), 2),
        ],
    ],
    ids=["zeros before a map with negative numbers", "a cut above zero"],
)
def test_maps_of_whole_numbers_keep_what_is_around_them(monkeypatch: pytest.MonkeyPatch, between: list) -> None:
    rng = np.random.default_rng(4)
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(2)]
    parts = [*between, convolution((4, 8, 1, 1), 3)]
    stored = quantized(network_of(*parts), frames, [])
    monkeypatch.setattr(building, "store_whole_numbers", lambda model: None)
    want = answer(quantized(network_of(*parts), frames, []), frames[0])
    assert np.abs(answer(stored, frames[0]) - want).mean() < 1e-3 * np.abs(want).max()


def test_biases_of_a_transformers_convolutions_are_not_shifted_twice() -> None:
    rng = np.random.default_rng(4)
    small = rng.integers(*COLORFUL, (4, 1, 8, 16, 3), dtype=np.uint8)
    frames = list(small.repeat(4, axis=2).repeat(4, axis=3))
    parts = [operations.relu, convolution((24, 24, 3, 3), 2, begin=1, end=1)] * 3
    attention = [operations.relu, convolution((24, 24, 1, 1), 3), lambda y: operations.softmax(y, 1)]
    model = network_of(convolution((24, 3, 3, 3), 1, begin=1, end=1), *parts, *attention, convolution((5, 24, 1, 1), 4))
    quant = quantized(model, frames, [])
    wanted = np.concatenate([answer(model, image) for image in frames])
    shift = np.concatenate([answer(quant, image) for image in frames]) - wanted
    assert np.abs(shift.mean(axis=(0, 2, 3))).max() < 0.05 * wanted.std(axis=(0, 2, 3)).max()


def test_patches_stay_in_float() -> None:
    """With AMX the second convolution, quantized, is off by as much as its answers spread."""
    rng = np.random.default_rng(4)
    frames = [rng.integers(*COLORFUL, (1, 32, 64, 3), dtype=np.uint8) for _ in range(2)]
    model = network_of(convolution((32, 3, 3, 3), 1), operations.relu, convolution((32, 32, 4, 4), 2, stride=4))
    names = strided(model)
    assert [kind.partition("_")[0] for kind in names] == ["Convolution"]
    quant = quantized(model, frames, names)
    (patches,) = [node for node in quant.get_ops() if node.get_friendly_name() in names]
    assert [value.get_node().get_type_name() for value in patches.input_values()] == ["Relu", "Constant"]
    want = answer(model, frames[0])
    assert np.abs(answer(quant, frames[0]) - want).max() < 0.1 * want.std()


WEIGHTS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=4, max_dims=4, max_side=6),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False),
)


@given(WEIGHTS)
def test_a_filter_keeps_the_sum_of_its_taps(weights: np.ndarray) -> None:
    steps = weight_steps(weights)
    lost = weights / steps[:, :, None, None].astype(np.float64) - whole_numbers(weights, steps)
    assert np.abs(lost).max() < 1
    assert np.abs(lost.sum(axis=-1)).max() < 0.501


@given(WEIGHTS)
def test_products_of_two_channels_fit_into_16_bits(weights: np.ndarray) -> None:
    whole = whole_numbers(weights, weight_steps(weights))
    assert np.abs(whole).max() <= 127
    for sign in (1, -1):
        sides = np.maximum(sign * whole, 0)
        for first in range(0, weights.shape[2] - 1, 2):
            assert 255 * (sides[:, :, first] + sides[:, :, first + 1]).max() <= 32767
    if weights.shape[2] == 1 and weights.any():
        assert np.abs(whole).max() == 127  # depthwise: the whole range
