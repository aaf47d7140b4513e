"""FLOPs and time of the fast forms against straightforward ports, in one run: UEM's window plans, RPL's residual.

    python benchmarks/networks.py [--time] [--out benchmarks/results/networks.json]

FLOPs are counted on shapes alone, at the papers' sizes, on any machine. `--time` also runs RPL's decoder and residual
block (real widths, behind the trunk) both ways, interleaved, on this CPU, and says how far the answers differ.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from oodseg_ros.inference.windows import WindowPlan, plan_by_count, plan_by_stride
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.networks.segmentor import HeadInput

UEM = {
    "backbone": {"name": "dinov2", "variant": "b"},
    "decoder": {"name": "dino_fpn"},
    "classifier": {"name": "linear", "classes": 19},
    "head": {"name": "uem", "levels": [3], "hidden": 512, "width": 256},
    "score": "likelihood_ratio",
}
RPL = {
    "backbone": {"name": "wide_resnet38"},
    "decoder": {"name": "deeplab"},
    "classifier": {"name": "linear", "classes": 19, "bias": False},
    "head": {"name": "residual_pattern"},
    "score": "residual_energy",
}
FRAME = (1024, 2048)
WINDOW = (518, 1036)


def flops(call: Any, *inputs: Tensor) -> float:
    """TFLOP of one call on meta tensors; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call(*inputs)
    return counter.get_total_flops() / 1e12


def uem_plans() -> list[dict[str, Any]]:
    """FLOPs of UEM per 2048x1024 frame for each window plan; the first row is the reference, as written."""
    with torch.device("meta"):
        network = build_segmentor(UEM).eval()
        window = torch.zeros(1, 3, *WINDOW)
        one, backbone = flops(network, window), flops(network.backbone, window)
        rows = [
            _row("reference: stride 140, backbone twice", plan_by_stride(FRAME, WINDOW, (140, 140)), one + backbone)
        ]
        rows.append(_row("stride 140, backbone once", plan_by_stride(FRAME, WINDOW, (140, 140)), one))
        for count in ((2, 4), (2, 2)):
            plan = plan_by_count(FRAME, WINDOW, count)
            rows.append(_row(f"{len(plan)} windows", plan, one))
        tall = (1022, 1036)
        cost = flops(network, torch.zeros(1, 3, *tall))
        rows.append(_row("2 windows of full height", plan_by_count((1022, 2044), tall, (1, 2)), cost))
        whole = (1022, 2044)
        rows.append(_row("one pass", plan_by_count(whole, whole, (1, 1)), flops(network, torch.zeros(1, 3, *whole))))
    for row in rows:
        row["times_fewer"] = rows[0]["tflop"] / row["tflop"]
    return rows


def _row(name: str, plan: WindowPlan, each: float) -> dict[str, Any]:
    size = f"{plan.width}x{plan.height}"
    return {"plan": name, "windows": len(plan), "size": size, "tflop": len(plan) * each}


class Port(nn.Module):
    """RPL behind the trunk as its reference computes it: all at the fine resolution, the last block twice."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        decoder, head = self.network.decoder, self.network.head

        def up(x: Tensor) -> Tensor:
            return F.interpolate(x, size=fine.shape[-2:], mode="bilinear", align_corners=True)

        joined = torch.cat([decoder.bot_fine(fine), up(decoder.bot_aspp(decoder.aspp(coarse)))], dim=1)
        residual = head.final(up(head.bottleneck(head.aspp(coarse))))
        classify = self.network.classifier
        return classify(decoder.final(joined)), classify(decoder.final(joined + residual))


class Fast(nn.Module):
    """The same quantities by this project's decoder and head."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        decoder, classify = self.network.decoder, self.network.classifier
        merged = decoder.merge([fine, coarse])
        decoded = decoder.refine(merged)
        given = HeadInput(fine, [fine, coarse], merged, decoded, decoder, classify)
        return classify(decoded), self.network.head.second_logits(given)


def rpl_flops() -> list[dict[str, Any]]:
    """FLOPs per 2048x1024 frame of the trunk, and of what is behind it, both ways."""
    with torch.device("meta"):
        network = build_segmentor(RPL).eval()
        trunk = flops(network.backbone, torch.zeros(1, 3, *FRAME))
        maps = network.backbone(torch.zeros(1, 3, *FRAME))
        port, fast = flops(Port(network), *maps), flops(Fast(network), *maps)
        pools = flops(network.decoder.aspp, maps[1]) + flops(network.head.aspp, maps[1])
    return [
        {"form": "port", "behind_trunk": port, "whole": trunk + port, "without_trunk_and_aspps": port - pools},
        {"form": "fast", "behind_trunk": fast, "whole": trunk + fast, "without_trunk_and_aspps": fast - pools},
        {
            "form": "ratio",
            "behind_trunk": port / fast,
            "whole": (trunk + port) / (trunk + fast),
            "without_trunk_and_aspps": (port - pools) / (fast - pools),
        },
    ]


@torch.inference_mode()
def rpl_time(height: int, width: int, runs: int) -> dict[str, Any]:
    """Seconds behind the trunk, both ways in turns, and the largest difference of the answers."""
    torch.manual_seed(0)
    with torch.device("meta"):
        network = build_segmentor(RPL).eval()
    network.backbone = nn.Identity()
    network = network.to_empty(device="cpu")
    for parameter in network.parameters():
        parameter.normal_(std=0.02) if parameter.ndim > 1 else parameter.fill_(1.0)
    for name, buffer in network.named_buffers():
        buffer.fill_(1.0 if name.endswith("var") else 0.0)
    fine, coarse = torch.rand(1, 128, height // 2, width // 2), torch.rand(1, 4096, height // 8, width // 8)
    forms = {"port": Port(network), "fast": Fast(network)}
    seconds: dict[str, list[float]] = {name: [] for name in forms}
    answers = {}
    for _ in range(runs + 1):
        for name, form in forms.items():
            start = time.perf_counter()
            answers[name] = form(fine, coarse)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    scale = answers["port"][1].abs().max().item()
    difference = max((a - b).abs().max().item() for a, b in zip(*answers.values(), strict=True))
    return {
        "size": f"{width}x{height}",
        "runs": runs,
        "threads": torch.get_num_threads(),
        **medians,
        "ratio": medians["port"] / medians["fast"],
        "max_difference": difference,
        "max_logit": scale,
    }


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """A table on standard output."""
    print(f"\n{title}")
    for row in rows:
        print(
            "  "
            + "  ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{value}" for key, value in row.items())
        )


def main() -> None:
    """Count, optionally time, print and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", action="store_true", help="also time RPL behind the trunk on this CPU")
    parser.add_argument("--height", type=int, default=256)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "networks.json")
    options = parser.parse_args()
    result: dict[str, Any] = {"uem": uem_plans(), "rpl_tflop": rpl_flops()}
    show("UEM per 2048x1024 frame, TFLOP", result["uem"])
    show("RPL per 2048x1024 frame, TFLOP", result["rpl_tflop"])
    if options.time:
        result["rpl_seconds"] = rpl_time(options.height, options.width, options.runs)
        show("RPL behind the trunk, seconds", [result["rpl_seconds"]])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
