"""H.264 and H.265 packets (foxglove_msgs/CompressedVideo, ffmpeg_image_transport's FFMPEGPacket) → RGB, by PyAV.

A picture is built on those before it. After a lost or damaged packet, and before the first key frame, nothing that
comes out is a picture of the road: every packet is then refused until the next key frame, which for the vehicle is
UNKNOWN. libav alone conceals such losses in H.264 without a word, so frame numbers are checked here.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import ImageError
from .image_bytes import MAX_SIDE, check_size
from .message_images import message_to_rgb

PACKET_TYPES = ("foxglove_msgs/msg/CompressedVideo", "ffmpeg_image_transport_msgs/msg/FFMPEGPacket")
DEFINITIONS = {
    PACKET_TYPES[0]: "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format\n",
    PACKET_TYPES[1]: (
        "std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\nuint8 flags\n"
        "bool is_bigendian\nuint8[] data\n"
    ),
}
"""For bags that hold no definitions, and stores that do not know these types."""

_WAITING = "no key frame since the stream began, or since a packet was lost or damaged; unknown until the next one"
_NAL = re.compile(rb"\x00\x00\x01")
_HEAD = 96
"""Bytes of a NAL unit in which its header fields stand."""


def stamp_of(message: Any) -> tuple[int, str]:
    """Stamp in nanoseconds and frame id of an image message or a packet."""
    stamp = message.timestamp if hasattr(message, "timestamp") else message.header.stamp
    frame_id = message.frame_id if hasattr(message, "timestamp") else message.header.frame_id
    return stamp.sec * 10**9 + stamp.nanosec, frame_id


class PictureDecoder:
    """Messages of one camera's topic, in their order, → RGB: images each by itself, packets as one stream."""

    def __init__(self) -> None:
        self._stream: PacketStream | None = None

    def __call__(self, message: Any) -> np.ndarray:
        """RGB uint8 `[H, W, 3]`, C-contiguous.

        Raises:
            ImageError: see `message_to_rgb` and `PacketStream.decode`.
        """
        if not (hasattr(message, "pts") or hasattr(message, "timestamp")):
            return message_to_rgb(message)
        if self._stream is None:
            self._stream = PacketStream()
        return to_rgb(self._stream.decode(message))

    def lose(self) -> None:
        """A message was lost on the way here."""
        if self._stream is not None:
            self._stream.lose()


def to_rgb(picture: Any) -> np.ndarray:
    """What `PacketStream.decode` gives, as RGB uint8 `[H, W, 3]`, C-contiguous."""
    return np.ascontiguousarray(picture.to_ndarray(format="rgb24"))


