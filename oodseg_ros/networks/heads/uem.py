"""UEM: unknown estimation module (Nayal et al., arXiv 2409.06424), with a linear ("D") or a mixture ("G") classifier.

An MLP on frozen backbone features with two outputs: channel 0 the generic inlier, 1 the outlier. The anomaly score
is the likelihood ratio of these against the inlier classifier (`scores.likelihood_ratio`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ... import scores
from ..classifiers import GmmClassifier
from ..segmentor import HeadInput, resize


class UemHead(nn.Module):
    """Backbone maps → U `[B, 2, h, w]` at the resolution of the map `levels[0]`.

    With one level this is the paper's projector (Linear-ReLU-Linear-ReLU-Linear) and linear classifier. With several
    (a convolutional pyramid), the first linear acts on their concatenation; it is computed per level and then resized,
    which is the same because 1x1 convolutions commute with bilinear resizing, and cheaper.

    Args:
        levels: indices of the backbone's maps that are read.
        hidden, width: of the MLP.
        form: `D`, a linear classifier, or `G`, a Gaussian mixture with `components` per class.
    """

    SCORES = ("likelihood_ratio",)

    def __init__(
        self,
        inputs: Sequence[int],
        levels: Sequence[int],
        hidden: int = 512,
        width: int = 256,
        form: str = "D",
        components: int = 5,
    ) -> None:
        super().__init__()
        self.levels = tuple(levels)
        self.project = nn.ModuleList(
            nn.Conv2d(inputs[level], hidden, 1, bias=index == 0) for index, level in enumerate(self.levels)
        )
        self.mlp = nn.Sequential(nn.ReLU(), nn.Conv2d(hidden, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, width, 1))
        if form not in ("D", "G"):
            raise ValueError(f"form is {form!r}, it must be D or G")
        self.classifier = nn.Conv2d(width, 2, 1) if form == "D" else GmmClassifier(width, 2, components)

    def embed(self, features: list[Tensor]) -> Tensor:
        """What the classifier reads, `[B, width, h, w]`."""
        hidden = self.project[0](features[self.levels[0]])
        for conv, level in zip(self.project[1:], self.levels[1:], strict=True):
            part = conv(features[level])
            hidden = hidden + F.interpolate(part, size=hidden.shape[-2:], mode="bilinear", align_corners=False)
        return self.mlp(hidden)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.classifier(self.embed(features))

    def evidence(self, given: HeadInput) -> Tensor:
        """U at input size, float32 `[B, 2, H, W]`."""
        return resize(self(given.features).float(), given.size)

    def score(self, logits: Tensor, evidence: Tensor, stride: int = 1) -> Tensor:
        """Likelihood ratio of U against the inlier logits, `[B, H, W]`."""
        # Flat maps: see DeployGraph.
        return scores.likelihood_ratio(logits.flatten(2), evidence.flatten(2)).unflatten(1, logits.shape[2:])
