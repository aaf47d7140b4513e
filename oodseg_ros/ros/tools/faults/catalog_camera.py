"""Faults of cameras, and of the messages that come from them."""

from __future__ import annotations

from .script import UNKNOWN, VICTIM, WITNESS, Script, act

BACK = (act("camera", camera=VICTIM),)
SIDE_BACK = (act("camera", camera=WITNESS),)


def _camera(name: str, what: str, *reasons: str, **options: object) -> Script:
    given = {key: options.pop(key) for key in ("picture", "message", "stamp", "info", "silent") if key in options}
    return Script(
        name, "camera", what, (act("camera", camera=VICTIM, **given),), BACK, reasons=frozenset(reasons), **options
    )


def _message(name: str, what: str, *reasons: str, victim: str = VICTIM, **options: object) -> Script:
    begin = (act("camera", camera=victim, message=name),)
    end = BACK if victim == VICTIM else SIDE_BACK
    given = frozenset(reasons or ("decode_failed", "wrong_size", "encoding_changed", "camera_info"))
    return Script(name, "message", what, begin, end, reasons=given, victim=victim, **options)


CAMERA = (
    _camera("camera_silent", "the camera stops sending", "no_image", silent=True),
    _camera("camera_frozen", "the same picture again and again under new stamps", "frozen", picture="frozen", within=8),
    _camera("camera_black", "a black picture with sensor noise", "black", picture="black"),
    _camera("camera_over_exposed", "a white picture", "over_exposed", picture="over_exposed"),
    _camera("camera_in_fog", "fog that leaves a tenth of the contrast", "low_contrast", picture="fog"),
    _camera("camera_blurred", "out of focus", "blurred", "blocked", picture="blurred", within=20, recover=20),
    _camera(
        "camera_blocked", "three quarters of the lens covered", "blocked", "blurred", picture="blocked", within=20,
        recover=20,
    ),
    _camera("camera_wrong_size", "half the size from one frame to the next", "wrong_size", picture="small"),
    _camera("camera_changing_size", "another size in every frame", "wrong_size", picture="changing"),
    _camera("camera_other_encoding", "mono8 instead of bgr8", "encoding_changed", message="mono"),
    _camera("stamp_in_future", "stamped 5 s in the future", "stamp_in_future", stamp="future"),
    _camera("stamp_in_past", "stamped 5 s in the past", "too_old", "stamp_went_back", "no_image", stamp="past"),
    _camera("stamp_repeats", "the same stamp again and again", "repeated_stamp", "no_image", "late", stamp="repeat"),
    _camera("stamp_goes_back", "every frame is stamped before the last one", "stamp_went_back", "too_old", "starting",
            "recovering", stamp="back"),
    _camera("stamp_jitters", "stamps swap places: every second one lies before the last",
            "stamp_went_back", "starting", "recovering", stamp="swap"),
    _camera("stamp_zero", "no stamp at all", "no_stamp", "no_image", "late", stamp="zero"),
    _camera("camera_info_contradicts", "camera_info is of images of another shape", "camera_info", info="shape"),
    _camera("camera_info_nan", "camera_info holds NaN", "camera_info", info="nan"),
    _camera("camera_info_absurd", "camera_info with a focal length of 1e300 and an endless distortion",
            "camera_info", info="absurd"),
)  # fmt: skip

MESSAGE = (
    _message("zero_size", "an image of 0 x 0 pixels"),
    _message("wrong_step", "a row step smaller than a row"),
    _message("huge_step", "a row step of 4 GB"),
    _message("truncated", "half of the data is missing"),
    _message("no_data", "no data at all"),
    _message("enormous", "4294967295 x 4294967295 pixels by its header"),
    _message("unknown_encoding", "an encoding that does not exist"),
    _message("depth_encoding", "32FC1, which is no picture"),
    _message("long_encoding", "an encoding name of 100 kB"),
    _message("empty_header", "neither stamp nor frame_id", "no_stamp", "no_image", "late", "decode_failed"),
    _message("alternating", "every second message is garbage", "decode_failed", "recovering", "starting", "wrong_size"),
    _message("jpeg_garbage", "random bytes as JPEG", victim=WITNESS),
    _message("jpeg_truncated", "half a JPEG", victim=WITNESS),
    _message("jpeg_empty", "a compressed image without data", victim=WITNESS),
    _message("jpeg_flipped", "flipped bits in the header of a JPEG", victim=WITNESS),
    _message("png_bomb", "a PNG of 50000 x 50000 pixels in 100 bytes", victim=WITNESS),
    _message("gif", "a GIF in a CompressedImage", victim=WITNESS),
    Script(
        "camera_dies_and_returns", "camera", "the driver's publisher goes away for a while and comes back",
        (act("driver_dies", camera=VICTIM),), (act("driver_returns", camera=VICTIM),),
        states=UNKNOWN, reasons=frozenset({"no_image"}), hold=1.0, recover=15.0,
    ),
)  # fmt: skip
