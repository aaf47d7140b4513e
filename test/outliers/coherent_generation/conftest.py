"""Networks of CG-Aug, tiny and random, as files on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders of a Stable Diffusion and a ControlNet, as `save_pretrained` writes them."""
    diffusers = pytest.importorskip("diffusers")
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    root = tmp_path_factory.mktemp("diffusion")
    characters = [chr(code) for code in range(33, 127)]
    tokens = [*characters, *(char + "</w>" for char in characters), "<|startoftext|>", "<|endoftext|>"]
    (root / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (root / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(root / "vocab.json"), str(root / "merges.txt"), model_max_length=77)
    torch.manual_seed(0)
    sizes = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
    network = {**sizes, "in_channels": 4, "cross_attention_dim": 8, "attention_head_dim": 4}
    network["down_block_types"] = ("DownBlock2D", "CrossAttnDownBlock2D")
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    text = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        projection_dim=8, bos_token_id=end - 1, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    pipeline = diffusers.StableDiffusionControlNetPipeline(
        vae=diffusers.AutoencoderKL(
            **sizes,
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=4,
        ),
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(**network, up_block_types=("CrossAttnUpBlock2D", "UpBlock2D")),
        controlnet=diffusers.ControlNetModel(**network, conditioning_embedding_out_channels=(8, 16)),
        scheduler=diffusers.PNDMScheduler(skip_prk_steps=True),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(root / "base", safe_serialization=True)
    pipeline.controlnet.save_pretrained(root / "control", safe_serialization=True)
    return root / "base", root / "control"


@pytest.fixture(scope="session")
def sam_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Segment Anything model."""
    from transformers import SamConfig, SamModel

    root = tmp_path_factory.mktemp("sam")
    torch.manual_seed(0)
    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"image_size": 64, "patch_size": 16, "mlp_dim": 16, "window_size": 2, "global_attn_indexes": [0]}
    prompt = {
        "hidden_size": 16,
        "image_size": 64,
        "patch_size": 16,
        "image_embedding_size": 4,
        "mask_input_channels": 4,
    }
    decoder = {"hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    config = SamConfig(
        vision_config=vision | {"num_pos_feats": 8},
        prompt_encoder_config=prompt,
        mask_decoder_config=decoder,
    )
    SamModel(config).save_pretrained(root, safe_serialization=True)
    return root
