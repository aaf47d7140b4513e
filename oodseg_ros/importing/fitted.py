"""Scores that need statistics of inlier frames: fitted on frames without unknowns, with the network's own classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import ConfigError
from ..inference.graph import DeployGraph
from ..model_card import InputSpec
from ..networks.segmentor import Segmentor, resize

FITTED = ("mahalanobis", "standardized_max_logit")
"""Scores (and heads of the same name) that `fit_head` knows."""
PER_FRAME = 20_000
"""Features kept per frame, evenly spaced; a covariance needs no more."""


@torch.inference_mode()
def fit_head(segmentor: Segmentor, spec: InputSpec, images: Iterable[np.ndarray]) -> int:
    """Fit the head of `segmentor` in place on RGB uint8 images; returns their number.

    Labels are not needed: a pixel counts for the class that the network gives it.

    Raises:
        ConfigError: there were no images.
    """
    count = 0

    def evidence() -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal count
        for image in images:
            count += 1
            graph = DeployGraph(segmentor, spec, *image.shape[:2])
            features = segmentor.backbone(graph.normalized(torch.from_numpy(np.ascontiguousarray(image))[None]))
            decoded = segmentor.decoder(features)
            yield decoded, resize(segmentor.classifier(decoded).float(), decoded.shape[-2:])

    if segmentor.score_kind == "mahalanobis":
        segmentor.head.fit(_rows(decoded, logits) for decoded, logits in evidence())
    else:
        segmentor.head.fit(logits for _, logits in evidence())
    if count == 0:
        raise ConfigError(f"score {segmentor.score_kind} is fitted on frames, and there were none")
    return count


def _rows(decoded: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    features, classes = decoded[0].flatten(1).T, logits[0].argmax(dim=0).flatten()
    step = max(1, len(features) // PER_FRAME)
    return features[::step], classes[::step]
