from __future__ import annotations

import torch
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from oodseg_ros.networks.decoders.all_mlp import AllMlp


def test_the_linear_form_is_transformers_head():
    torch.manual_seed(0)
    config = SegformerConfig(hidden_sizes=[8, 16, 20, 24], depths=[1, 1, 1, 1], decoder_hidden_size=12, num_labels=5)
    head = SegformerForSemanticSegmentation(config).eval().decode_head
    head.batch_norm.running_mean.normal_()
    head.batch_norm.running_var.uniform_(0.5, 2.0)
    decoder = AllMlp((8, 16, 20, 24), channels=12).eval()
    with torch.no_grad():
        for ours, theirs in zip(decoder.project, head.linear_projections, strict=True):
            ours[0].weight.copy_(theirs.proj.weight[:, :, None, None])
            ours[0].bias.copy_(theirs.proj.bias)
        # transformers concatenates the coarsest first.
        decoder.fuse.weight.copy_(torch.cat(head.linear_fuse.weight.chunk(4, dim=1)[::-1], dim=1))
        decoder.norm.load_state_dict(head.batch_norm.state_dict())
        maps = [torch.randn(2, c, 16 >> level, 24 >> level) for level, c in enumerate((8, 16, 20, 24))]
        logits = torch.nn.functional.conv2d(decoder(maps), head.classifier.weight, head.classifier.bias)
        torch.testing.assert_close(logits, head(maps), atol=1e-5, rtol=1e-5)


def test_the_normed_form_fuses_what_it_resized():
    torch.manual_seed(0)
    decoder = AllMlp((8, 16), channels=12, projection="norm").eval()
    maps = [torch.randn(1, 8, 12, 10), torch.randn(1, 16, 6, 5)]
    with torch.no_grad():
        parts = [project(m) for project, m in zip(decoder.project, maps, strict=True)]
        parts[1] = torch.nn.functional.interpolate(parts[1], size=(12, 10), mode="bilinear", align_corners=False)
        expected = torch.relu(decoder.norm(decoder.fuse(torch.cat(parts, dim=1))))
        torch.testing.assert_close(decoder(maps), expected, atol=1e-5, rtol=1e-5)
