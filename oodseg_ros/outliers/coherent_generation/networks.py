"""The two networks: ControlNet on Stable Diffusion makes a picture of a control picture and words; a segmenter (SAM)
has to find the object there again. Weights are read as safetensors only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

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


Segment = Callable[[np.ndarray, tuple[int, int, int, int]], np.ndarray]
"""(image RGB uint8 `[H, W, 3]`, box x0, y0, x1, y1) → mask bool `[H, W]` of the object in the box."""

SAM = "facebook/sam-vit-huge"
MIN_IOU = 0.7


@dataclass(frozen=True)
class Verdict:
    """What became of an object.

    Attributes:
        mask: bool `[H, W]`, as the segmenter sees it: this is what is labelled.
        iou: with the outline that was asked for.
        kept: the IoU is high enough.
    """

    mask: np.ndarray
    iou: float
    kept: bool


def judge(image: np.ndarray, outline: np.ndarray, segment: Segment, least_iou: float = MIN_IOU) -> Verdict:
    """Segment the box of `outline` bool `[H, W]` in the generated image of the same size and compare.

    As published, an IoU of exactly `least_iou` is refused.
    """
    rows, columns = np.flatnonzero(outline.any(axis=1)), np.flatnonzero(outline.any(axis=0))
    mask = segment(image, (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])))
    iou = intersection_over_union(mask, outline)
    return Verdict(mask, iou, iou > least_iou)


def intersection_over_union(one: np.ndarray, two: np.ndarray) -> float:
    """Of two bool masks; 0 where both are empty."""
    union = np.count_nonzero(one | two)
    return np.count_nonzero(one & two) / union if union else 0.0


class Sam:
    """Segment Anything with a box as its prompt."""

    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)

    def __init__(self, name: str = SAM, device: str = "cpu") -> None:
        """Raises CheckpointError where the weights (folder or Hugging Face name, safetensors) cannot be read."""
        from transformers import SamModel

        try:
            self._model = SamModel.from_pretrained(name, use_safetensors=True).to(device).eval()
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"Segment Anything weights {name} cannot be loaded as safetensors: {error}"
            ) from error
        self._device, self._side = device, self._model.config.vision_config.image_size

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
        """Mask bool `[H, W]` of the object in the box (x0, y0, x1, y1)."""
        height, width = image.shape[:2]
        scale = self._side / max(height, width)
        inner = (round(height * scale), round(width * scale))
        resized = cv2.resize(image, inner[::-1], interpolation=cv2.INTER_LINEAR)
        x = (resized.astype(np.float32) - self.mean) / self.std
        x = np.pad(x, ((0, self._side - inner[0]), (0, self._side - inner[1]), (0, 0)))
        pixels = torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1), np.float32))[None].to(self._device)
        boxes = torch.tensor([[[value * scale for value in box]]], dtype=torch.float32, device=self._device)
        low = self._model(pixel_values=pixels, input_boxes=boxes, multimask_output=False).pred_masks[:, 0]
        full = F.interpolate(low, (self._side, self._side), mode="bilinear", align_corners=False)
        full = F.interpolate(full[..., : inner[0], : inner[1]], (height, width), mode="bilinear", align_corners=False)
        return (full[0, 0] > 0).cpu().numpy()