class PacketWorker:
    """Decodes every packet of one camera in a thread of its own: the newest picture counts, but it needs all before it.

    Args:
        done: called there, in the order of the packets, with what came with a packet and its picture, an
            `av.VideoFrame` for `to_rgb`, or the `ImageError` that it came to.
        most: packets that may wait; when more come they are dropped, and the stream is lost until its next key frame.
    """

    def __init__(self, done: Callable[[Any, Any], None], most: int = 60) -> None:
        self._done, self._most = done, most
        self._waiting: deque[tuple[Any, Any]] = deque()
        self._condition = threading.Condition()
        self._closed = self._lost = False
        self._thread = threading.Thread(target=self._run, name="packets", daemon=True)
        self._thread.start()

    def put(self, message: Any, with_it: Any) -> None:
        with self._condition:
            if len(self._waiting) >= self._most:
                self._waiting.clear()
                self._lost = True
            self._waiting.append((message, with_it))
            self._condition.notify()

    def close(self) -> None:
        """End the thread; what waits is dropped."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        stream = PacketStream()
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                message, with_it = self._waiting.popleft()
                lost, self._lost = self._lost, False
            if lost:
                stream.lose()
            try:
                result = stream.decode(message)
            except ImageError as error:
                result = error
            except Exception as error:  # whatever a hostile packet makes libav's binding raise, the thread lives on
                stream.lose()
                result = ImageError(
                    f"a packet of {len(message.data)} bytes: {type(error).__name__}: {str(error)[:100]}"
                )
            self._done(with_it, result)


class PacketStream:
    """The decoder of one stream; it must be given every packet, in order."""

    def __init__(self) -> None:
        self._codec = ""
        self._context: Any = None
        self._waiting = True
        self._count = 0
        self._numbers = FrameNumbers()

    def lose(self) -> None:
        """Packets were lost on the way here: nothing is a picture until the next key frame."""
        self._waiting = True

    def decode(self, message: Any) -> Any:
        """The packet's picture, an `av.VideoFrame`.

        Raises:
            ImageError: PyAV is missing, the codec is another one, or the packet gives no whole picture.
        """
        told = str(getattr(message, "encoding", "") or getattr(message, "format", ""))
        codec = _codec_of(told)
        data = bytes(message.data)
        if codec != self._codec:
            self._open(codec)
        self._count += 1
        if not data.startswith((b"\x00\x00\x01", b"\x00\x00\x00\x01")):
            self._waiting = True
            raise ImageError(f"the {codec} packet ({len(data)} bytes) is empty or not in Annex B format")
        key = _is_key(data, codec)
        if codec == "h264" and self._numbers.gap(data):
            self._waiting = True
        if self._waiting and not key:
            raise ImageError(f"{codec}: {_WAITING}")
        return self._picture(data, codec)

    def _picture(self, data: bytes, codec: str) -> Any:
        import av

        if self._waiting:  # a key frame: what the decoder remembers of the time before is void
            self._open(codec)
            self._numbers.gap(data)
        packet = av.Packet(data)
        packet.pts = self._count
        try:
            pictures = [picture for picture in self._context.decode(packet) if picture.pts == self._count]
        except av.error.FFmpegError as error:
            self._waiting = True
            raise ImageError(f"the {codec} packet ({len(data)} bytes) is damaged: {error.strerror}") from error
        if not pictures or pictures[0].is_corrupt:
            self._waiting = True
            raise ImageError(
                f"the {codec} packet gives no whole picture of its own: one before it is missing, or the encoder uses "
                "B-frames, which a vehicle cannot wait for (set max_b_frames to 0)"
            )
        check_size(pictures[0].width, pictures[0].height)
        self._waiting = False
        return pictures[0]

    def _open(self, codec: str) -> None:
        try:
            import av
        except ImportError as error:
            raise ImageError(
                f"{codec} packets need PyAV, which cannot be imported ({error}); pip install av"
            ) from error
        av.logging.set_level(av.logging.PANIC)
        self._context = av.CodecContext.create(codec, "r")
        self._context.thread_count = 1  # more threads hold back as many pictures
        self._context.flags |= av.codec.context.Flags.low_delay
        self._context.options = {"max_pixels": str(MAX_SIDE * MAX_SIDE)}
        self._codec, self._waiting, self._numbers = codec, True, FrameNumbers()


def _codec_of(told: str) -> str:
    """The codec by FFMPEGPacket's encoding (`h264;yuv420p;…`, of old the encoder: `libx264`) or Foxglove's format."""
    name = told.partition(";")[0].strip().lower()
    if "264" in name:
        return "h264"
    if "265" in name or "hevc" in name:
        return "hevc"
    raise ImageError(f"video packets of {name[:40]!r} cannot be decoded here; publish h264 or h265")


def _units(data: bytes) -> list[bytes]:
    """The heads of the NAL units of an Annex B packet."""
    return [data[match.end() : match.end() + _HEAD] for match in _NAL.finditer(data)]


def _is_key(data: bytes, codec: str) -> bool:
    """Whether decoding can begin here: IDR of H.264; IDR, BLA or CRA of H.265."""
    heads = [unit[0] for unit in _units(data) if unit]
    if codec == "h264":
        return any(head & 31 == 5 for head in heads)
    return any(16 <= head >> 1 & 63 <= 21 for head in heads)


class FrameNumbers:
    """H.264's frame_num: counts the reference pictures, so that a lost one leaves a gap (ITU-T H.264, 7.4.3)."""

    def __init__(self) -> None:
        self._bits: int | None = None
        self._planes = self._gaps_allowed = False
        self._last: int | None = None

    def gap(self, data: bytes) -> bool:
        """Take a packet in; True if a reference picture before it is missing."""
        missing = False
        for unit in _units(data):
            kind = unit[0] & 31 if unit else 0
            try:
                if kind == 7:
                    self._read_sps(_Bits(unit[1:]))
                elif kind in (1, 5) and self._bits is not None:
                    number = self._number(_Bits(unit[1:]))
                    if kind == 1 and self._last is not None and not self._gaps_allowed:
                        missing |= number not in (self._last, (self._last + 1) % (1 << self._bits))
                    if unit[0] >> 5 & 3:
                        self._last = number
            except IndexError:  # cut short; the decoder will say so
                continue
        return missing

    def _number(self, bits: _Bits) -> int:
        bits.golomb(), bits.golomb(), bits.golomb()  # first_mb_in_slice, slice_type, pic_parameter_set_id
        if self._planes:
            bits.read(2)
        return bits.read(self._bits or 0)

    def _read_sps(self, bits: _Bits) -> None:
        profile = bits.read(8)
        bits.read(16)
        bits.golomb()
        self._planes = False
        if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
            chroma = bits.golomb()
            if chroma == 3:
                self._planes = bool(bits.read(1))
            bits.golomb(), bits.golomb(), bits.read(1)
            if bits.read(1):
                for place in range(8 if chroma != 3 else 12):
                    if bits.read(1):
                        bits.scaling_list(16 if place < 6 else 64)
        self._bits = bits.golomb() + 4
        order = bits.golomb()
        if order == 0:
            bits.golomb()
        elif order == 1:
            bits.read(1), bits.golomb(), bits.golomb()
            for _ in range(bits.golomb()):
                bits.golomb()
        bits.golomb()
        self._gaps_allowed = bool(bits.read(1))


class _Bits:
    """Bits of a NAL unit, without the bytes that prevent start codes inside."""

    def __init__(self, data: bytes) -> None:
        self._data = data.replace(b"\x00\x00\x03", b"\x00\x00")
        self._at = 0

    def read(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - self._at % 8) & 1
            self._at += 1
        return value

    def golomb(self) -> int:
        """Exp-Golomb, unsigned; of signed ones only the length counts here."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def scaling_list(self, size: int) -> None:
        last = following = 8
        for _ in range(size):
            if following:
                code = self.golomb()
                following = (last + (code + 1) // 2 * (1 if code % 2 else -1)) % 256
            last = following or last
