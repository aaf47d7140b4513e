"""Video files, by OpenCV's reader."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import cv2

from ..errors import DatasetError, ImageError
from ..frame import Frame
from .source import Source, Unreadable

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".ts")
_DEFAULT_RATE = 10.0
_COUNTED = (".mp4", ".m4v", ".mov")
"""Their headers tell a number of frames; in others it is an estimate."""
_HEADER_SLACK = 0.02
"""A shortfall beyond this share of an estimated number counts as damage."""
_BUILT_ON_OTHERS = tuple(b"PBS")
"""Frame types, as OpenCV tells them by FFmpeg."""
_REORDERED = 16
"""Frames that H.264 and H.265 hold back at most, to show them in another order than they are decoded in."""
_MOST_LOST = 1000
"""Frames in a row that cannot be decoded, after which the file counts as ended: OpenCV does not tell the two apart."""


def open_video(path: Path) -> Source:
    """Frames of a video, stamped from 0 by the times in the file: phones and dash cameras do not keep a rate.

    Raises:
        DatasetError: it cannot be opened or has no frames.
    """
    capture = _open(path)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    readable = any(capture.read()[0] for _ in range(_MOST_LOST))
    capture.release()
    if not readable:
        raise DatasetError(f"video {path} has no readable frame; it is damaged or of a codec that OpenCV lacks here")
    return Source(path.name, "video", (path.stem,), count if count > 0 else None, lambda source: _frames(source, path))


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise DatasetError(f"video {path} cannot be opened; it is damaged or of a format that OpenCV lacks here")
    return capture


def _frames(source: Source, path: Path) -> Iterator[Frame | Unreadable]:
    """What cannot be decoded gets the times between its neighbours', because nothing tells its own.

    After it, what is built on frames before it is no picture of the road, although libav conceals that without a word:
    it is lost, too, until a frame that stands by itself. Where the order of decoding is not that of showing, a failed
    read comes before pictures that were decoded earlier: one of those that stands by itself ends nothing.
    """
    capture = _open(path)
    rate = capture.get(cv2.CAP_PROP_FPS)
    period = 1e9 / (rate if math.isfinite(rate) and 0.1 <= rate <= 1000 else _DEFAULT_RATE)
    index, lost, stamp_ns, gap_ns, first_ms = 0, 0, 0, 0, 0.0
    torn = ImageError(f"a frame of video {path.name} cannot be decoded")
    based = ImageError(f"a frame of video {path.name} is built on one that cannot be decoded")
    waiting, since = False, 0
    held_back: int | None = None  # known once it matters
    try:
        while True:
            done, image = capture.read()
            if not done:
                lost, since, waiting = lost + 1, 0, True
                if lost == _MOST_LOST:
                    break
                continue
            if lost and held_back is None:  # not at the end, where reads fail, too
                held_back = _REORDERED if _reorders(path) else 0
            milliseconds = capture.get(cv2.CAP_PROP_POS_MSEC)
            first_ms = first_ms if index else max(0.0, milliseconds - lost * period / 1e6)
            told_ns = round((milliseconds - first_ms) * 1e6) if math.isfinite(milliseconds - first_ms) else 0
            before_ns, steps = stamp_ns, lost + (index > 0)
            if steps:
                # A file without times, or with one twice, keeps its rate.
                stamp_ns = told_ns if told_ns > before_ns else before_ns + steps * round(period)
                gap_ns = (stamp_ns - before_ns) // steps
            for number in range(lost):
                yield Unreadable(torn, stamp_ns - (lost - number) * gap_ns, path.stem, path.name)
            index, lost = index + lost + 1, 0
            built = int(capture.get(cv2.CAP_PROP_FRAME_TYPE)) in _BUILT_ON_OTHERS
            waiting, since = waiting and (built or since < (held_back or 0)), since + 1
            if waiting:
                yield Unreadable(based, stamp_ns, path.stem, path.name)
            else:
                yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), stamp_ns, path.stem, file=path.name)
    finally:
        capture.release()
    if source.count is None:
        return
    # Others tell no number of frames but a duration, which OpenCV makes frames of by the rate.
    whole = source.count * (1 - _HEADER_SLACK) - 1
    short = path.suffix.lower() in _COUNTED and index < source.count
    if short or (index < whole and (stamp_ns + gap_ns) / period < whole):
        # An edit list hides frames that the header counts, and OpenCV does not tell it.
        source.damage = f"video {path.name} has {index} of {source.count} frames: a part is lost, or was trimmed away"


def _reorders(path: Path) -> bool:
    """Whether frames of a video are shown in another order than they are decoded in. Reads all of one where none is."""
    capture, failed = _open(path), 0
    try:
        while failed < _MOST_LOST:
            failed = 0 if capture.grab() else failed + 1
            if not failed and int(capture.get(cv2.CAP_PROP_FRAME_TYPE)) == ord("B"):
                return True
        return False
    finally:
        capture.release()
