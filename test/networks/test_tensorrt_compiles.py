"""Every kind of network becomes one TensorRT engine on a machine without a GPU: declared inputs and outputs, half
precision where it may round, float32 where it decides.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from oodseg_ros.building.onnx_export import export_onnx
from oodseg_ros.building.onnx_precision import islands
from oodseg_ros.building.tensorrt_plan import build_plan, check_islands, parsed
from oodseg_ros.errors import EngineError
from oodseg_ros.inference.engines.tensorrt_api import Collector, load_api
from oodseg_ros.inference.precision import half_parts
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor

VIT_B = {
    "backbone": {"name": "dinov2", "variant": "b"},
    "decoder": {"name": "dino_fpn"},
    "classifier": {"name": "gmm", "classes": 19},
    "head": {"name": "uem", "levels": [3]},
    "score": "likelihood_ratio",
}


@pytest.fixture(scope="module")
def api():
    try:
        return load_api("tensorrt_rtx")
    except EngineError as error:
        pytest.skip(str(error))


def exported(segmentor, size: tuple[int, int], precision: str = "fp16"):
    spec = InputSpec(mean=(0.5,) * 3, std=(0.25,) * 3, pixels=1 << 20, multiple=segmentor.multiple)
    return export_onnx(segmentor, spec, 1, *size, precision)


def checked(api, model, parts: tuple[str, ...], size: tuple[int, int], half: str = "HALF") -> None:
    """Builds the graph, and looks into the network that the parser made of it."""
    image = f"1x{size[0]}x{size[1]}"
    plan = build_plan(model, "tensorrt_rtx", "sm_89", parts)
    assert plan.tensors == {"images": f"UINT8 {image}x3", "labels": f"UINT8 {image}", "score": f"FLOAT {image}"}
    assert len(plan.data) > 10_000
    logger = Collector(api)
    network, parser = parsed(api, api.Builder(logger.logger), logger, model)
    types = {network.get_layer(i).name: network.get_layer(i).get_output(0).dtype for i in range(network.num_layers)}
    names = islands(model, parts)
    seen = {types[name] for name in names if name in types}
    assert api.DataType.FLOAT in seen
    half_types = {api.DataType.HALF, api.DataType.BF16}
    assert not half_types & seen
    assert half_types & set(types.values()) == {getattr(api.DataType, half)}
    # The check can fail: asked for float32 everywhere, it finds the half-precision backbone.
    with pytest.raises(EngineError, match="would compute in half precision"):
        check_islands(api, network, islands(model, ()))
    del parser


@pytest.mark.parametrize(
    ("precision", "half"), [("fp16", "HALF"), pytest.param("bf16", "BF16", marks=pytest.mark.slow)]
)
def test_uem_with_mixtures_becomes_one_engine(api, small_specs: dict, build, precision: str, half: str) -> None:
    segmentor, images = build(small_specs["uem_g_d"])
    size = tuple(images.shape[-2:])
    checked(api, exported(segmentor, size, precision), tuple(half_parts(segmentor)), size, half)


@pytest.mark.slow
def test_every_network_becomes_one_engine(api, small_spec: dict, build) -> None:
    segmentor, images = build(small_spec)
    size = tuple(images.shape[-2:])
    checked(api, exported(segmentor, size), tuple(half_parts(segmentor)), size)


BUILT = (75, 80, 86, 89, 120, 121)
LISTED = ", ".join(f"sm_{number}" for number in BUILT)
REFUSED = {87: "Orin", 90: "Hopper", 100: "Blackwell, data centre", 101: "Thor, CUDA 12", 110: "Thor, CUDA 13"}


@pytest.fixture(scope="module")
def small(small_specs: dict):
    """A network with float32 islands as ONNX, its parts in half precision, and its size."""
    torch.manual_seed(0)
    segmentor = build_segmentor(small_specs["uem_lite"]).eval()
    size = (segmentor.multiple * 2, segmentor.multiple * 4)
    return exported(segmentor, size), tuple(half_parts(segmentor))


@pytest.mark.slow
@pytest.mark.parametrize("target", BUILT)
def test_targets_that_are_built_for_without_a_device(api, small, target: int) -> None:
    model, parts = small
    assert len(build_plan(model, "tensorrt_rtx", f"sm_{target}", parts).data) > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("target", REFUSED)
def test_targets_that_are_refused_and_what_the_library_itself_says(api, small, target: int) -> None:
    """docs/engines.md holds both sentences. The library is asked past its list of names."""
    model, parts = small
    with pytest.raises(EngineError, match=rf"builds for {LISTED}, not for 'sm_{target}'; use engine: tensorrt on such"):
        build_plan(model, "tensorrt_rtx", f"sm_{target}", parts)
    logger = Collector(api)
    config = api.Builder(logger.logger).create_builder_config()
    config.num_compute_capabilities = 1
    assert not config.set_compute_capability(api.ComputeCapability(target), 0)
    assert "Compute capability is invalid or not supported" in logger.last


@pytest.mark.slow
def test_the_library_builds_for_no_target_that_the_table_lacks(api) -> None:
    """A version that knows more (or less) has docs/engines.md changed."""
    assert {int(value) for name, value in api.ComputeCapability.__members__.items() if "SM" in name} == set(BUILT)
    page = (Path(__file__).resolve().parents[2] / "docs" / "engines.md").read_text()
    for target in (*BUILT, *REFUSED):
        assert f"| sm_{target} " in page


@pytest.mark.slow
def test_uem_on_vit_b_at_full_size(api) -> None:
    segmentor = build_segmentor(VIT_B).eval()
    checked(api, exported(segmentor, (518, 1036)), tuple(half_parts(segmentor)), (518, 1036))
