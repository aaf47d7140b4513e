"""`oodseg build` and `oodseg export-onnx`: what they print, and that refusals end with the sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodseg_ros.building.openvino import computes_bf16
from oodseg_ros.cli.main import build_app
from oodseg_ros.errors import ConfigError, DatasetError, EngineError
from oodseg_ros.inference.engines.openvino import openvino_core


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path / "cache"))


def invoke(*words: str):
    return CliRunner(env={"COLUMNS": "200"}).invoke(build_app([words[0]]), list(words))


def test_a_build_says_what_it_made_and_the_second_what_was_there(tiny_bundle: Path) -> None:
    words = ("build", str(tiny_bundle), "--engine", "torch", "--precision", "bf16", "--size", "128x64", "--frames", "2")
    words += ("--allowed-ap", "1", "--allowed-fpr95", "1")
    first = invoke(*words)
    assert first.exit_code == 0, first.output
    assert "accepted on 2 frames of procedural scenes" in first.output
    second = invoke(*words)
    assert "was there already" in second.output
    assert "accepted on" not in second.output


@pytest.mark.parametrize("able", [True, False])
def test_bf16_that_openvino_computes_in_fp32_is_told(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, able: bool
) -> None:
    here = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert computes_bf16() == here
    monkeypatch.setattr("oodseg_ros.building.openvino.computes_bf16", lambda: able)
    words = ("build", str(tiny_bundle), "--engine", "openvino", "--precision", "bf16", "--size", "128x64", "--json")
    done = invoke(*words, "--frames", "2", "--allowed-ap", "1", "--allowed-fpr95", "1")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["computes_fp32"] is not able
    assert ("has no BF16" in done.stderr) is not able


def test_fp32_of_openvino_needs_no_build(tiny_bundle: Path) -> None:
    result = invoke("build", str(tiny_bundle), "--engine", "openvino", "--precision", "fp32", "--size", "128x64")
    assert "needs no build" in result.output


@pytest.mark.parametrize(
    ("options", "kind", "sentence"),
    [
        (["--size", "1080p"], ConfigError, "is not WIDTHxHEIGHT"),
        (["--size", "128x64", "--accept-on", "road_anomaly_21"], DatasetError, "needs --root"),
        (["--size", "128x64", "--precision", "int8"], EngineError, "--calibration"),
        (
            ["--size", "128x64", "--engine", "torch", "--allowed-fpr95", "0", "--frames", "2"],
            EngineError,
            "refused",
        ),
    ],
)
def test_refusals_end_with_their_sentence(tiny_bundle: Path, options: list[str], kind: type, sentence: str) -> None:
    result = invoke("build", str(tiny_bundle), "--engine", "openvino", "--precision", "bf16", *options)
    assert isinstance(result.exception, kind), result.output
    assert sentence in str(result.exception)
    assert not list(Path(tiny_bundle).glob("engines/*"))


def test_an_export_must_be_of_a_precision_that_onnx_has(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    result = invoke("export-onnx", str(tiny_bundle), "--size", "128x64", "--out", str(out), "--precision", "bf16")
    assert isinstance(result.exception, EngineError)
    assert not out.exists()


@pytest.mark.slow
def test_an_export_is_written_and_compared(tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    result = invoke("export-onnx", str(tiny_bundle), "--size", "128x64", "--out", str(out))
    assert result.exit_code == 0, result.output
    assert out.is_file()
    assert "ONNX Runtime against torch in FP32" in result.output
