"""What the TensorRT builder refuses, and how it says so. (All networks: test/networks/test_tensorrt_compiles.py.)"""

from __future__ import annotations

import gc
import weakref
from importlib.util import find_spec

import onnx
import pytest
from onnx import TensorProto, helper

from oodseg_ros.building.onnx_export import SCOPE, export_onnx
from oodseg_ros.building.onnx_precision import islands
from oodseg_ros.building.order import Order
from oodseg_ros.building.tensorrt import identity
from oodseg_ros.building.tensorrt_plan import build_plan, check_islands, parsed
from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import EngineError
from oodseg_ros.inference.engines.tensorrt_api import Collector, load_api

SHAPE = (1, 32, 64)


@pytest.fixture(autouse=True)
def _needs_tensorrt_rtx() -> None:
    try:
        load_api("tensorrt_rtx")
    except EngineError as error:
        pytest.skip(str(error))


def graph(*middle: onnx.NodeProto, score: str = "sum") -> onnx.ModelProto:
    """uint8 image → channel sum as score, class 0 everywhere, with `middle` between the cast and the sum."""
    nodes = [
        helper.make_node("Cast", ["images"], ["x"], "cast", to=TensorProto.FLOAT),
        *middle,
        helper.make_node("ReduceSum", ["y" if middle else "x", "axes"], ["sum"], "sum_node", keepdims=0),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"], "nothing_node"),
        helper.make_node("Cast", ["nothing"], ["labels"], "labels_node", to=TensorProto.UINT8),
        helper.make_node("Identity", [score], ["score"], "score_node"),
    ]
    for node in nodes:
        node.metadata_props.add(key=SCOPE, value="")
    return helper.make_model(
        helper.make_graph(
            nodes,
            "test",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, (*SHAPE, 3))],
            [
                helper.make_tensor_value_info("labels", TensorProto.UINT8, SHAPE),
                helper.make_tensor_value_info("score", TensorProto.FLOAT, SHAPE),
            ],
            [
                helper.make_tensor("axes", TensorProto.INT64, [1], [3]),
                helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
    )


def test_a_small_graph_is_built_for_a_named_target_and_tells_its_progress() -> None:
    phases: dict[str, float] = {}
    plan = build_plan(graph(), "tensorrt_rtx", "sm_89", progress=phases.__setitem__)
    assert plan.tensors == {"images": "UINT8 1x32x64x3", "labels": "UINT8 1x32x64", "score": "FLOAT 1x32x64"}
    assert plan.data
    assert phases
    assert all(value == 1.0 for value in phases.values())


def test_an_architecture_that_it_cannot_build_for_is_said() -> None:
    with pytest.raises(EngineError, match=r"builds for sm_75, .*sm_120, sm_121, not for 'sm_90'; use engine: tensorrt"):
        build_plan(graph(), "tensorrt_rtx", "sm_90")


def test_that_is_said_before_anything_is_exported() -> None:
    order = Order("tensorrt_rtx", "fp16", 540, 960, target="sm_87")
    with pytest.raises(EngineError, match="not for 'sm_87'"):
        identity(load_bundle("road_lite"), order)


@pytest.mark.parametrize("target", ["89", "sm89", "SM_89", "sm_12.0", "orin", ""])
def test_what_is_no_architecture_is_said(target: str) -> None:
    with pytest.raises(EngineError, match=f"target {target!r} is no compute capability; write it as one of sm_75"):
        build_plan(graph(), "tensorrt_rtx", target)


def test_a_float32_matrix_product_on_turing_is_refused_with_what_to_do() -> None:
    product = helper.make_node("MatMul", ["x", "weights"], ["y"], "product")
    model = graph(product)
    model.graph.initializer.append(helper.make_tensor("weights", TensorProto.FLOAT, [3, 3], [0.5] * 9))
    assert build_plan(model, "tensorrt_rtx", "sm_80").data
    with pytest.raises(EngineError, match=r"FP32 GEMM is not supported.*use engine: tensorrt or torch there"):
        build_plan(model, "tensorrt_rtx", "sm_75")


def test_an_operation_that_tensorrt_has_not_is_named() -> None:
    det = helper.make_node("Det", ["x"], ["y"], "determinant")
    with pytest.raises(EngineError, match=r"cannot compile this network: operation Det \(determinant\)"):
        build_plan(graph(det), "tensorrt_rtx", "sm_89")


