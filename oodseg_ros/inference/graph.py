"""The graph that engines compile: uint8 images in, uint8 labels and float32 score out, so that only bytes cross the
bus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..networks.segmentor import Segmentor
from .sizes import at_image_size, network_size
from .windows import Windowed

if TYPE_CHECKING:  # benchmarks build graphs on machines with nothing but torch and transformers
    from ..model_card import InputSpec


class DeployGraph(nn.Module):
    """uint8 RGB `[B, H, W, 3]` → (labels uint8 `[B, H, W]`, score float32 `[B, H, W]`), for one fixed H and W.

    Resize to the network size (bilinear, align_corners=False), normalise, network (window by window if the bundle
    says so), argmax; labels go back to the image size by nearest, the score by bilinear. With `whole` False labels and
    score stay as large as the network makes them: engines resize outside of the graph (`sizes.at_image_size`).
    """

    def __init__(self, segmentor: Segmentor, spec: InputSpec, height: int, width: int, whole: bool = True) -> None:
        super().__init__()
        self.image_size = (height, width)
        self.output_stride = getattr(spec, "output_stride", 1)
        self.network_size = network_size(height, width, spec)
        self.output_size = tuple(side // self.output_stride for side in self.network_size)
        self.whole = whole
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
        x = x * self.scale + self.shift
        output = self.segmentor(x) if self.output_stride == 1 else self.segmentor(x, self.output_stride)
        # Flat maps, because a CPU runtime then compares whole planes instead of eleven interleaved numbers per pixel.
        # Through float, because TensorRT takes uint8 outputs from a cast of floating numbers only.
        labels = output.logits.flatten(2).argmax(dim=1, keepdim=True).unflatten(2, self.output_size).float()
        score = output.score[:, None]
        if self.whole and self.output_size != self.image_size:
            labels = F.interpolate(labels, size=self.image_size, mode="nearest")
            score = F.interpolate(score, size=self.image_size, mode="bilinear", align_corners=False)
        return labels[:, 0].to(torch.uint8), score[:, 0]


def predict(segmentor: Segmentor, spec: InputSpec, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What engines answer to one image, RGB uint8 `[H, W, 3]`, eagerly: labels uint8 and score float32, `[H, W]`."""
    height, width = image.shape[:2]
    graph = DeployGraph(segmentor, spec, *network_size(height, width, spec), whole=False).eval()

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            labels, score = graph(torch.from_numpy(images))
        return labels.numpy(), score.numpy()

    labels, score = at_image_size(run, height, width, spec)(image[None])
    return labels[0], score[0]


def converted(segmentor: Segmentor, spec: InputSpec, batch: int, height: int, width: int, whole: bool = True) -> Any:
    """The graph as an `openvino.Model` for one image size and batch, every shape in it static."""
    import openvino

    graph = DeployGraph(segmentor, spec, height, width, whole).eval()
    example = torch.zeros((batch, height, width, 3), dtype=torch.uint8)
    with torch.no_grad():
        exported = torch.export.export(graph, (example,))
    model = openvino.convert_model(exported)
    model.reshape([batch, height, width, 3])  # the conversion leaves all sides of the input open
    return model
