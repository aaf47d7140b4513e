from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    DPTConfig,
    DPTForSemanticSegmentation,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    ResNetConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SwinConfig,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing import hf
from oodseg_ros.importing.imported import build_checked
from oodseg_ros.labels import load_labels

LABELS = dict(enumerate(load_labels("driving11").names))
CLASSES = {"id2label": LABELS, "label2id": {name: index for index, name in LABELS.items()}}
STAGES = ["stage1", "stage2", "stage3", "stage4"]
SWIN = {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "out_features": STAGES}
QUERIES = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 16}
QUERIES |= {"encoder_layers": 1, "decoder_layers": 3, "num_attention_heads": 2, "dim_feedforward": 16, "num_queries": 6}


def directory(tmp_path, model, processor: dict | None = None):
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    model.eval().save_pretrained(tmp_path / "model")
    if processor is not None:
        (tmp_path / "model" / "preprocessor_config.json").write_text(json.dumps(processor))
    return tmp_path / "model"


def resized(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def test_segformer_becomes_this_projects_network(tmp_path):
    torch.manual_seed(0)
    config = SegformerConfig(hidden_sizes=[8, 16, 20, 24], depths=[1, 2, 1, 1], decoder_hidden_size=12, **CLASSES)
    theirs = SegformerForSemanticSegmentation(config)
    processor = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25], "size": {"height": 96, "width": 128}}
    imported = hf.read([directory(tmp_path, theirs, processor)])
    assert imported.network["backbone"]["name"] == "mit"
    assert imported.label_set == "driving11"
    assert imported.input.mean == (0.5, 0.5, 0.5)
    assert imported.input.pixels == 96 * 128
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        output = build_checked(imported)(images)
        expected = resized(theirs(images).logits, (64, 96))
    torch.testing.assert_close(output.logits, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.score, -expected.logsumexp(dim=1), atol=1e-5, rtol=1e-4)


@pytest.mark.data
def test_the_released_segformer_has_this_layout(tmp_path, layout):
    released = layout("segformer_b5_transformers")
    sizes = {"depths": [3, 6, 40, 3], "num_labels": 19}
    narrow = SegformerForSemanticSegmentation(
        SegformerConfig(hidden_sizes=[8, 16, 20, 24], decoder_hidden_size=12, **sizes)
    )
    folder = directory(tmp_path, narrow)
    # `hf` reads what save_pretrained writes, whatever the modules are called in memory.
    assert load_file(folder / "model.safetensors").keys() == released.keys()
    assert hf.read([folder]).unknown == ()
    with torch.device("meta"):
        b5 = SegformerForSemanticSegmentation(
            SegformerConfig(hidden_sizes=[64, 128, 320, 512], decoder_hidden_size=768, **sizes)
        )
    shapes = Counter(tuple(value.shape) for value in b5.state_dict().values())
    assert shapes == Counter(released.values())


@pytest.mark.parametrize("encoder", ["swin", "resnet"])
def test_mask2former_becomes_this_projects_network(tmp_path, encoder):
    torch.manual_seed(0)
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], out_features=STAGES)
    backbone = SwinConfig(**SWIN) if encoder == "swin" else resnet
    theirs = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=backbone, **QUERIES, **CLASSES))
    imported = hf.read([directory(tmp_path, theirs)])
    assert imported.network["backbone"]["name"] == "mask2former"
    assert imported.network["score"] == "rejected_by_all"
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        logits = build_checked(imported)(images).logits
        output = theirs(images)
        masks = resized(output.masks_queries_logits, (64, 96)).sigmoid()
        expected = torch.einsum("bqc,bqhw->bchw", output.class_queries_logits.softmax(-1)[..., :-1], masks)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


def dpt():
    config = DPTConfig(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        **CLASSES,
    )
    return DPTForSemanticSegmentation(config)


def upernet():
    return UperNetForSemanticSegmentation(UperNetConfig(backbone_config=SwinConfig(**SWIN), hidden_size=16, **CLASSES))


@pytest.mark.parametrize("model", [dpt, upernet])
def test_any_other_model_is_kept_whole(tmp_path, model):
    torch.manual_seed(0)
    theirs = model()
    imported = hf.read([directory(tmp_path, theirs)])
    assert imported.network["backbone"]["name"] == "hf"
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        output = build_checked(imported)(images)
        expected = resized(theirs(images).logits, (64, 64))
    torch.testing.assert_close(output.logits, expected, atol=1e-5, rtol=1e-4)


def test_every_missing_unexpected_and_misshapen_key_is_listed(tmp_path):
    from safetensors.torch import load_file, save_file

    config = SegformerConfig(hidden_sizes=[8, 16, 20, 24], depths=[1, 1, 1, 1], decoder_hidden_size=12, **CLASSES)
    folder = directory(tmp_path, SegformerForSemanticSegmentation(config))
    state = load_file(folder / "model.safetensors")
    del state["decode_head.batch_norm.weight"]
    state["decode_head.classifier.bias"] = torch.zeros(3)
    state["decode_head.extra"] = torch.zeros(2)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"do not fit|cannot be loaded") as caught:
        hf.read([folder])
    text = str(caught.value)
    assert "decode_head.batch_norm.weight" in text
    assert "decode_head.extra" in text
    assert "decode_head.classifier.bias" in text


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_that_is_none_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        hf.read([tmp_path])


def test_a_model_without_segmentation_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="cannot be loaded as a semantic segmentation model"):
        hf.read([tmp_path])
