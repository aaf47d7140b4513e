"""The graph that engines compile: uint8 images in, uint8 labels and float32 score out, so that only bytes cross the
bus.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.segmentor import Segmentor, resize
from ..process import allow_converter
from .sizes import at_image_size, graph_size, network_size
from .windows import Windowed

if TYPE_CHECKING:  # benchmarks build graphs on machines with nothing but torch and transformers
    from ..model_card import InputSpec


class DeployGraph(nn.Module):
    """uint8 RGB `[B, H, W, 3]` → (labels uint8 `[B, H, W]`, score float32 `[B, H, W]`), for one fixed H and W.

    Resize to the network size (bilinear, align_corners=False, or as the bundle's `resize` says), normalise, network
    (window by window if the bundle says so), argmax; labels go back to the image size by nearest (with `resize` the
    class maps do, by bilinear, before the argmax), the score by bilinear. With `whole` False labels and score stay as
    large as the network makes them: engines resize outside of the graph (`sizes.at_image_size`).
    """

    def __init__(self, segmentor: Segmentor, spec: InputSpec, height: int, width: int, whole: bool = True) -> None:
        super().__init__()
        self.image_size = (height, width)
        self.network_size = network_size(height, width, spec)
        self.output_stride = spec.output_stride
        self.output_size = tuple(side // self.output_stride for side in self.network_size)
        self.whole = whole
        if spec.windows is None:
            segmentor.prepare(*self.network_size)
            self.segmentor: nn.Module = segmentor
        else:
            window = spec.windows
            sides = (window.height, window.width), (window.stride_y, window.stride_x)
            self.segmentor = Windowed(segmentor, *sides, even=window.even)
        self.resample = None
        if spec.resize is not None and self.network_size != self.image_size:
            self.resample = Resample(self.image_size, self.network_size, spec.resize.filter)
        self.reversed = spec.channel_order == "bgr"
        # Folded into one multiply-add on 0..255 values.
        mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
        self.register_buffer("scale", (1.0 / (255.0 * std))[:, None, None], persistent=False)
        self.register_buffer("shift", (-mean / std)[:, None, None], persistent=False)

    def normalized(self, images: Tensor) -> Tensor:
        """uint8 `[B, H, W, 3]` → the network's input, float32 `[B, 3, h, w]`."""
        # In this order: TensorRT takes uint8 at a network's input only to cast it.
        x = images.float().permute(0, 3, 1, 2)
        if self.resample is not None:
            x = self.resample(x)
        elif self.network_size != self.image_size:
            x = F.interpolate(x, size=self.network_size, mode="bilinear", align_corners=False)
        if self.reversed:
            x = torch.cat((x[:, 2:], x[:, 1:2], x[:, :1]), dim=1)
        return x * self.scale + self.shift

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = self.normalized(images)
        output = self.segmentor(x) if self.output_stride == 1 else self.segmentor(x, self.output_stride)
        # As the code of released networks does that squeezes frames: a pixel gets the class that is best there.
        logits = output.logits if self.resample is None else resize(output.logits, self.image_size)
        # Flat maps, because a CPU runtime then compares whole planes instead of eleven interleaved numbers per pixel.
        # Through float, because TensorRT takes uint8 outputs from a cast of floating numbers only.
        labels = logits.flatten(2).argmax(dim=1, keepdim=True).unflatten(2, logits.shape[-2:]).float()
        score = output.score[:, None]
        if self.output_size != self.image_size and (self.whole or self.resample is not None):
            if self.resample is None:
                labels = F.interpolate(labels, size=self.image_size, mode="nearest")
            score = F.interpolate(score, size=self.image_size, mode="bilinear", align_corners=False)
        return labels[:, 0].to(torch.uint8), score[:, 0]


def predict(segmentor: Segmentor, spec: InputSpec, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What engines answer to one image, RGB uint8 `[H, W, 3]`, eagerly: labels uint8 and score float32, `[H, W]`."""
    height, width = image.shape[:2]
    graph = DeployGraph(segmentor, spec, *graph_size(height, width, spec), whole=False).eval()

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            labels, score = graph(torch.from_numpy(images))
        return labels.numpy(), score.numpy()

    labels, score = at_image_size(run, height, width, spec)(image[None])
    return labels[0], score[0]


def converted(
    segmentor: Segmentor, spec: InputSpec, batch: int, height: int, width: int, whole: bool = True, value_bytes: int = 4
) -> Any:
    """The graph as an `openvino.Model` for one image size and batch, every shape in it static; `value_bytes` is how
    much a number of a map will take.
    """
    allow_converter()
    from openvino.tools.ovc import convert_model

    graph = DeployGraph(segmentor, spec, height, width, whole).eval()
    if spec.windows is None and hasattr(segmentor.backbone, "in_bands"):
        segmentor.backbone.in_bands(batch, *graph.network_size, value_bytes)
    example = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        exported = torch.export.export(graph, (example,))
    model = convert_model(exported)
    model.reshape([batch, height, width, 3])  # the conversion leaves all sides of the input open
    return model


# Pillow's filters: (half width, function of the distance in pixels of the coarser grid).
FILTERS: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {
    "box": (0.5, lambda x: ((x > -0.5) & (x <= 0.5)).double()),
    "bilinear": (1.0, lambda x: (1 - x.abs()).clamp(min=0)),
    "hamming": (1.0, lambda x: torch.sinc(x) * (0.54 + 0.46 * torch.cos(math.pi * x)) * (x.abs() < 1)),
    "bicubic": (2.0, lambda x: _cubic(x.abs())),
    "lanczos": (3.0, lambda x: torch.sinc(x) * torch.sinc(x / 3) * (x.abs() < 3)),
}


class Resample(nn.Module):
    """Values 0..255 `[B, C, H, W]` → `[B, C, h, w]`, whole numbers, as Pillow resizes 8-bit images.

    Two products with constant matrices, because no runtime has filters that grow with the reduction; rounded after
    each as Pillow does. Differs from it by at most 1.
    """

    def __init__(self, size: tuple[int, int], to: tuple[int, int], filter: str) -> None:
        super().__init__()
        rows, columns = (resampling(have, want, filter) for have, want in zip(size, to, strict=True))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns.T.contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = (x @ self.columns + 0.5).floor().clamp(0, 255)
        return (self.rows @ x + 0.5).floor().clamp(0, 255)


def resampling(have: int, want: int, filter: str) -> Tensor:
    """Weights float32 `[want, have]` of Pillow's `filter` along one side."""
    centers = (torch.arange(want, dtype=torch.float64) + 0.5) * (have / want)
    places = torch.arange(have, dtype=torch.float64)
    if filter == "nearest":
        return (centers.floor()[:, None] == places).float()
    half, function = FILTERS[filter]
    scale = max(1.0, have / want)
    inside = (places >= (centers - half * scale + 0.5).floor()[:, None].clamp(min=0)) & (
        places < (centers + half * scale + 0.5).floor()[:, None]
    )
    weights = function((places - centers[:, None] + 0.5) / scale) * inside
    return (weights / weights.sum(dim=1, keepdim=True)).float()


def _cubic(x: Tensor) -> Tensor:
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, far) * (x < 2)
