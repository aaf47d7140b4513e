"""ERFNet's decoder: transposed convolutions up to the full size. Module names follow the released state dicts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ..backbones.erfnet import EPSILON, FactorizedBlock


class Upsampler(nn.Module):
    """Twice the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        self.bn = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class ErfNetDecoder(nn.Module):
    """A map at stride 8 → `[B, outputs, H, W]` at stride 1, logits.

    Args:
        outputs: number of logits, void included.
        widths: channels at strides 4 and 2.
    """

    def __init__(self, inputs: Sequence[int], outputs: int, widths: Sequence[int] = (64, 16)) -> None:
        super().__init__()
        middle, last = widths
        self.channels = outputs
        self.layers = nn.ModuleList(
            [
                Upsampler(inputs[-1], middle),
                *(FactorizedBlock(middle, 0.0, 1) for _ in range(2)),
                Upsampler(middle, last),
                *(FactorizedBlock(last, 0.0, 1) for _ in range(2)),
            ]
        )
        self.output_conv = nn.ConvTranspose2d(last, outputs, 2, stride=2)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        for layer in self.layers:
            x = layer(x)
        return self.output_conv(x)
