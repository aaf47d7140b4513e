"""The event recorder on the node: what pipeline and heartbeat tell it, and when that is worth a bag."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage

from ... import __version__
from ...frame import Alert, AlertState
from ...parameters.settings import Settings
from ...pipeline import reasons
from ...pipeline.obstacles.coherent import coherent_score
from ...pipeline.step import Step
from ...recorder.ring import Moment
from ..messages.alert import to_status

if TYPE_CHECKING:
    from ...recorder.recorder import Recorder

EXPECTED = frozenset({reasons.INACTIVE, reasons.DISABLED, reasons.STARTING, reasons.ENGINE_WARMING, reasons.RECOVERING})
"""Reasons of an UNKNOWN that somebody asked for, or that follow one which was recorded."""


class Recording:
    """Does nothing where `record.enabled` is false. Pipeline and heartbeat may call from threads of their own.

    Args:
        bundle, engine: identities that go into every bag.
        unplaced: camera → why its obstacles have no position; read each time.
    """

    def __init__(self, node: Node, settings: Settings, bundle: str, engine: str, unplaced: Mapping[str, str]) -> None:
        self._clock = node.get_clock()
        self._settings = settings.record
        self._states: dict[str, AlertState] = {}
        self._recorder: Recorder | None = None
        if not settings.record.enabled:
            return
        from ...recorder.recorder import Recorder  # and what writes bags

        name, logger = node.get_fully_qualified_name(), node.get_logger()

        def describe(camera: str, alert: Alert) -> Mapping[str, str]:
            status = to_status(camera, alert, 0, bundle, name, unplaced.get(camera, ""))
            return {pair.key: pair.value for pair in status.values}

        versions = {
            "package": f"oodseg_ros {__version__}",
            "bundle": bundle,
            "engine": engine,
            "node": name,
            "obstacles": repr(settings.obstacles),
            "python": platform.python_version(),
            "machine": platform.machine(),
        }
        self._recorder = Recorder(settings.record, versions, describe, lambda text: logger.warning(text))

    def frame(self, step: Step) -> None:
        """A frame and its state. Keeps references only; the published score is made when it is written."""
        frame, message, judgement = step.frame, step.arrival.source, step.judgement
        if self._recorder is None or frame is None:
            return
        # What came compressed is kept so: a twentieth of the memory, and the very bytes that the camera sent.
        # Not a mosaic: the recorder's own message would not say that it is one.
        kept = isinstance(message, CompressedImage) and "bayer_" not in message.format
        encoded = message.data if kept else None
        score = published = None
        if judgement is not None:
            score = judgement.prediction.published
            published = partial(coherent_score, objects=judgement.objects, min_area=judgement.min_area)
        self._recorder.add(
            Moment(
                at=time.monotonic(),
                log_ns=self._clock.now().nanoseconds,
                camera=frame.camera,
                stamp_ns=frame.stamp_ns,
                frame_id=frame.frame_id,
                alert=step.alert,
                image=frame.image if encoded is None else None,
                encoded=encoded,
                score=score,
                published=published,
            )
        )

    def alerts(self, alerts: Mapping[str, Alert]) -> None:
        """The states as they are sent now; a change may begin a bag."""
        if self._recorder is None:
            return
        for camera, alert in alerts.items():
            before, self._states[camera] = self._states.get(camera, AlertState.UNKNOWN), alert.state
            if alert.state is before:
                continue
            now = self._clock.now().nanoseconds
            self._recorder.add(Moment(time.monotonic(), now, camera, now, "", alert))
            if alert.state is AlertState.OBSTACLE and self._settings.on_obstacle:
                self._recorder.trigger("obstacle", camera)
            elif alert.state is AlertState.UNKNOWN and self._settings.on_unknown and alert.reason not in EXPECTED:
                self._recorder.trigger(f"unknown_{alert.reason}", camera)

    def snapshot(self) -> bool:
        """Somebody asked for the last seconds; True if a bag will be tried."""
        if self._recorder is None:
            return False
        self._recorder.trigger("snapshot")
        return True

    def counts(self) -> dict[str, str]:
        """For diagnostics; empty where nothing is recorded."""
        return {} if self._recorder is None else self._recorder.counts()

    @property
    def trouble(self) -> str | None:
        return None if self._recorder is None else self._recorder.trouble

    def close(self) -> None:
        """Write what waits, for at most some seconds."""
        if self._recorder is not None:
            self._recorder.close()
