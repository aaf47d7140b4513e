"""Write one answered frame to disk for a person to look at."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from ...errors import ConfigError, why
from ...labels import LabelSet
from ...overlay import draw_overlay
from .outputs import Answer


def make_folders(folder: Path, answers: list[Answer]) -> list[Path]:
    """`<folder>/<camera>_<stamp ns>/` for each answer, made.

    Raises:
        ConfigError: the folder cannot be written.
    """
    paths = [folder / f"{answer.frame.camera}_{answer.frame.stamp_ns}" for answer in answers]
    try:
        for path in paths:
            path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"snapshot_dir {folder} cannot be written: {why(error)}") from error
    return paths


def write_answer(path: Path, answer: Answer, labels: LabelSet, alpha: float) -> None:
    """image.png, overlay.png and, last, answer.npz (score, labels, mask, bundle); each appears when it is complete.

    Raises:
        OSError: the disk is full or gone.
    """
    frame, judgement = answer.frame, answer.judgement
    _write(path / "image.png", _png(frame.image))
    _write(path / "overlay.png", _png(draw_overlay(frame.image, judgement, labels, alpha)))
    prediction = judgement.prediction
    arrays = {"score": prediction.score, "labels": prediction.labels, "mask": judgement.mask}
    stream = io.BytesIO()
    np.savez(stream, **arrays, bundle=np.array(prediction.bundle_id))  # type: ignore[arg-type]
    _write(path / "answer.npz", stream.getbuffer())


def _png(image: np.ndarray) -> bytes:
    # Level 1: a snapshot is taken while driving, and a smaller file is not worth the time.
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _write(path: Path, data: bytes | memoryview) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data)
    part.replace(path)
