"""Video files, by OpenCV's reader."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2

from ..errors import DatasetError
from ..frame import Frame
from .source import Source

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts")
_DEFAULT_RATE = 10.0
_HEADER_SLACK = 0.02
"""Frame counts in video headers are estimates; a shortfall beyond this share counts as damage."""


def open_video(path: Path) -> Source:
    """Frames of a video, stamped from 0 by the times in the file: phones and dash cameras do not keep a rate.

    Raises:
        DatasetError: it cannot be opened or has no frames.
    """
    capture = _open(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    readable = capture.read()[0]
    capture.release()
    if not readable:
        raise DatasetError(f"video {path} has no readable frame; it is damaged or of a codec that OpenCV lacks here")
    return Source(path.name, "video", (path.stem,), count if count > 0 else None, lambda source: _frames(source, path))


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DatasetError(f"video {path} cannot be opened; it is damaged or of a format that OpenCV lacks here")
    return capture


def _frames(source: Source, path: Path) -> Iterator[Frame]:
    capture = _open(path)
    rate = capture.get(cv2.CAP_PROP_FPS)
    period = 1e9 / (rate if math.isfinite(rate) and 0.1 <= rate <= 1000 else _DEFAULT_RATE)
    index, stamp_ns, gap_ns, first_ms = 0, 0, 0, 0.0
    try:
        while True:
            done, image = capture.read()
            if not done:
                break
            milliseconds = capture.get(cv2.CAP_PROP_POS_MSEC)
            first_ms = first_ms if index else milliseconds
            told_ns = round((milliseconds - first_ms) * 1e6) if math.isfinite(milliseconds - first_ms) else 0
            if index:
                # A file without times, or with one twice, keeps its rate.
                gap_ns = told_ns - stamp_ns if told_ns > stamp_ns else round(period)
                stamp_ns += gap_ns
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), stamp_ns, path.stem, file=path.name)
            index += 1
    finally:
        capture.release()
    if source.count is None:
        return
    # Some headers tell no number of frames but a duration, which OpenCV makes frames of by the rate.
    whole = source.count * (1 - _HEADER_SLACK) - 1
    if index < whole and (stamp_ns + gap_ns) / period < whole:
        source.damage = f"video {path.name} ends after {index} of {source.count} frames"