def test_other_outputs_than_declared_are_refused() -> None:
    model = graph()
    model.graph.output[1].name = "anomaly"
    model.graph.node[-1].output[0] = "anomaly"
    with pytest.raises(EngineError, match="other inputs or outputs"):
        build_plan(model, "tensorrt_rtx", "sm_89")


def test_a_score_in_half_precision_is_refused() -> None:
    half = helper.make_node("Cast", ["sum"], ["half"], "half_node", to=TensorProto.FLOAT16)
    back = helper.make_node("Cast", ["half"], ["full"], "full_node", to=TensorProto.FLOAT)
    model = graph(score="full")
    model.graph.node.insert(4, half)
    model.graph.node.insert(5, back)
    assert "half_node" in islands(model, ())
    with pytest.raises(EngineError, match="layer half_node would compute in half precision"):
        build_plan(model, "tensorrt_rtx", "sm_89")


@pytest.mark.skipif(find_spec("tensorrt") is not None, reason="TensorRT is installed here")
def test_a_missing_package_is_said_with_where_it_comes_from() -> None:
    with pytest.raises(EngineError, match=r"needs the Python package tensorrt, .* JetPack"):
        build_plan(graph(), "tensorrt")


def test_a_check_that_saw_no_island_is_no_check() -> None:
    """The parser of another version may name its layers otherwise; then nobody knows in which type they compute."""
    half = helper.make_node("Cast", ["x"], ["y"], "half_node", to=TensorProto.FLOAT16)
    full = helper.make_node("Cast", ["y"], ["z"], "full_node", to=TensorProto.FLOAT)
    model = graph(half)
    model.graph.node.insert(2, full)
    model.graph.node[3].input[0] = "z"
    api = load_api("tensorrt_rtx")
    logger = Collector(api)
    network, parser = parsed(api, api.Builder(logger.logger), logger, model)
    names = islands(model, ())
    assert "sum_node" in names
    check_islands(api, network, {"sum_node"})
    for unknown in (set(), {"sum_node", "renamed"}):
        with pytest.raises(EngineError, match=r"cannot be found in the network that TensorRT .*whether they would"):
            check_islands(api, network, unknown)
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        layer.name = f"other {layer.name}"
    check_islands(api, network, {"sum_node"})  # the metadata still tells where a layer came from
    del parser


def test_every_builder_and_runtime_of_a_process_has_one_logger(caplog: pytest.LogCaptureFixture) -> None:
    """A second one is only told that it is ignored, under a lock that a dying builder waits for: builds then hung."""
    api = load_api("tensorrt_rtx")
    first = Collector(api)
    builder = api.Builder(first.logger)
    with pytest.raises(EngineError, match="operation Det"):
        build_plan(graph(helper.make_node("Det", ["x"], ["y"], "determinant")), "tensorrt_rtx", "sm_89")
    second = Collector(api)
    assert second.logger is first.logger
    assert second.errors == []
    assert first.errors
    del first, second
    runtime = api.Runtime(Collector(api).logger)
    assert runtime.deserialize_cuda_engine(b"no engine") is None
    assert "differs from one already registered" not in caplog.text
    assert "tensorrt_rtx" in caplog.text  # what the runtime says is said
    del builder


def test_nothing_of_a_build_waits_for_a_garbage_collection() -> None:
    class Held:
        pass

    def building() -> weakref.ref:
        held = Held()
        load_api("tensorrt_rtx")
        return weakref.ref(held)

    gc.disable()
    try:
        assert building()() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("same_size", [True, False])
def test_uint8_is_only_cast_from_floating_numbers(same_size: bool, tiny_bundle) -> None:
    """TensorRT documents uint8 outputs of float sources only."""
    bundle = load_bundle(tiny_bundle)
    size = (64, 128) if same_size else (96, 160)
    model = export_onnx(bundle.segmentor(), bundle.card.input, 1, *size)
    api = load_api("tensorrt_rtx")
    logger = Collector(api)
    network, parser = parsed(api, api.Builder(logger.logger), logger, model)
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    casts = [one for one in layers if one.get_output(0).dtype == api.DataType.UINT8]
    assert casts
    assert {one.get_input(0).dtype for one in casts} == {api.DataType.FLOAT}
    del parser
