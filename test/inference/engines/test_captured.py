"""When a CUDA graph is captured, and when the engine is called each time instead. There is no device here: what torch
would do on one is written down; on a GPU, test_torch_engine.py and test_tensorrt.py run the real thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from oodseg_ros.inference.engines import captured, tensorrt

STREAM = 77
SHAPE = (1, 4, 6)


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done on the device: `run` of the function, `capture`, `replay`."""
    done: list[str] = []

    @contextmanager
    def capture(graph: object, **_: object) -> Iterator[None]:
        done.append("capture")
        yield

    stream = SimpleNamespace(cuda_stream=STREAM, synchronize=lambda: None)
    event = SimpleNamespace(record=lambda: None, synchronize=lambda: None)
    cuda = torch.cuda
    for name, stand_in in {
        "Stream": lambda device: stream,
        "Event": lambda blocking: event,
        "CUDAGraph": lambda: SimpleNamespace(replay=lambda: done.append("replay")),
        "graph": capture,
        "stream": lambda one: nullcontext(),
        "device": lambda one: nullcontext(),
    }.items():
        monkeypatch.setattr(cuda, name, stand_in)
    for name in ("zeros", "empty"):
        make = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *a, make=make, pin_memory=False, **options: make(*a, **options))
    return done


def engine(done: list[str]) -> Callable:
    def run(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        done.append("run")
        return images[..., 0].clone(), images[..., 1].float()

    return run


@pytest.mark.parametrize("answer", [True, False])
def test_a_stream_is_captured_if_the_runtime_says_that_it_can_be(on_device: list[str], answer: bool) -> None:
    asked = []

    def capturable(stream: int) -> bool:
        asked.append(stream)
        return answer

    graph = captured.CapturedGraph(engine(on_device), SHAPE, torch.device("cpu"), "a test", capturable)
    assert asked == [STREAM]
    assert on_device == ["run"] * captured.WARM_UPS + (["capture", "run"] if answer else [])
    on_device.clear()
    graph(np.zeros((*SHAPE, 3), np.uint8))
    assert on_device == (["replay"] if answer else ["run"])


def test_what_is_one_graph_already_is_never_captured_and_answers_each_picture(on_device: list[str]) -> None:
    graph = captured.CapturedGraph(engine(on_device), SHAPE, torch.device("cpu"), "a test", capture=False)
    for value in (3, 200):
        labels, score = graph(np.full((*SHAPE, 3), value, np.uint8))
        assert (labels == value).all()
        assert (score == value).all()
    assert "capture" not in on_device


@pytest.mark.parametrize("one_graph", [True, False])
def test_only_a_runtime_without_a_graph_of_its_own_is_captured(
    on_device: list[str], monkeypatch: pytest.MonkeyPatch, one_graph: bool
) -> None:
    """TensorRT-RTX allocates while it runs, which a graph from outside cannot hold."""
    context = SimpleNamespace(
        set_tensor_address=lambda name, memory: True,
        execute_async_v3=lambda stream: True,
        is_stream_capturable=lambda stream: stream == STREAM,
    )
    found: dict = {}
    monkeypatch.setattr(tensorrt, "deserialized", lambda *_: None)
    monkeypatch.setattr(tensorrt, "tensor_names", lambda *_: ("images", "labels", "score"))
    monkeypatch.setattr(tensorrt, "context_of", lambda *_: (context, None, one_graph))
    monkeypatch.setattr(tensorrt, "CapturedGraph", lambda *_, capture: found.update(capture=capture))
    loaded = object.__new__(tensorrt.TensorRtEngine)
    loaded._api = loaded._runtime = None
    loaded._score_type, loaded.device, loaded.identity = torch.float32, torch.device("cpu"), "a test"
    loaded.bind(Path("engine.plan"), SHAPE, SHAPE)
    if one_graph:
        assert found["capture"] is False
    else:
        assert found["capture"](STREAM)
        assert not found["capture"](STREAM + 1)
