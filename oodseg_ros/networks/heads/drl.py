"""A reconstruction of DRL + PSC (IEEE TCSVT 36(1) 971-985, doi 10.1109/TCSVT.2025.3597071). Not the authors' head.

The head is missing from the released code. What is public fixes the parts and their order (a new decoder with
pixel-pixel similarity calibration on the frozen SegFormer feature, disentanglers of a semantic and a free part, a
classifier that has seen unknowns, a reconstruction network, and a score from the discrepancy to the frozen
classifier); widths, block counts, the similarity's form and the score's formula are ours. The paper's numbers must
not be expected of it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..segmentor import HeadInput, resize


def _block(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


class SimilarityCalibration(nn.Module):
    """Attention whose weights mix the frozen feature's own pixel similarity with a learned one.

    Keys and values are pooled by `reduction`. The mix has weight `alpha` on the frozen similarity: 0.3 in training,
    0.7 after.
    """

    ALPHA_TRAIN, ALPHA_TEST = 0.3, 0.7

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.reduction = reduction
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.query = nn.Conv2d(width, width, 1)
        self.key = nn.Conv2d(width, width, 1)
        self.value = nn.Conv2d(width, width, 1)
        self.output = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, frozen: Tensor) -> Tensor:
        alpha = self.ALPHA_TRAIN if self.training else self.ALPHA_TEST
        x = x + self.position(x)
        pooled = F.avg_pool2d(x, self.reduction, ceil_mode=True)
        value = self._split(self.value(pooled))
        learned = F.scaled_dot_product_attention(self._split(self.query(x)), self._split(self.key(pooled)), value)
        # Frozen similarity: cosine, sharpened by the width so that it is no flat average.
        # In float32: a sum of squares over the width overflows in half precision.
        wide = frozen.float()
        unit = F.normalize(wide, dim=1).to(x.dtype)
        unit_pooled = F.normalize(F.avg_pool2d(wide, self.reduction, ceil_mode=True), dim=1).to(x.dtype)
        fixed = F.scaled_dot_product_attention(
            self._split(unit), self._split(unit_pooled), value, scale=float(x.shape[1]) ** 0.5
        )
        mixed = alpha * fixed + (1.0 - alpha) * learned
        return x + self.output(mixed.transpose(2, 3).reshape(x.shape))

    def _split(self, x: Tensor) -> Tensor:
        batch, width, height, cols = x.shape
        return x.reshape(batch, self.heads, width // self.heads, height * cols).transpose(2, 3)


class DrlReconstruction(nn.Module):
    """Evidence: class probabilities of the new classifier, outlier last, `[B, K+1, H, W]`.

    Score: 1 - Σ_k p_frozen,k · p_new,k over the inlier classes, in [0, 1]: high where the two disagree or the new one
    calls it an outlier.

    Args:
        decoded: width of the frozen feature.
        inlier_classes: number K of inlier classes.
        heads, reduction: of the similarity calibration.
    """

    SCORES = ("discrepancy",)

    def __init__(self, decoded: int, inlier_classes: int, heads: int = 2, reduction: int = 8) -> None:
        super().__init__()
        self.before = _block(decoded, decoded)
        self.calibration = SimilarityCalibration(decoded, heads, reduction)
        self.after = _block(decoded, decoded)
        self.auxiliary = nn.Conv2d(decoded, inlier_classes + 1, 1)
        self.related = _block(decoded, decoded)
        self.unrelated = _block(decoded, decoded)
        self.classification_head = nn.Conv2d(decoded, inlier_classes + 1, 1)
        self.reconstruction_layer = nn.Sequential(_block(2 * decoded, decoded), nn.Conv2d(decoded, 3, 1), nn.Tanh())

    def disentangle(self, decoded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Frozen feature → (auxiliary logits, semantic part, free part); training needs all three."""
        calibrated = self.calibration(self.before(decoded), decoded)
        z = self.after(calibrated)
        return self.auxiliary(calibrated), self.related(z), self.unrelated(z)

    def reconstruct(self, related: Tensor, unrelated: Tensor) -> Tensor:
        """Image `[B, 3, h, w]` in [-1, 1] from the semantic part of one view and the free part of another."""
        return self.reconstruction_layer(torch.cat([related, unrelated], dim=1))

    def forward(self, decoded: Tensor) -> Tensor:
        """Frozen feature `[B, C, h, w]` → logits `[B, K+1, h, w]`, outlier last."""
        return self.classification_head(self.related(self.after(self.calibration(self.before(decoded), decoded))))

    def evidence(self, given: HeadInput) -> Tensor:
        """Probabilities at input size, float32."""
        return resize(self(given.decoded).float(), given.size).softmax(dim=1)

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """Cognitive discrepancy, `[B, H, W]`."""
        return 1.0 - (logits.softmax(dim=1) * evidence[:, :-1]).sum(dim=1)
