"""The torch engine: FP32 is the reference, half precision only after the gate, CUDA where there is a device."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from oodseg_ros.building.build import build_engine
from oodseg_ros.building.order import Order
from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.inference.runner import Runner

SIZE = (64, 128)
LOOSE = {"allowed_ap": 0.2, "allowed_fpr95": 0.3}
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Bundle:
    """A copy, so that what is accepted beside it is this test's own."""
    path = tmp_path / "tiny"
    shutil.copytree(tiny_bundle, path)
    return load_bundle(path)


def frames(count: int) -> list[np.ndarray]:
    small = np.random.default_rng(7).integers(0, 256, (count, 8, 16, 3), dtype=np.uint8)
    return list(small.repeat(8, axis=1).repeat(8, axis=2))


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    truth = np.zeros(SIZE, np.uint8)
    truth[:32, :40] = 1
    return [(image, truth) for image in frames(3)]


def build(bundle: Bundle, precision: str = "bf16", **more):
    return build_engine(bundle, Order("torch", precision, *SIZE, **more), pairs(), "a test")


def test_bf16_on_the_cpu_runs_once_it_was_accepted(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"oodseg build .* --engine torch --precision bf16"):
        Runner.load(bundle, engine="torch", precision="bf16")
    built = build(bundle, folder=bundle.path / "engines", **LOOSE)
    engine, acceptance = built.engine, built.acceptance
    assert acceptance.passed
    assert acceptance.max_abs_delta > 0
    assert list(engine.side.files) == [f"{engine.side.identity.stem}.golden.npz"]
    runner, reference = Runner.load(bundle, engine="torch", precision="bf16"), Runner.load(bundle, engine="torch")
    assert runner.engine_identity == f"torch-{torch.__version__}-bf16-cpu"
    answer, wanted = runner(frames(1))[0], reference(frames(1))[0]
    assert answer.score.dtype == np.float32
    assert 0 < np.abs(answer.score - wanted.score).max() < 0.2 * np.ptp(wanted.score)
    with pytest.raises(EngineError, match=r"--size 128x96"):
        runner.warm(96, 128)


def test_what_fails_its_gate_is_not_stored(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nothing was stored"):
        build(bundle, folder=tmp_path / "none", allowed_ap=0.0)
    assert list((tmp_path / "none").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16"}, "no precision 'fp16' on cpu"),
        ({"precision": "int8"}, "choose from fp32, bf16"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_what_it_cannot_do_is_refused(bundle: Bundle, options: dict, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        Runner.load(bundle, "torch", **options)


@pytest.mark.parametrize(("option", "value"), [("hint", "fast"), ("score_type", "int8")])
def test_unknown_options_are_refused(bundle: Bundle, option: str, value: str) -> None:
    with pytest.raises(EngineError, match=f"{option} '{value}' is not one of"):
        Runner.load(bundle, engine="torch", **{option: value})


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("score_type", ["fp32", "fp16"])
def test_cuda_in_fp32_is_the_reference(bundle: Bundle, score_type: str) -> None:
    runner = Runner.load(bundle, engine="torch", device="cuda", score_type=score_type)
    wanted = Runner.load(bundle, engine="torch")(frames(2))
    for answer, expected in zip(runner(frames(2)), wanted, strict=True):
        assert np.abs(answer.score - expected.score).max() < (1e-3 if score_type == "fp32" else 2e-2)


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_cuda_in_half_precision_is_one_graph_per_shape(bundle: Bundle, precision: str) -> None:
    where = bundle.path / "engines"
    build(bundle, precision, batch=2, device="cuda", folder=where, **LOOSE)
    runner = Runner.load(bundle, engine="torch", device="cuda", precision=precision)
    assert "cudagraph" in runner.engine_identity
    wanted = Runner.load(bundle, engine="torch")(frames(2))
    for _ in range(3):  # buffers are used again
        for answer, expected in zip(runner(frames(2)), wanted, strict=True):
            assert np.abs(answer.score - expected.score).max() < 0.2 * np.ptp(expected.score)
            assert (answer.labels == expected.labels).mean() > 0.9
