"""A member that is a whole network of its own: its score is that of the same network run apart on the same picture."""

from __future__ import annotations

import copy

import pytest
import torch

from oodseg_ros.errors import BundleError
from oodseg_ros.inference.graph import DeployGraph
from oodseg_ros.inference.windows import Windowed
from oodseg_ros.model_card import InputSpec
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.heads.ensemble import with_member

HEIGHT, WIDTH = 64, 128
MEANS, DEVIATIONS = torch.tensor([1.0, -0.3]), torch.tensor([0.005, 0.05])


@pytest.fixture
def picture() -> torch.Tensor:
    """uint8 `[1, H, W, 3]`."""
    return torch.randint(0, 256, (1, HEIGHT, WIDTH, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)


@pytest.fixture
def two(small_specs, request):
    """(both networks in one, its input, the other network, its input); a parameter changes the inputs."""
    change = getattr(request, "param", {})
    own, other = change.get("own", {}), change.get("other", {})
    sees = InputSpec(mean=(0.3, 0.5, 0.6), std=(0.25, 0.3, 0.2), pixels=1 << 20, multiple=32).model_copy(update=own)
    spec = copy.deepcopy(small_specs["two_networks"])
    spec["head"]["members"][1]["head"]["input"] |= other
    torch.manual_seed(0)
    network = build_segmentor(spec, sees).eval()
    head = network.head.members[1].head
    with torch.no_grad():
        network.head.mean.copy_(MEANS)
        network.head.deviation.copy_(DEVIATIONS)
    return network, sees, head.network, head.spec


@pytest.mark.parametrize(
    "two",
    [
        {},
        {"own": {"output_stride": 2}},
        {"own": {"channel_order": "bgr"}},
        {"other": {"channel_order": "bgr", "output_stride": 2}},
        {"other": {"pixels": 1 << 20}},
    ],
    indirect=True,
    ids=["smaller", "stride", "bgr", "other_bgr_stride", "as_large"],
)
@torch.no_grad()
def test_the_score_is_the_sum_of_both_run_apart(two, picture):
    network, sees, other, input = two
    first = with_member(network, 0)
    labels, score = DeployGraph(network, sees, HEIGHT, WIDTH).eval()(picture)
    classes, one = DeployGraph(first, sees, HEIGHT, WIDTH).eval()(picture)
    _, another = DeployGraph(other, input, HEIGHT, WIDTH).eval()(picture)
    assert torch.equal(labels, classes)
    expected = ((one - MEANS[0]) / DEVIATIONS[0] + (another - MEANS[1]) / DEVIATIONS[1]) / 2
    difference = (score - expected).abs()
    # Formed smaller, the other's score is made smaller and larger again.
    exact = sees.output_stride == input.output_stride == 1
    assert difference.mean() < (1e-4 if exact else 0.05) * expected.std()


@torch.no_grad()
def test_its_positions_are_constants_of_the_graph(two, picture):
    network, sees, other, _ = two
    graph = DeployGraph(network, sees, HEIGHT, WIDTH).eval()
    exported = torch.export.export(graph, (picture,), strict=False)
    assert not any("bicubic" in str(node.target) for node in exported.graph.nodes)
    torch.testing.assert_close(exported.module()(picture)[1], graph(picture)[1], atol=1e-4, rtol=1e-4)
    assert hasattr(other.backbone, "positions_3x6")  # 42x84 pixels of at most 4000


@torch.no_grad()
def test_over_windows_its_scores_are_averaged(two):
    network, _, _, _ = two
    images = torch.randn(1, 3, 64, 96)
    left, right = (network(images[..., x : x + 64]).score for x in (0, 32))
    seen = Windowed(network, (64, 64), (64, 32))(images).score
    torch.testing.assert_close(seen[..., :32], left[..., :32])
    assert not torch.allclose(seen[..., 32:64], left[..., 32:])
    torch.testing.assert_close(seen[..., 64:], right[..., 32:])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"input": {"mean": [0.5] * 3, "std": [0.5] * 3, "pixels": 4000, "multiple": 16}}, "multiple 16 is none of"),
        ({"input": {"mean": [0.5] * 3, "pixels": 4000, "multiple": 14}}, r"head 'other_network': input: std: Field"),
        ({"input": None}, "input: "),
        ({"network": {"decoder": {"name": "none"}}}, "in its own network spec: backbone is missing"),
        ({"scale": 2}, "scale"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(small_specs, build, change, said):
    spec = copy.deepcopy(small_specs["two_networks"])
    spec["head"]["members"][1]["head"] |= change
    with pytest.raises(BundleError, match=said):
        build(spec)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"windows": {"height": 28, "width": 28, "stride_y": 28, "stride_x": 28}}, "`windows` and `resize` are none"),
        ({"resize": {"height": 28, "width": 28}}, "`windows` and `resize` are none"),
    ],
)
def test_it_has_no_way_of_its_own_through_the_picture(small_specs, build, change, said):
    spec = copy.deepcopy(small_specs["two_networks"])
    spec["head"]["members"][1]["head"]["input"] |= change
    with pytest.raises(BundleError, match=said):
        build(spec)


def test_it_must_know_what_the_first_network_sees(small_specs):
    with pytest.raises(BundleError, match="must know how images are normalised"):
        build_segmentor(small_specs["two_networks"])


def test_a_score_that_needs_a_backward_pass_is_refused(small_specs, build):
    spec = copy.deepcopy(small_specs["two_networks"])
    spec["head"]["members"][1]["head"]["network"] |= {"head": None, "score": "odin"}
    with pytest.raises(BundleError, match="score 'odin' needs a backward pass"):
        build(spec)
