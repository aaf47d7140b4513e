"""The graph that engines compile: uint8 images in, uint8 labels and float32 score out, so that only bytes cross the
bus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.segmentor import Segmentor
from .sizes import network_size
from .windows import Windowed

if TYPE_CHECKING:  # benchmarks build graphs on machines with nothing but torch and transformers
    from ..model_card import InputSpec


class DeployGraph(nn.Module):
    """uint8 RGB `[B, H, W, 3]` → (labels uint8 `[B, H, W]`, score float32 `[B, H, W]`), for one fixed H and W.

    Resize to the network size (bilinear, align_corners=False), normalise, network (window by window if the bundle
    says so), argmax; labels go back to the image size by nearest, the score by bilinear.
    """

    def __init__(self, segmentor: Segmentor, spec: InputSpec, height: int, width: int) -> None:
        super().__init__()
        self.image_size = (height, width)
        self.network_size = network_size(height, width, spec)
        if spec.windows is None:
            segmentor.prepare(*self.network_size)
            self.segmentor: nn.Module = segmentor
        else:
            window = spec.windows
            self.segmentor = Windowed(segmentor, (window.height, window.width), (window.stride_y, window.stride_x))
        # Folded into one multiply-add on 0..255 values.
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        self.register_buffer("scale", (1.0 / (255.0 * std))[:, None, None], persistent=False)
        self.register_buffer("shift", (-mean / std)[:, None, None], persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        # In this order: TensorRT takes uint8 at a network's input only to cast it.
        x = images.float().permute(0, 3, 1, 2)
        if self.network_size != self.image_size:
            x = F.interpolate(x, size=self.network_size, mode="bilinear", align_corners=False)
        output = self.segmentor(x * self.scale + self.shift)
        # Flat maps, because a CPU runtime then compares whole planes instead of eleven interleaved numbers per pixel.
        # Through float, because TensorRT takes uint8 outputs from a cast of floating numbers only.
        labels = output.logits.flatten(2).argmax(dim=1, keepdim=True).unflatten(2, self.network_size).float()
        score = output.score[:, None]
        if self.network_size != self.image_size:
            labels = F.interpolate(labels, size=self.image_size, mode="nearest")
            score = F.interpolate(score, size=self.image_size, mode="bilinear", align_corners=False)
        return labels[:, 0].to(torch.uint8), score[:, 0]


def converted(segmentor: Segmentor, spec: InputSpec, batch: int, height: int, width: int) -> Any:
    """The graph as an `openvino.Model` for one image size and batch, every shape in it static."""
    import openvino

    graph = DeployGraph(segmentor, spec, height, width).eval()
    example = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        exported = torch.export.export(graph, (example,))
    model = openvino.convert_model(exported)
    model.reshape([batch, height, width, 3])  # the conversion leaves all sides of the input open
    return model
