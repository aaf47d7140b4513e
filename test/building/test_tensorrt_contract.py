"""The engine code against the bindings of every TensorRT that vehicles have, without the library: see
`tensorrt_standin.py`. The wheels come from PyPI while the test runs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
import torch

from oodseg_ros.building.onnx_export import export_onnx
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor

VERSIONS = {
    "10.3.0": "JetPack 6.1 and 6.2",
    "10.7.0": "JetPack 6.x by apt",
    "10.13.3.9": "JetPack 7.1",
    "10.15.1.29": "data centres",
    "10.16.1.11": "JetPack 7.2",
    "11.0.0.114": "strongly typed only",
    "11.1.0.106": "",
    "11.4.0.106": "JetPack 7.2.2",
}
SHAPE = [1, 64, 96]
ROOT = Path(__file__).resolve().parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("readelf"), reason="needs gcc and readelf"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = {
        "backbone": {"name": "efficientnet_lite", "variant": 0},
        "decoder": {"name": "fpn", "channels": 16},
        "classifier": {"name": "gmm", "classes": 5},
        "head": {"name": "uem", "levels": [1, 3], "hidden": 16, "width": 16, "form": "G"},
        "score": "likelihood_ratio",
    }
    spec = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=32)
    file = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(export_onnx(build_segmentor(network).eval(), spec, *SHAPE, "fp16"), file)
    return file


@pytest.fixture(scope="module")
def bindings(tmp_path_factory: pytest.TempPathFactory):
    """Version → folder with the unpacked bindings of `tensorrt`."""
    folder = tmp_path_factory.mktemp("bindings")

    def get(version: str) -> Path:
        place = folder / version
        if not place.is_dir():
            command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q", "--no-deps"]
            command += ["-d", str(folder / f"{version}-wheel"), f"tensorrt-cu12-bindings=={version}"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode:
                pytest.skip(f"bindings {version} could not be had: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            with zipfile.ZipFile(next((folder / f"{version}-wheel").glob("*.whl"))) as wheel:
                wheel.extractall(place)
        return place

    return get


def run(folder: Path, package: str, model: Path, cache: Path, *trouble: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OODSEG_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(__file__).with_name("tensorrt_standin.py")), str(folder), package, str(model)]
    return subprocess.run(
        [*command, *trouble], capture_output=True, text=True, timeout=300, check=False, env=environment
    )


def found(done: subprocess.CompletedProcess) -> dict:
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(report: dict) -> list[str]:
    """What holds for every version; the names of the calls."""
    images, labels, score = report["bindings"]
    assert (images, labels, score) == ("images", "labels", "score")
    assert report["bindings"] == {
        images: ["torch.uint8", [*SHAPE, 3], True],
        labels: ["torch.uint8", SHAPE, True],
        score: ["torch.float32", SHAPE, True],
    }
    assert report["answers"] == [SHAPE, SHAPE]
    assert report["phases"]["Building"] == 1.0
    names = [name for name, _ in report["calls"]]
    order = ["OnnxParser.parse", "Builder.build_serialized_network", "Runtime.deserialize_cuda_engine"]
    order += ["ICudaEngine.create_execution_context", "IExecutionContext.execute_async_v3"]
    assert [name for name in names if name in order] == order
    bound = [arguments[0] for name, arguments in report["calls"] if name == "IExecutionContext.set_tensor_address"]
    assert bound == ["'labels'", "'score'", "'images'"]
    assert report["calls"][-1][0] != "IExecutionContext.set_tensor_address"
    flags = [arguments for name, arguments in report["calls"] if name == "IBuilderConfig.clear_flag"]
    assert len(flags) == 1
    assert "TF32" in flags[0][0]
    return names


@pytest.mark.parametrize("version", VERSIONS)
def test_engines_are_built_loaded_and_bound_by_these_bindings(bindings, version: str, model: Path, tmp_path: Path):
    report = found(run(bindings(version), "tensorrt_bindings", model, tmp_path))
    assert report["version"].startswith(version.removesuffix(".post1"))
    names = check(report)
    limits = [arguments for name, arguments in report["calls"] if name == "IBuilderConfig.set_memory_pool_limit"]
    assert [(pool.split(".")[1].split(":")[0], int(size)) for pool, size in limits] == [
        ("WORKSPACE", 1 << 30),
        ("TACTIC_DRAM", 1 << 30),
    ]
    flags = next(arguments for name, arguments in report["calls"] if name == "Builder.create_network")
    assert version.startswith("11.") or flags == ["2"]  # STRONGLY_TYPED; 11 knows no other networks
    assert names.count("IBuilderConfig.set_timing_cache") == 1
    assert report["capturable"]
    assert not report["one_graph"]
    (cache,) = (tmp_path / "timing").iterdir()
    assert cache.name == f"tensorrt-{report['version']}-sm_87-16sm-4096kb-256bit-61gib.cache"
    assert cache.read_bytes() == b"measured"


@pytest.mark.parametrize("version", ["10.3.0", "11.4.0.106"])
def test_a_refused_timing_cache_costs_time_and_nothing_else(bindings, version: str, model: Path, tmp_path: Path):
    folder = bindings(version)
    found(run(folder, "tensorrt_bindings", model, tmp_path))
    report = found(run(folder, "tensorrt_bindings", model, tmp_path, "refuse-timing-cache"))
    assert [name for name, _ in report["calls"]].count("IBuilderConfig.set_timing_cache") == 2


@pytest.mark.parametrize("version", ["10.3.0", "11.4.0.106"])
def test_a_build_that_fails_for_memory_says_what_to_lower(bindings, version: str, model: Path, tmp_path: Path):
    done = run(bindings(version), "tensorrt_bindings", model, tmp_path, "out-of-memory")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "memory ran out" in last
    assert "of 2048 MiB that were free, 1024 were allowed" in last
    assert "lower --batch or --size" in last


@pytest.mark.skipif(find_spec("tensorrt_rtx_bindings") is None, reason="TensorRT-RTX is not installed")
def test_tensorrt_rtx_launches_its_own_graph_and_is_asked_for_validity(model: Path, tmp_path: Path):
    installed = Path(find_spec("tensorrt_rtx_bindings").origin).parent
    shutil.copytree(installed, tmp_path / "rtx" / installed.name)
    report = found(run(tmp_path / "rtx", "tensorrt_rtx_bindings", model, tmp_path / "cache"))
    names = check(report)
    assert report["one_graph"]
    assert names.index("Runtime.get_engine_validity") < names.index("Runtime.deserialize_cuda_engine")
    assert names.index("IRuntimeConfig.cuda_graph_strategy =") < names.index("ICudaEngine.create_execution_context")
    assert "IBuilderConfig.set_timing_cache" not in names
    assert [file.read_bytes() for file in (tmp_path / "cache" / "kernels").iterdir()] == [b"kernels"]
