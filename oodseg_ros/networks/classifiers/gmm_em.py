"""Sinkhorn-EM for `GmmClassifier` (Liang et al., arXiv 2210.02025): how its means and deviations follow the features.

The feature memory is gigabytes for the paper's sizes and is needed in training only, so it is no part of the
classifier.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .gmm import GmmClassifier

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
