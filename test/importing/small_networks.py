"""Small networks of transformers with random weights, one of every architecture, as `save_pretrained` writes them.

`python test/importing/small_networks.py FOLDER` writes them all, for `benchmarks/import_agreement.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
import transformers as t
from transformers import (
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    ResNetConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SwinConfig,
)

from oodseg_ros.labels import load_labels

LABELS = dict(enumerate(load_labels("driving11").names))
CLASSES = {"id2label": LABELS, "label2id": {name: index for index, name in LABELS.items()}}
STAGES = ["stage1", "stage2", "stage3", "stage4"]
SWIN = {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 2, 2], "window_size": 4, "out_features": STAGES}
QUERIES = {"feature_size": 32, "mask_feature_size": 32, "hidden_dim": 32, "encoder_feedforward_dim": 16}
MASKS = {"image_processor_type": "Mask2FormerImageProcessor", "num_labels": 11}
QUERIES |= {"encoder_layers": 1, "decoder_layers": 3, "num_attention_heads": 2, "dim_feedforward": 16, "num_queries": 6}


PROCESSOR = {"image_processor_type": "SegformerImageProcessor", "do_resize": True, "do_rescale": True}
PROCESSOR |= {"do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
PROCESSOR |= {"size": {"height": 128, "width": 160}, "rescale_factor": 1 / 255, "resample": 2}


def lively(model):
    """Weights at which a picture makes a difference, norms and biases that are not at their neutral values."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 4:
                torch.nn.init.kaiming_normal_(parameter)
            elif parameter.ndim == 2:
                torch.nn.init.xavier_normal_(parameter, 1.5)
            else:
                parameter.add_(0.2 * torch.randn_like(parameter))
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        if norms:
            for module in norms:
                module.momentum = None  # averages of what follows, so that no layer squashes what the one before says
                module.reset_running_stats()
            named = {"task_inputs": torch.ones(4, 77)} if hasattr(model.config, "task_seq_len") else {}
            rough = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(2))
            model.train()
            model(pixel_values=torch.nn.functional.interpolate(rough, scale_factor=8.0, mode="bicubic"), **named)
    return model.eval()


def directory(tmp_path, model, processor: dict | None = PROCESSOR, name: str = "model"):
    lively(model).save_pretrained(tmp_path / name)
    if processor is not None:
        (tmp_path / name / "preprocessor_config.json").write_text(json.dumps(processor))
    return tmp_path / name


def segformer(**options):
    sizes = {"hidden_sizes": [8, 16, 20, 24], "depths": [1, 2, 1, 1], "decoder_hidden_size": 12}
    return SegformerForSemanticSegmentation(SegformerConfig(**sizes, **{**CLASSES, **options}))


