from __future__ import annotations

import pytest
import torch

from oodseg_ros.errors import EngineError
from oodseg_ros.networks.build import build_segmentor


def test_the_head_leaves_the_inlier_logits_bit_identical(small_spec, build):
    network, images = build(small_spec)
    bare = build_segmentor({**small_spec, "head": None, "score": "energy"}).eval()
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("head.")}
    bare.load_state_dict(state, strict=True)
    with torch.inference_mode():
        assert torch.equal(network(images).logits, bare(images).logits)


def test_export_gives_the_same_answer(small_spec, build):
    network, images = build(small_spec)
    network.prepare(*images.shape[-2:])
    with torch.no_grad():
        expected = network(images)
        exported = torch.export.export(network, (images,), strict=False)
        # Another image than the traced one, so that a value baked in by tracing shows.
        other = images.flip(-1) * 0.5 + 0.1
        actual, wanted = exported.module()(other), network(other)
    assert not torch.equal(wanted.score, expected.score)
    assert (actual.score - wanted.score).abs().max() <= 1e-3
    assert (actual.logits - wanted.logits).abs().max() <= 1e-3


def test_odin_runs_in_eager_and_refuses_export(small_specs, build):
    network, images = build({**small_specs["ladder_densenet"], "head": None, "score": "odin"})
    with torch.inference_mode():
        odin = network(images).score
        plain = network.evidence(images)[0]
    assert odin.shape == images.shape[:1] + images.shape[2:]
    assert ((odin >= 0) & (odin < 1)).all()
    assert torch.isfinite(plain).all()
    with pytest.raises(EngineError, match="odin needs gradients"):
        torch.export.export(network, (images,), strict=False)
