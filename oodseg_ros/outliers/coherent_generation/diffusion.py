"""ControlNet on Stable Diffusion: a control picture and words → a picture. Weights are read as safetensors only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from ...errors import CheckpointError
from ...extras import advice

BASE = "stable-diffusion-v1-5/stable-diffusion-v1-5"
CONTROL = "lllyasviel/control_v11p_sd15_seg"


@dataclass(frozen=True)
class Sampling:
    """How a picture is drawn, with the published values.

    Attributes:
        steps, guidance, eta: of DDIM.
        resolution: smaller side of the generated picture in pixels; both sides become multiples of 64.
        control: weight of the control picture.
    """

    steps: int = 50
    guidance: float = 9.0
    eta: float = 0.0
    resolution: int = 512
    control: float = 1.0


def load_pipeline(base: str = BASE, control: str = CONTROL, device: str = "cpu", half: bool = False) -> Any:
    """A diffusers pipeline with a DDIM scheduler and no safety checker.

    Args:
        base, control: folders in diffusers' layout, or names on the Hugging Face hub (needs a network once).
        half: float16 weights and arithmetic.

    Raises:
        CheckpointError: diffusers is not installed, or the weights are not there as safetensors.
    """
    try:
        from diffusers import ControlNetModel, DDIMScheduler, StableDiffusionControlNetPipeline
    except ImportError as error:
        raise CheckpointError(f"pictures are generated with diffusers; {advice('diffusers')} ({error})") from error
    options = {"use_safetensors": True, "dtype": torch.float16 if half else torch.float32}
    try:
        network = ControlNetModel.from_pretrained(control, **options)
        pipeline = StableDiffusionControlNetPipeline.from_pretrained(
            base, controlnet=network, safety_checker=None, feature_extractor=None, **options
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"generator weights {base} with {control} cannot be loaded as safetensors: {error}; give folders in "
            "diffusers' layout, or names on the Hugging Face hub where there is a network"
        ) from error
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def generated_size(height: int, width: int, resolution: int) -> tuple[int, int]:
    """(H, W) of the generated picture: the smaller side is about `resolution`, both are multiples of 64."""
    scale = resolution / min(height, width)
    return tuple(max(64, round(side * scale / 64) * 64) for side in (height, width))


def draw_picture(
    pipeline: Any, control: np.ndarray, text: str, negative: str, seed: int, sampling: Sampling = Sampling()
) -> np.ndarray:
    """A picture RGB uint8 of `generated_size`.

    Args:
        pipeline: as from `load_pipeline`.
        control: RGB uint8 `[H, W, 3]`, of the scene's size.
    """
    height, width = generated_size(*control.shape[:2], sampling.resolution)
    small = cv2.resize(control, (width, height), interpolation=cv2.INTER_NEAREST)
    image = torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255.0
    result = pipeline(
        prompt=text,
        negative_prompt=negative,
        image=image,
        height=height,
        width=width,
        num_inference_steps=sampling.steps,
        guidance_scale=sampling.guidance,
        eta=sampling.eta,
        controlnet_conditioning_scale=sampling.control,
        generator=torch.Generator("cpu").manual_seed(seed),
        output_type="np",
    )
    return np.rint(np.clip(result.images[0], 0, 1) * 255).astype(np.uint8)
