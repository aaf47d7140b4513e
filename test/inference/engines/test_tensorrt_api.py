"""Which devices share an engine, and what TensorRT-RTX says of one that it would not load."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from oodseg_ros.errors import EngineError
from oodseg_ros.inference.engines.tensorrt_api import INVALID, architecture, check_valid, load_api

GIB = 1 << 30
AGX_ORIN = SimpleNamespace(multi_processor_count=16, L2_cache_size=4 << 20, memory_bus_width=256, total_memory=61 * GIB)
ORIN_NANO = SimpleNamespace(multi_processor_count=8, L2_cache_size=2 << 20, memory_bus_width=128, total_memory=7 * GIB)


@pytest.fixture
def rtx():
    try:
        return load_api("tensorrt_rtx")
    except EngineError as error:
        pytest.skip(str(error))


def device(monkeypatch: pytest.MonkeyPatch, properties: SimpleNamespace) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 7))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)


def test_an_agx_orin_and_an_orin_nano_exchange_no_tensorrt_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for name, properties in (("agx", AGX_ORIN), ("nano", ORIN_NANO)):
        device(monkeypatch, properties)
        names[name] = architecture("tensorrt"), architecture("tensorrt_rtx")
    assert names["agx"] == ("sm_87-16sm-4096kb-256bit-61gib", "sm_87")
    assert names["nano"] == ("sm_87-8sm-2048kb-128bit-7gib", "sm_87")


def test_a_torch_that_does_not_know_the_bus_says_so_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    device(monkeypatch, SimpleNamespace(**{**vars(AGX_ORIN), "memory_bus_width": None}))
    assert architecture("tensorrt") == "sm_87-16sm-4096kb-0bit-61gib"


def test_the_reasons_are_those_of_the_bindings(rtx) -> None:
    assert {int(flag) for flag in rtx.EngineInvalidityDiagnostics.__members__.values()} == set(INVALID)


def test_a_damaged_engine_is_called_damaged_by_the_runtime_itself(rtx) -> None:
    runtime = rtx.Runtime(rtx.Logger(rtx.Logger.INTERNAL_ERROR))
    with pytest.raises(EngineError, match="test cannot use this engine: the file is damaged; build it again"):
        check_valid(rtx, runtime, b"x" * 200, "tensorrt_rtx-test")


@pytest.mark.parametrize(
    ("bits", "words"),
    [(1, "another version"), (2 | 4, "compute capability and the driver is too old"), (0, "log")],
)
def test_every_reason_is_said(rtx, bits: int, words: str) -> None:
    runtime = SimpleNamespace(get_engine_validity=lambda plan: (rtx.EngineValidity.INVALID, bits))
    with pytest.raises(EngineError, match=words):
        check_valid(rtx, runtime, b"", "x")


def test_a_runtime_that_cannot_be_asked_is_not_asked() -> None:
    check_valid(None, SimpleNamespace(), b"", "x")
