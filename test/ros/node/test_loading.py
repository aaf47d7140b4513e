"""`build_only`: what is built ahead, by the code of `oodseg build`.

The node refuses a bundle that is not signed by the key of its parameter `public_key`.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from oodseg_ros.building import build, gate_data
from oodseg_ros.building.build import Built
from oodseg_ros.building.order import Order
from oodseg_ros.bundle import Bundle, load_bundle
from oodseg_ros.errors import BundleError, ConfigError, EngineError
from oodseg_ros.evaluation.calibration.calibrate import write_calibration
from oodseg_ros.inference.engine_cache import stored
from oodseg_ros.object_rule import Objects, SecondLook, Strip
from oodseg_ros.parameters.schema import load_schema
from oodseg_ros.parameters.settings import make_settings
from oodseg_ros.ros.node.loading import build_engines, load_runner
from oodseg_ros.signatures import make_keys, sign_bundle

LOGGER = logging.getLogger("build")


def settings(bundle: Path, **changes: object) -> SimpleNamespace:
    """The part of the node's settings that a build reads."""
    values = {
        "bundle": str(bundle),
        "public_key": "",
        "engine": None,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "batch": 1,
        "warm_shapes": ((64, 128, 1),),
    }
    return SimpleNamespace(**{**values, **changes})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OODSEG_CACHE", str(tmp_path))


@pytest.mark.parametrize("engine", [None, "openvino", "torch"])
def test_fp32_is_compiled_at_load_and_not_built_ahead(tiny_bundle: Path, engine: str | None) -> None:
    build_engines(settings(tiny_bundle, engine=engine, warm_shapes=()), LOGGER)
    assert stored(load_bundle(tiny_bundle)) == []


def test_a_build_needs_a_size(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="openvino in bf16 is built for one image size; set warm_size"):
        build_engines(settings(tiny_bundle, engine="openvino", precision="bf16", warm_shapes=()), LOGGER)


def test_what_passed_the_gate_is_stored_for_one_image_and_for_the_batch(
    tiny_bundle: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_data, "SCENES", 4)
    ordered = settings(tiny_bundle, engine="torch", precision="bf16", warm_shapes=((64, 128, 1), (64, 128, 2)))
    with caplog.at_level(logging.INFO):
        build_engines(ordered, LOGGER)
    engines = stored(load_bundle(tiny_bundle))
    assert sorted(engine.side.identity.batch for engine in engines) == [1, 2]
    assert caplog.text.count("accepted on 4 frames of procedural scenes") == 2
    caplog.clear()
    with caplog.at_level(logging.INFO):
        build_engines(ordered, LOGGER)
    assert caplog.text.count("was built and accepted before") == 2


def test_a_strip_has_an_engine_of_its_own(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = load_bundle(tiny_bundle)
    at = bundle.card.calibration.threshold
    rules = {
        "objects": Objects(grow=at - 2, seed=0.5, beside=at),
        "second_look": SecondLook(zoom=1.5, grow=at - 2, above=at - 1, below=at, strip=Strip()),
    }
    bundle = write_calibration(bundle, bundle.card.calibration.model_copy(update=rules), tmp_path / "bundle")
    shapes = ((128, 256, 1), (72, 144, 1), (128, 256, 2))
    ordered: list[Order] = []
    judged: list[str] = []

    def build_engine(bundle: Bundle, order: Order, pairs: gate_data.GateData, data: str) -> Built:
        ordered.append(order)
        judged.append(data.partition(", ")[2])
        assert pairs.name == data
        return Built(None, None, reused=False)

    monkeypatch.setattr(build, "build_engine", build_engine)  # whether a random network passes its gate is not asked
    build_engines(settings(bundle.path, engine="torch", precision="bf16", warm_shapes=shapes), LOGGER)
    assert [(one.height, one.width, one.batch) for one in ordered] == [*shapes, (32, 256, 1), (32, 256, 2)]
    assert judged == ["", "", "", "their strips", "their strips"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"engine": "openvino", "precision": "int8"}, "--calibration"),
        ({"device": "gpu", "precision": "bf16"}, "unknown device 'gpu'; choose cpu, cuda"),
        ({"engine": "tensorrt_rtx", "precision": "int8", "device": "cuda"}, "tensorrt_rtx"),
    ],
)
def test_what_it_cannot_build_is_said(tiny_bundle: Path, changes: dict, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        build_engines(settings(tiny_bundle, **changes), LOGGER)


pytest.importorskip("rclpy")


def load(bundle: Path, key: Path) -> None:
    values = {name: spec.default for name, spec in load_schema().specs(["camera"]).items()}
    # An engine that does not exist: what is asked here comes before it.
    values |= {"bundle": str(bundle), "public_key": str(key), "engine": "none"}
    load_runner(make_settings(values), SimpleNamespace(info=logging.info, warning=logging.warning))


def test_unsigned_is_refused_signed_goes_on_to_the_engine(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))
    public = make_keys(tmp_path / "maker")
    with pytest.raises(BundleError, match="is not signed"):
        load(bundle, public)
    sign_bundle(bundle, tmp_path / "maker")
    with pytest.raises(EngineError, match="unknown engine 'none'"):
        load(bundle, public)
