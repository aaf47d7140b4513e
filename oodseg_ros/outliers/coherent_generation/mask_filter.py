"""Did the object appear where it was asked for? A segmenter has to find it there again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ...errors import CheckpointError

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
