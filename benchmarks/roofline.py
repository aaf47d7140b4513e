"""What a device could do at best, on paper: FLOPs over its rate, bytes over its bandwidth, for images of one size.

    python benchmarks/roofline.py [--size 1920x1080] [--tops 275 --gb-s 204]

Without a rate and a bandwidth: NVIDIA's modules. Weights and activations are counted in half precision: every layer's
output is written and read once. The rate that NVIDIA publishes is for INT8 with sparsity; a dense network in half
precision can have a quarter of it, and that is what is divided by. Nothing is run: networks live on torch's meta
device. No engine reaches such a floor.
"""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.bundle import load_bundle
from oodseg_ros.inference.graph import DeployGraph
from oodseg_ros.inference.sizes import network_size
from oodseg_ros.networks.build import build_segmentor

SEGFORMER = {
    "backbone": {"name": "mit", "variant": "b0"},
    "decoder": {"name": "all_mlp", "channels": 256},
    "classifier": {"name": "linear", "classes": 19},
    "head": None,
    "score": "energy",
}
UEM = {
    "backbone": {"name": "dinov2", "variant": "s"},
    "decoder": {"name": "dino_fpn"},
    "classifier": {"name": "linear", "classes": 19},
    "head": {"name": "uem", "levels": [3], "hidden": 512, "width": 256},
    "score": "likelihood_ratio",
}
MODULES = {
    "AGX Orin 64 GB": (275, 204), "Orin NX 16 GB": (157, 102), "Orin Nano 8 GB": (67, 102), "Thor T5000": (1035, 273),
}  # fmt: skip
"""Published TOPS (sparse INT8 in the fastest power mode; Thor: sparse FP8) and GB/s."""
HALF, DENSE = 2, 0.25
"""Bytes of a number; share of the published sparse INT8 rate that dense half precision has."""


def spec(multiple: int, pixels: int) -> Any:
    """An input of a network with random weights."""
    return SimpleNamespace(
        mean=(0.5,) * 3, std=(0.25,) * 3, pixels=pixels, multiple=multiple, windows=None, resize=None,
        channel_order="rgb", output_stride=1,
    )  # fmt: skip


def counted(network: dict[str, Any], given: Any, size: tuple[int, int]) -> dict[str, float]:
    """GFLOP, MB of weights, MB written by leaf modules, all of one image."""
    written = 0

    def count(_: Any, __: Any, output: Any) -> None:
        nonlocal written
        written += sum(one.numel() for one in (output if isinstance(output, (list, tuple)) else [output])
                       if isinstance(one, torch.Tensor))  # fmt: skip

    inner = network_size(*size, given)
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        segmentor = build_segmentor(network).eval()
        for module in segmentor.modules():
            if not list(module.children()):
                module.register_forward_hook(count)
        DeployGraph(segmentor, given, *inner, whole=False)(torch.zeros(1, *inner, 3, dtype=torch.uint8))
    weights = sum(parameter.numel() for parameter in segmentor.parameters())
    return {
        "gflop": counter.get_total_flops() / 1e9,
        "weights_mb": weights * HALF / 1e6,
        "activations_mb": written * HALF / 1e6,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tops", type=float, help="published, INT8 with sparsity")
    parser.add_argument("--gb-s", type=float)
    parser.add_argument("--size", default="1920x1080")
    options = parser.parse_args()
    size = tuple(map(int, options.size.split("x")))[::-1]
    bundle = load_bundle("road_lite").card
    cases = {
        "road_lite": (bundle.network, bundle.input),
        "SegFormer-B0": (SEGFORMER, spec(32, 1 << 19)),
        "UEM on ViT-S": (UEM, spec(14, 1 << 19)),
    }
    if (options.tops is None) != (options.gb_s is None):
        parser.error("--tops and --gb-s belong together")
    modules = MODULES if options.tops is None else {"yours": (options.tops, options.gb_s)}
    print("| network | network's input | GFLOP | weights MB | activations MB | " + " | ".join(modules) + " |")
    print("|---" * (5 + len(modules)) + "|")
    for name, (network, given) in cases.items():
        found = counted(network, given, size)
        floors = []
        for tops, bandwidth in modules.values():
            flops = found["gflop"] / (tops * DENSE)
            moved = (found["weights_mb"] + 2 * found["activations_mb"]) / bandwidth
            floors.append(f"{max(flops, moved):.1f} ms ({'FLOPs' if flops > moved else 'bytes'})")
        height, width = network_size(*size, given)
        print(
            f"| {name} | {width}x{height} | {found['gflop']:.0f} | {found['weights_mb']:.1f} "
            f"| {found['activations_mb']:.0f} | {' | '.join(floors)} |"
        )


if __name__ == "__main__":
    main()