VIT = {"hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32}
VIT |= {"image_size": 64, "patch_size": 16}
BEIT = {**VIT, "out_indices": [1, 2, 3, 4], "use_relative_position_bias": True, "use_auxiliary_head": True}
EOMT = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 64, "patch_size": 16}
EOMT |= {"num_blocks": 1, "num_queries": 6, "num_upscale_blocks": 1}
MOBILEVIT = {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 12, 16, 20, 24, 32], "num_attention_heads": 2}
DETR = {"d_model": 32, "decoder_attention_heads": 2, "decoder_ffn_dim": 16, "encoder_layers": 1}
DETR |= {"encoder_attention_heads": 2, "encoder_ffn_dim": 16, "num_queries": 6, "decoder_layers": 2}
ONE = {"hidden_dim": 32, "mask_dim": 32, "conv_dim": 32, "encoder_feedforward_dim": 16, "encoder_layers": 1}
ONE |= {"decoder_layers": 3, "num_attention_heads": 2, "dim_feedforward": 16, "num_queries": 6, "is_training": False}
ONE |= {"text_encoder_width": 16, "text_encoder_num_layers": 1, "text_encoder_vocab_size": 100}
SQUARE = {"size": {"height": 64, "width": 64}, "do_center_crop": False}
SPLIT = {"size": {"shortest_edge": 64, "longest_edge": None}, "do_split_image": True}
CONVNEXT = {"hidden_sizes": [8, 16, 24, 32], "depths": [1] * 4, "out_features": STAGES}
DEPLOYED = {
    "segformer": lambda: (segformer(), "Segformer", {}),
    "mask2former": lambda: (mask2former("swin"), "Mask2Former", {"num_labels": 11}),
    "segformer_heads": lambda: (segformer(num_attention_heads=[1, 2, 4, 8]), "Segformer", {}),
    "segformer_relu": lambda: (segformer(hidden_act="relu"), "Segformer", {}),
    "segformer_strides": lambda: (segformer(strides=[2, 2, 2, 2], sr_ratios=[8, 8, 4, 2]), "Segformer", {}),
    "upernet": lambda: (_upernet(t.SwinConfig(**SWIN)), "Segformer", {}),
    "upernet_convnext": lambda: (_upernet(t.ConvNextConfig(**CONVNEXT)), "Segformer", {}),
    "upernet_dinov3": lambda: (_upernet(t.DINOv3ConvNextConfig(**CONVNEXT)), "Segformer", {}),
    "beit": lambda: (t.BeitForSemanticSegmentation(t.BeitConfig(**BEIT, **CLASSES)), "Beit", SQUARE),
    "data2vec": lambda: (
        t.Data2VecVisionForSemanticSegmentation(t.Data2VecVisionConfig(**BEIT, **CLASSES)),
        "Beit",
        SQUARE,
    ),
    "mobilevit": lambda: (
        t.MobileViTForSemanticSegmentation(t.MobileViTConfig(**MOBILEVIT, aspp_out_channels=16, **CLASSES)),
        "MobileViT",
        {},
    ),
    "mobilenet_v2": lambda: (
        t.MobileNetV2ForSemanticSegmentation(t.MobileNetV2Config(depth_multiplier=0.35, output_stride=8, **CLASSES)),
        "MobileNetV2",
        {},
    ),
    "dpt": lambda: (
        t.DPTForSemanticSegmentation(
            t.DPTConfig(
                **VIT,
                backbone_out_indices=[0, 1, 2, 3],
                neck_hidden_sizes=[8] * 4,
                fusion_hidden_size=8,
                use_auxiliary_head=False,
                **CLASSES,
            )
        ),
        "DPT",
        SQUARE,
    ),
    "maskformer": lambda: (
        t.MaskFormerForInstanceSegmentation(
            t.MaskFormerConfig(
                backbone_config=t.SwinConfig(**SWIN),
                decoder_config=t.DetrConfig(**DETR),
                fpn_feature_size=32,
                mask_feature_size=32,
                **CLASSES,
            )
        ),
        "MaskFormer",
        {"num_labels": 11},
    ),
    "oneformer": lambda: (
        t.OneFormerForUniversalSegmentation(t.OneFormerConfig(backbone_config=t.SwinConfig(**SWIN), **ONE, **CLASSES)),
        "OneFormer",
        {"num_labels": 11, "num_text": 4, "metadata": {"thing_ids": [], "class_names": list(LABELS.values())}},
    ),
    "eomt": lambda: (
        t.EomtForUniversalSegmentation(t.EomtConfig(**EOMT, mlp_ratio=2, **CLASSES)),
        "Eomt",
        SPLIT,
    ),
    "eomt_dinov3": lambda: (
        t.EomtDinov3ForUniversalSegmentation(t.EomtDinov3Config(**EOMT, intermediate_size=64, **CLASSES)),
        "Eomt",
        SPLIT,
    ),
}


def mask2former(encoder):
    """With a Swin or a ResNet backbone."""
    resnet = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], out_features=STAGES)
    backbone = SwinConfig(**SWIN) if encoder == "swin" else resnet
    return Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=backbone, **QUERIES, **CLASSES))


def _upernet(backbone):
    return t.UperNetForSemanticSegmentation(t.UperNetConfig(backbone_config=backbone, hidden_size=16, **CLASSES))


def _tokenizer(folder):
    letters = sorted(set("thetaskissemantic"))
    vocabulary = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    words = {word: index for index, word in enumerate(vocabulary)}
    t.CLIPTokenizer(vocab=words, merges=[]).save_pretrained(folder)


def write(name: str, folder: Path) -> Path:
    """The directory of one of `DEPLOYED` with its own processor."""
    torch.manual_seed(0)
    model, family, options = DEPLOYED[name]()
    directory(folder, model, None, name)
    getattr(t, f"{family}ImageProcessor")(**options).save_pretrained(folder / name)
    if name == "oneformer":
        _tokenizer(folder / name)
    return folder / name


if __name__ == "__main__":
    for each in DEPLOYED:
        write(each, Path(sys.argv[1]))
