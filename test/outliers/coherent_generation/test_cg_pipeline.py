"""A whole ControlNet pipeline and a whole Segment Anything, tiny and random, from files on disk: no network.

Importing diffusers takes most of the time, so what needs it is marked slow.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from oodseg_ros.errors import CheckpointError
from oodseg_ros.outliers.coherent_generation.diffusion import Sampling, draw_picture, generated_size, load_pipeline
from oodseg_ros.outliers.coherent_generation.mask_filter import Sam


@pytest.fixture(scope="module")
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


@pytest.mark.slow
def test_a_pipeline_from_disk_draws_by_control_words_and_seed(weights: tuple[Path, Path]) -> None:
    pipeline = load_pipeline(*map(str, weights))
    assert type(pipeline.scheduler).__name__ == "DDIMScheduler"
    sampling = Sampling(steps=2, resolution=64)
    control = np.zeros((100, 200, 3), np.uint8)
    control[50:] = 140
    image = draw_picture(pipeline, control, "a road", "blurry", 1, sampling)
    assert image.shape == (64, 128, 3)
    assert image.dtype == np.uint8
    assert image.std() > 1
    np.testing.assert_array_equal(image, draw_picture(pipeline, control, "a road", "blurry", 1, sampling))
    assert (image != draw_picture(pipeline, control, "a road", "blurry", 2, sampling)).any()


@pytest.mark.slow
def test_weights_that_are_no_safetensors_are_refused(weights: tuple[Path, Path], tmp_path: Path) -> None:
    _, control = weights
    state = {"x": torch.zeros(1)}
    (tmp_path / "config.json").write_text((control / "config.json").read_text())
    torch.save(state, tmp_path / "diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="safetensors"):
        load_pipeline(str(weights[0]), str(tmp_path))


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [((1024, 2048), 512, (512, 1024)), ((720, 1280), 512, (512, 896)), ((360, 480), 512, (512, 704))],
)
def test_sides_are_multiples_of_64(size: tuple[int, int], resolution: int, expected: tuple[int, int]) -> None:
    assert generated_size(*size, resolution) == expected


def test_segment_anything_answers_at_the_size_of_the_picture(tmp_path: Path) -> None:
    from transformers import SamConfig, SamModel

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
    SamModel(config).save_pretrained(tmp_path, safe_serialization=True)
    segment = Sam(str(tmp_path))
    image = np.random.default_rng(0).integers(0, 256, (50, 120, 3), dtype=np.uint8)
    one, two = segment(image, (10, 10, 60, 40)), segment(image, (100, 5, 119, 20))
    assert one.shape == two.shape == (50, 120)
    assert one.dtype == bool
    np.testing.assert_array_equal(one, segment(image, (10, 10, 60, 40)))
    with pytest.raises(CheckpointError, match="safetensors"):
        Sam(str(tmp_path / "nothing"))
