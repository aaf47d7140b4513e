"""Gaussian mixture classifier (Liang et al., GMMSeg, arXiv 2210.02025), in the form that UEM uses ("G").

Its means and deviations are not learned by gradients but by Sinkhorn-EM (`gmm_em`); only the two norms are.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..precision import full_precision


class GmmClassifier(nn.Module):
    """`[B, C, h, w]` → float32 `[B, K, h, w]`: per class the largest log-likelihood of its components, layer-normed.

    All in float32, whatever the rest runs in: log-likelihoods in 256 dimensions are about ±300, where half precision
    rounds by 0.25, and scores are differences of them.

    With two classes the layer norm leaves only ±γ and the bias, whatever the likelihoods are: the output says which
    class is likelier, not by how much.

    Args:
        inputs: dimensions C of a feature.
        classes: number K of classes.
        components: Gaussians per class.
    """

    def __init__(self, inputs: int, classes: int, components: int = 5) -> None:
        super().__init__()
        self.classes = classes
        self.components = components
        self.feat_norm = nn.LayerNorm(inputs)
        self.mask_norm = nn.LayerNorm(classes)
        means = nn.init.trunc_normal_(torch.empty(classes, components, inputs), std=0.02)
        self.register_buffer("means", means)
        # Standard deviations, although the reference calls them a diagonal (of the covariance's root).
        self.register_buffer("diagonal", torch.ones(classes, components, inputs))

    def normalized(self, decoded: Tensor) -> Tensor:
        """Features `[B, C, h, w]` → unit vectors `[B*h*w, C]`, float32."""
        tokens = decoded.float().permute(0, 2, 3, 1).reshape(-1, decoded.shape[1])
        return F.normalize(self.feat_norm(tokens), dim=-1)

    def log_likelihoods(self, unit: Tensor) -> Tensor:
        """Unit vectors `[N, C]` → log N(x; μ, σ²) of every component, `[N, K, M]`.

        Written as x²·A + x·B + c: two matrix products instead of an `[N, K, M, C]` intermediate.
        """
        means = F.normalize(self.means.float(), dim=-1).flatten(0, 1)
        precision = self.diagonal.float().flatten(0, 1).pow(-2)
        constant = -0.5 * (means.pow(2) * precision).sum(-1) + 0.5 * precision.log().sum(-1)
        constant = constant - 0.5 * means.shape[-1] * math.log(2 * math.pi)
        with full_precision(unit.device):
            quadratic = unit.pow(2) @ (-0.5 * precision).T
            linear = unit @ (means * precision).T
        return (quadratic + linear + constant).reshape(-1, self.classes, self.components)

    def forward(self, decoded: Tensor) -> Tensor:
        batch, _, height, width = decoded.shape
        likelihood = self.log_likelihoods(self.normalized(decoded)).amax(dim=-1)
        return self.mask_norm(likelihood).reshape(batch, height, width, -1).permute(0, 3, 1, 2)
