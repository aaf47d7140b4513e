"""TensorRT engines: what is refused without a device, how batches are filled; on a GPU, the real thing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from oodseg_ros.errors import EngineError
from oodseg_ros.inference.engines.tensorrt import in_turns, tensor_names
from oodseg_ros.inference.engines.tensorrt_api import PACKAGES, capability, load_api
from oodseg_ros.inference.runner import Runner

needs_no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="says what is said without a CUDA device")
needs_rtx = pytest.mark.skipif(
    all(find_spec(name) is None for name in PACKAGES["tensorrt_rtx"]), reason="TensorRT-RTX is not installed"
)


@needs_rtx
@needs_no_cuda
def test_without_a_device_it_is_said(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match="engine tensorrt_rtx needs a CUDA device"):
        Runner.load(tiny_bundle, engine="tensorrt_rtx", device="cuda", precision="fp16")


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_without_the_package_it_is_said(tiny_bundle: Path) -> None:
    with pytest.raises(EngineError, match=r"needs the Python package tensorrt, .*JetPack"):
        Runner.load(tiny_bundle, engine="tensorrt", device="cuda", precision="fp16")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"device": "cpu", "precision": "fp16"}, "runs on cuda, not on 'cpu'"),
        ({"device": "cuda", "precision": "fp8"}, "no precision 'fp8' on cuda; choose from fp32, fp16, bf16"),
    ],
)
@pytest.mark.parametrize("engine", sorted(PACKAGES))
def test_what_it_cannot_be_asked_for(tiny_bundle: Path, engine: str, options: dict, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        Runner.load(tiny_bundle, engine=engine, **options)


@pytest.mark.parametrize(("count", "runs"), [(1, 1), (3, 1), (4, 1), (5, 2), (8, 2)])
def test_any_number_of_images_goes_through_an_engine_for_four(count: int, runs: int) -> None:
    seen = []

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert images.shape == (4, 2, 2, 3)
        seen.append(len(images))
        return images[..., 0], images[..., 1].astype(np.float32)

    images = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    labels, score = in_turns(run, 4)(images)
    np.testing.assert_array_equal(labels, images[..., 0])
    np.testing.assert_array_equal(score, images[..., 1])
    assert len(seen) == runs


class Described:
    """The description of an engine, which without a device none can be loaded for."""

    def __init__(self, *tensors: tuple[str, object, object, tuple[int, ...]]) -> None:
        self._tensors = tensors
        self.num_io_tensors = len(tensors)

    def get_tensor_name(self, index: int) -> str:
        return self._tensors[index][0]

    def _of(self, name: str) -> tuple:
        return next(tensor for tensor in self._tensors if tensor[0] == name)

    def get_tensor_mode(self, name: str) -> object:
        return self._of(name)[1]

    def get_tensor_dtype(self, name: str) -> object:
        return self._of(name)[2]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._of(name)[3]


@needs_rtx
def test_inputs_and_outputs_are_found_by_type_whatever_their_names() -> None:
    api = load_api("tensorrt_rtx")
    gives, takes = api.TensorIOMode.OUTPUT, api.TensorIOMode.INPUT
    images = ("arg0", takes, api.DataType.UINT8, (2, 8, 9, 3))
    labels = ("output0", gives, api.DataType.UINT8, (2, 8, 9))
    score = ("output1", gives, api.DataType.FLOAT, (2, 8, 9))
    assert tensor_names(api, Described(images, score, labels), (2, 8, 9), (2, 8, 9)) == ("arg0", "output0", "output1")
    wrong_type = ("output0", gives, api.DataType.INT32, (2, 8, 9))
    wrong_size = ("output1", gives, api.DataType.FLOAT, (2, 8, 8))
    for tensors in (
        (images, wrong_type, score),
        (images, labels, wrong_size),
        (images, labels),
        (*(images,) * 3, score),
    ):
        with pytest.raises(EngineError, match="rebuild it"):
            tensor_names(api, Described(*tensors), (2, 8, 9), (2, 8, 9))


@pytest.fixture
def gpu_engine() -> str:
    """An engine that this machine's GPU can run."""
    if capability() is None:
        pytest.skip("needs a CUDA device")
    for engine in sorted(PACKAGES):
        try:
            api = load_api(engine)
        except EngineError:
            continue
        known = getattr(api, "ComputeCapability", None)
        if engine == "tensorrt" or (known and capability().replace("sm_", "SM") in known.__members__):
            return engine
    pytest.skip("no TensorRT for this device is installed")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_built_engine_answers_as_torch_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu_engine: str, precision: str
) -> None:
    from oodseg_ros.building.build import build_engine
    from oodseg_ros.building.gate_data import gate_data
    from oodseg_ros.building.order import Order
    from oodseg_ros.bundle import load_bundle

    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path))
    bundle = load_bundle("road_lite")
    frames = gate_data((288, 512), limit=8)
    built = build_engine(bundle, Order(gpu_engine, precision, 288, 512, batch=2), frames, frames.name)
    assert built.usable
    assert built.acceptance is not None
    assert built.acceptance.passed
    images = [image for image, _ in frames][:3]
    reference = Runner.load(bundle, "torch")(images)
    for score_type in ("fp32", "fp16"):
        runner = Runner.load(bundle, gpu_engine, "cuda", precision, score_type=score_type)
        first = runner(images)
        for wanted, found in zip(reference, first, strict=True):
            assert found.score.dtype == np.float32
            assert (wanted.labels == found.labels).mean() > 0.99
            assert np.abs(wanted.score - found.score).mean() < 0.05 * wanted.score.std()
        again = runner(images[::-1])[::-1]
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one.score, other.score)
