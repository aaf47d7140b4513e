"""Every kind of network becomes one TensorRT engine on a machine without a GPU: declared inputs and outputs, half
precision where it may round, float32 where it decides.
"""

from __future__ import annotations

import pytest

from oodseg_ros.building.onnx_export import export_onnx
from oodseg_ros.building.onnx_precision import islands
from oodseg_ros.building.tensorrt_plan import Collector, build_plan, check_islands, parsed
from oodseg_ros.errors import EngineError
from oodseg_ros.inference.engines.tensorrt_api import load_api
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


@pytest.mark.slow
def test_uem_on_vit_b_at_full_size(api) -> None:
    segmentor = build_segmentor(VIT_B).eval()
    checked(api, exported(segmentor, (518, 1036)), tuple(half_parts(segmentor)), (518, 1036))
