"""Write one answered frame to disk for a person to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import ConfigError
from ..labels import LabelSet
from ..overlay import draw_overlay
from .outputs import Answer


def write_snapshot(folder: Path, answers: list[Answer], labels: LabelSet, alpha: float) -> list[Path]:
    """Make `<folder>/<camera>_<stamp ns>/` with image.png, overlay.png and answer.npz for each answer.

    Raises:
        ConfigError: the folder cannot be written.
    """
    paths = []
    for answer in answers:
        frame, judgement = answer.frame, answer.judgement
        target = folder / f"{frame.camera}_{frame.stamp_ns}"
        try:
            target.mkdir(parents=True, exist_ok=True)
            _write_png(target / "image.png", frame.image)
            _write_png(target / "overlay.png", draw_overlay(frame.image, judgement, labels, alpha))
            prediction = judgement.prediction
            with (target / "answer.npz").open("wb") as stream:
                np.savez(
                    stream,
                    score=prediction.score,
                    labels=prediction.labels,
                    mask=judgement.mask,
                    bundle=np.array(prediction.bundle_id),
                )
        except OSError as error:
            raise ConfigError(f"snapshot_dir {folder} cannot be written: {error}") from error
        paths.append(target)
    return paths


def _write_png(path: Path, image: np.ndarray) -> None:
    # Level 1: a snapshot is taken while driving, and a smaller file is not worth the time.
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    path.write_bytes(data.tobytes())
