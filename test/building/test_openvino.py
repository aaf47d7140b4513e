"""BF16 and INT8 for OpenVINO: built, gated, found again, refused where anything is not as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from oodseg_ros.building.build import build_engine
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
    int8, bf16 = (built[precision][0].side.built for precision in ("int8", "bf16"))
    assert (int8["calibration_frames"], "calibration_frames" in bf16) == (4, False)


def test_with_other_calibration_frames_int8_is_built_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path))
    first, _ = build(bundle, "int8", calibration=frames(2, 1), **LOOSE)
    again, gate = build(bundle, "int8", calibration=frames(2, 1), **LOOSE)
    assert (again.side, gate) == (first.side, None)
    other, gate = build(bundle, "int8", calibration=frames(2, 6), **LOOSE)
    assert gate is not None
    assert other.side.identity == first.side.identity
    assert other.side.files != first.side.files


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
