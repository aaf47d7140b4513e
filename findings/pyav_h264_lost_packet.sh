#!/usr/bin/env bash
# PyAV 17.1.0 (FFmpeg's libavcodec): an H.264 stream without B-frames of which one packet between key frames is lost.
# Guess, written before: the pictures after the gap are withheld until the next key frame, or are marked as corrupt, as
# those of H.265 are withheld.
# Seen: H.265 gives nothing until the next key frame. H.264 gives a picture for every packet, unmarked, although its
# frame numbers show the gap; the moving square of the lost picture stays where it was.
# Output seen:
#   hevc: packet 13 lost, pictures from 14 to 19: 0, marked as corrupt: 0
#   h264: packet 13 lost, pictures from 14 to 19: 6, marked as corrupt: 0, worst difference from the whole stream: 138
# Exits with a status other than 0 when that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset PYTHONPATH
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install av==17.1.0 numpy==2.2.6
cat > "$folder/try.py" <<'P'
from fractions import Fraction

import av
import numpy as np

av.logging.set_level(av.logging.PANIC)


def picture(index):
    y, x = np.mgrid[:96, :160]
    image = np.stack([60 + x % 120, 90 + y, 200 - y], -1).astype(np.uint8)
    image[30:60, 4 * index : 4 * index + 30] = (200, 40, 30)
    return image


def packets(encoder):
    context = av.CodecContext.create(encoder, "w")
    context.width, context.height, context.pix_fmt = 160, 96, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 10), Fraction(10, 1)
    context.gop_size, context.max_b_frames = 10, 0
    context.options = {"preset": "fast", "x265-params": "log-level=none"}
    found = []
    for index in range(20):
        frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24").reformat(format="yuv420p")
        frame.pts = index
        found += [bytes(packet) for packet in context.encode(frame)]
    return found + [bytes(packet) for packet in context.encode(None)]


def decode(codec, stream, lost):
    context = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    context.flags |= av.codec.context.Flags.low_delay
    found = {}
    for index, data in enumerate(stream):
        if index not in lost:
            packet = av.Packet(data)
            packet.pts = index
            try:
                for frame in context.decode(packet):
                    found[frame.pts] = (frame.to_ndarray(format="rgb24").astype(int), frame.is_corrupt)
            except av.error.FFmpegError:
                pass
    return found


result = []
for codec, encoder in (("hevc", "libx265"), ("h264", "libx264")):
    stream = packets(encoder)
    whole, torn = decode(codec, stream, ()), decode(codec, stream, (13,))
    after = [index for index in range(14, 20) if index in torn]
    marked = sum(torn[index][1] for index in after)
    worst = max((np.abs(torn[index][0] - whole[index][0]).max() for index in after), default=0)
    more = f", worst difference from the whole stream: {worst}" if after else ""
    print(f"{codec}: packet 13 lost, pictures from 14 to 19: {len(after)}, marked as corrupt: {marked}{more}")
    result.append((len(whole), len(after), marked, worst >= 60))
raise SystemExit(result != [(20, 0, 0, False), (20, 6, 0, True)])
P
"$folder/venv/bin/python" "$folder/try.py"
