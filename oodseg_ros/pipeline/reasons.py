"""Every reason code that an alert or an account of frames may carry, and what it means, in words for people."""

from __future__ import annotations

from dataclasses import dataclass

# Why there is a state at all.
OK = "ok"
CONFIRMING = "confirming"
OBSTACLE = "obstacle"
HOLDING = "holding"
RELEASING = "releasing"
STARTING = "starting"
RECOVERING = "recovering"

# Nothing comes, or nothing may be answered.
INACTIVE = "inactive"
DISABLED = "disabled"
NO_IMAGE = "no_image"
LATE = "late"
ENGINE_WARMING = "engine_warming"
ENGINE_ERROR = "engine_error"
ENGINE_FAILED = "engine_failed"
INFERENCE_BLOCKED = "inference_blocked"
INTERNAL_ERROR = "internal_error"

# What is wrong with a message or its time.
OVERWRITTEN = "overwritten"
TOO_OLD = "too_old"
DECODE_FAILED = "decode_failed"
NO_STAMP = "no_stamp"
REPEATED_STAMP = "repeated_stamp"
STAMP_IN_FUTURE = "stamp_in_future"
STAMP_WENT_BACK = "stamp_went_back"
WRONG_SIZE = "wrong_size"
ENCODING_CHANGED = "encoding_changed"
CAMERA_INFO = "camera_info"
SEVERAL_PUBLISHERS = "several_publishers"

# What is wrong with a picture.
FROZEN = "frozen"
BLACK = "black"
OVER_EXPOSED = "over_exposed"
LOW_CONTRAST = "low_contrast"
BLURRED = "blurred"
BLOCKED = "blocked"

# What is wrong with an answer of the network.
SCORE_NOT_FINITE = "score_not_finite"
ONE_CLASS = "one_class"
SCORE_SATURATED = "score_saturated"
SCORE_DRIFT = "score_drift"

SENTENCES = {
    OK: "no unknown obstacle",
    CONFIRMING: "something was seen, but not yet in enough frames",
    OBSTACLE: "an unknown obstacle is seen",
    HOLDING: "the obstacle is still there, but weaker",
    RELEASING: "the obstacle was seen a moment ago",
    STARTING: "not enough images have been judged yet",
    RECOVERING: "not enough images have been judged since the last fault",
    INACTIVE: "the node is not active",
    DISABLED: "the node was switched off by the enable service",
    NO_IMAGE: "no image arrives",
    LATE: "images arrive, but no answer was ready in time",
    ENGINE_WARMING: "the engine is being compiled for a new image size",
    ENGINE_ERROR: "the engine failed on this image",
    ENGINE_FAILED: "the engine failed again and again and was given up",
    INFERENCE_BLOCKED: "the inference thread stands still",
    INTERNAL_ERROR: "judging or publishing the image failed",
    OVERWRITTEN: "a newer image came before the engine was free",
    TOO_OLD: "images are older than max_age when the engine is free",
    DECODE_FAILED: "the message holds no picture",
    NO_STAMP: "the image has no time stamp",
    REPEATED_STAMP: "the time stamp is that of the image before",
    STAMP_IN_FUTURE: "the image is stamped in the future",
    STAMP_WENT_BACK: "the image is older than the one before",
    WRONG_SIZE: "the image has another size than expected",
    ENCODING_CHANGED: "the image's encoding changed",
    CAMERA_INFO: "camera_info contradicts the image",
    SEVERAL_PUBLISHERS: "several publishers send on the camera's topic, so pictures of different cameras mix",
    FROZEN: "the picture stands still to the last bit",
    BLACK: "the picture is black",
    OVER_EXPOSED: "the picture is over-exposed",
    LOW_CONTRAST: "the picture has too little contrast: fog, a fogged lens, too little light",
    BLURRED: "the picture is blurred",
    BLOCKED: "something covers the lens",
    SCORE_NOT_FINITE: "the network answered NaN or infinity",
    ONE_CLASS: "the network sees one class everywhere",
    SCORE_SATURATED: "the network calls most of the image unknown",
    SCORE_DRIFT: "the scores are unlike those that the model was calibrated on",
}
"""Reason → the sentence for people; every code above stands here."""
_OF_ALERTS = {OK, CONFIRMING, OBSTACLE, HOLDING, RELEASING, STARTING, RECOVERING}
_OF_ALERTS |= {NO_IMAGE, LATE, ENGINE_WARMING, ENGINE_FAILED, INFERENCE_BLOCKED}
DROPS = tuple(code for code in SENTENCES if code not in _OF_ALERTS)
"""Why a received frame was not answered. Each received frame is answered, waiting, or counted under one of these."""


def sentence(reason: str) -> str:
    """What a reason means; an unknown one as it is, readable."""
    return SENTENCES.get(reason, reason.replace("_", " "))


@dataclass(frozen=True)
class Fault:
    """A reason code of a frame that must not be judged, and the figures behind it, for people."""

    reason: str
    detail: str = ""

    @property
    def text(self) -> str:
        return f"{sentence(self.reason)} ({self.detail})" if self.detail else sentence(self.reason)
