"""Inlier classifiers: decoder output `[B, C, h, w]` → logits `[B, K, h, w]`.

Linear (UEM's discriminative head, "D"), none (the decoder's output is logits already), queries of mask classification
(Cheng et al., arXiv 2112.01527), and the Gaussian mixture (Liang et al., GMMSeg, arXiv 2210.02025) in the form that UEM
uses ("G"). The mixture's means and deviations follow the features by Sinkhorn-EM (`assign`, `update`); gradients move
its two norms only. The feature memory is gigabytes for the paper's sizes and is needed in training only, so it is no
part of the classifier.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .segmentor import full_precision


class NoClassifier(nn.Module):
    """The first `classes` channels of the decoder's output are the inlier logits; further ones (void) are left to
    heads.
    """

    def __init__(self, inputs: int | Sequence[int], classes: int) -> None:
        super().__init__()
        available = inputs if isinstance(inputs, int) else inputs[0]
        if classes > available:
            raise ValueError(f"{classes} classes asked of a network with {available} outputs")
        self.classes = classes

    def forward(self, decoded: Tensor | list[Tensor]) -> Tensor:
        logits = decoded[0] if isinstance(decoded, list) else decoded
        return logits[:, : self.classes]


class LinearClassifier(nn.Module):
    """Attributes: `classes`, the number K of inlier classes."""

    def __init__(self, inputs: int, classes: int, bias: bool = True) -> None:
        super().__init__()
        self.classes = classes
        self.linear = nn.Conv2d(inputs, classes, 1, bias=bias)

    def forward(self, decoded: Tensor) -> Tensor:
        return self.linear(decoded)


def semantic_maps(class_logits: Tensor, masks: Tensor) -> Tensor:
    """Σ_q softmax(class_q)_k · sigmoid(mask_q) without the void class: `[B, Q, K+1]`, `[B, Q, H, W]` → `[B, K, H, W]`.

    Float32. Each term is in [0, 1]; the sum over queries can exceed 1.
    """
    weights = class_logits.float().softmax(dim=-1)[..., :-1]
    return torch.einsum("bqk,bqhw->bkhw", weights, masks.float().sigmoid())


class QueryClassifier(nn.Module):
    """[queries `[B, Q, C]`, mask logits `[B, Q, H, W]`] → semantic maps `[B, K, H, W]`, used as inlier logits."""

    def __init__(self, inputs: Sequence[int], classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.class_predictor = nn.Linear(inputs[0], classes + 1)

    def forward(self, decoded: list[Tensor]) -> Tensor:
        queries, masks = decoded
        return semantic_maps(self.class_predictor(queries), masks)


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


MOMENTUM = 0.999
MINIMUM_VARIANCE = 0.01


def sinkhorn(scores: Tensor, iterations: int = 3, epsilon: float = 0.05) -> Tensor:
    """Balanced hard assignment of N samples to M components: scores `[N, M]` → one-hot `[N, M]`.

    The scores are divided by their largest magnitude first. The rows and columns of exp(scores / ε) are normalised in
    turns, so that every component gets an equal share. All-zero scores fall to component 0.
    """
    largest = scores.abs().amax()
    plan = torch.exp(scores / largest.clamp(min=torch.finfo(scores.dtype).tiny) / epsilon)
    plan = plan / plan.sum()
    samples, components = plan.shape
    for _ in range(iterations):
        plan = plan / plan.sum(dim=0, keepdim=True) / components
        plan = plan / plan.sum(dim=1, keepdim=True) / samples
    return F.one_hot(plan.argmax(dim=1), components).to(scores.dtype)


class FeatureMemory:
    """First-in first-out store of unit features per component, `[K, M, size, C]`, at first random unit vectors.

    Args:
        classifier: whose features it holds.
        size: features per component (UEM 8000, GMMSeg 32000).
        per_step: the most features that enter per component and step.
    """

    def __init__(self, classifier: GmmClassifier, size: int = 8000, per_step: int = 20) -> None:
        shape = (classifier.classes, classifier.components, size, classifier.means.shape[-1])
        self.features = F.normalize(torch.randn(shape, device=classifier.means.device), dim=-1)
        self.next = torch.zeros(shape[:2], dtype=torch.long)
        self.per_step = per_step

    def push(self, label: int, component: int, features: Tensor) -> None:
        """Store up to `per_step` evenly spaced rows of `[N, C]` over the oldest."""
        count = min(len(features), self.per_step)
        if count == 0:
            return
        chosen = features[torch.linspace(0, len(features) - 1, count, device=features.device).long()]
        size = self.features.shape[2]
        slots = (self.next[label, component] + torch.arange(count)) % size
        self.features[label, component, slots.to(self.features.device)] = chosen.to(self.features.dtype)
        self.next[label, component] = (self.next[label, component] + count) % size


@torch.no_grad()
def assign(classifier: GmmClassifier, memory: FeatureMemory, decoded: Tensor, labels: Tensor) -> Tensor:
    """E step: give every labelled feature a component of its class and store the rightly classified ones.

    Args:
        classifier: the mixture.
        memory: takes the features.
        decoded: `[B, C, h, w]`, what the classifier reads.
        labels: class ids `[B, h, w]`, 255 = unlabeled.

    Returns:
        int64 `[B*h*w]`: targets K·M-wise (`class * M + component`) for a cross-entropy on all log-likelihoods; 255·M
        where unlabeled (use as ignore_index).
    """
    unit = classifier.normalized(decoded)
    likelihood = classifier.log_likelihoods(unit)
    right = classifier.mask_norm(likelihood.amax(-1)).argmax(-1)
    flat = labels.reshape(-1).long()
    targets = torch.full_like(flat, 255 * classifier.components)
    for label in range(classifier.classes):
        rows = (flat == label).nonzero()[:, 0]
        if len(rows) == 0:
            continue
        component = sinkhorn(likelihood[rows, label]).argmax(dim=1)
        targets[rows] = label * classifier.components + component
        correct = right[rows] == label
        for index in range(classifier.components):
            memory.push(label, index, unit[rows[correct & (component == index)]])
    return targets


@torch.no_grad()
def update(classifier: GmmClassifier, memory: FeatureMemory) -> None:
    """M step: means follow the memory's mean direction slowly; deviations become those of the whole memory around
    it.
    """
    direction = F.normalize(memory.features.sum(dim=2), dim=-1)
    means = F.normalize(classifier.means, dim=-1)
    classifier.means.copy_(MOMENTUM * means + (1 - MOMENTUM) * direction)
    for label in range(classifier.classes):
        # One class at a time: the difference is as large as the memory.
        variance = (memory.features[label] - direction[label, :, None]).pow(2).mean(dim=1) + MINIMUM_VARIANCE
        classifier.diagonal[label] = variance.sqrt()
