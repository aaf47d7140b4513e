"""`replay`: a bag or another source through the pipeline without ROS, on its own clock.

Everything that is decided depends on the source, the parameters, the bundle and the engine only: the clock is the log
time of a bag's messages, so `alerts.csv` is the same byte for byte in every run, however fast the machine is.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BagError, UserError
from ..evaluation.metrics.components import ComponentMetrics
from ..evaluation.metrics.pixels import PixelMetrics
from ..frame import AlertState
from ..inference.runner import Runner
from ..parameters.settings import Settings
from ..pipeline.output_gate import ScoreDrift
from .alert_table import AlertTable
from .judge import Judged, judge
from .recorded import Recorded
from .truth import Truth

STAGES = ("inference", "judgement", "overlay")


@dataclass
class Drive:
    """What a replay came to.

    Attributes:
        rows: per frame: camera, stamp_ns, log_ns, file (empty where the source has times), state, reason, score
            (highest calibrated one of its obstacles, 0 without), age_s (of the evidence when the message was logged),
            drift, changed (its camera's state did), onset (an alert begins here).
        skipped: frames that could not be judged, counted by reason.
        start_ns, end_ns: first and last log time of the camera messages.
        metres: way driven, nan without an odometry topic.
        pixel, components: metrics of the frames with ground truth, pixels by the published score; None without.
        seconds: per stage, one figure per frame; the only thing here that depends on the machine.
        damage: what of the source could not be read, or None.
        missing: frames that it promises and that did not come.
        notes: what a person should know of source and parameters.
        looked_again: frames that the network saw a part of twice; None where the bundle asks for no second look.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    start_ns: int | None = None
    end_ns: int = 0
    metres: float = math.nan
    pixel: PixelMetrics | None = None
    components: ComponentMetrics | None = None
    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    damage: str | None = None
    missing: int = 0
    notes: list[str] = field(default_factory=list)
    looked_again: int | None = None

    @property
    def judged(self) -> int:
        """Number of frames that the network answered."""
        return len(self.seconds["inference"])

    def states(self) -> dict[str, Counter[str]]:
        """Camera → state → number of frames."""
        counts: dict[str, Counter[str]] = {}
        for row in self.rows:
            counts.setdefault(row["camera"], Counter())[row["state"]] += 1
        return counts


def replay(
    runner: Runner,
    recorded: Recorded,
    settings: Settings,
    out: Path,
    *,
    truth: Truth | None = None,
    track: str = "obstacle",
    limit: int | None = None,
    together: bool = True,
    watch: Callable[[Judged], None] = lambda judged: None,
    progress: Callable[[int], None] = lambda done: None,
) -> Drive:
    """Judge every frame of a source and write `out/alerts.csv`.

    Args:
        out: a folder, made if absent.
        truth: ground truth by stamp.
        track: component rule for frames with ground truth.
        together: as of `judge`.
        watch: called with every frame, in order.
        progress: called with the number of frames so far.

    Raises:
        BagError: the source holds not one frame of its cameras.
        EngineError: the engine cannot run on pictures of this size (then nothing is replaced).
        EngineGivenUp: it failed again and again.
    """
    drive = Drive()
    if truth is not None:
        drive.pixel, drive.components = PixelMetrics(), ComponentMetrics(track)
    histogram = runner.bundle.card.calibration.inlier_histogram
    drifts = {camera: ScoreDrift(histogram) for camera in settings.names}
    states: dict[str, AlertState] = {}
    look = runner.second_look
    taken = 0 if look is None else look.taken
    frames = judge(runner, recorded, settings, limit, together)
    # The first one is judged before earlier results are replaced: what cannot run is refused by then.
    first = list(itertools.islice(frames, 1))
    out.mkdir(parents=True, exist_ok=True)
    with AlertTable(out / "alerts.csv") as table:
        for judged in itertools.chain(first, frames):
            step = judged.step
            drive.start_ns = judged.now_ns if drive.start_ns is None else drive.start_ns
            drive.end_ns = judged.now_ns
            drift = math.nan
            if step.judgement is not None:
                drive.seconds["inference"].append(step.network_s)
                drive.seconds["judgement"].append(step.judging_s)
                drift = drifts[step.arrival.camera].measure(step.judgement.prediction.score)
            table.write(judged)
            _record(drive, judged, states, drift, recorded.sequential)
            if judged.trouble is not None:
                drive.skipped[judged.trouble] += 1
                if truth is not None:  # its mask has a frame, though nothing to compare with
                    truth.meet(step.arrival.stamp_ns)
            elif truth is not None:
                _compare(drive, truth, judged)
            watch(judged)
            progress(judged.number + 1)
    drive.metres = recorded.metres
    drive.looked_again = None if look is None else look.taken - taken
    drive.skipped.update(recorded.skipped)
    drive.damage, drive.missing, drive.notes = recorded.damage, recorded.missing, recorded.notes
    if not drive.rows:
        names = ", ".join(settings.names)
        raise BagError(f"{recorded.name} holds no frame of {names}: {drive.damage or 'it is empty'}")
    return drive


def _record(drive: Drive, judged: Judged, states: dict[str, AlertState], drift: float, timed: bool) -> None:
    camera, alert = judged.step.arrival.camera, judged.step.alert
    changed = alert.state is not states.get(camera)
    states[camera] = alert.state
    drive.rows.append(
        {
            "number": judged.number,
            "camera": camera,
            "stamp_ns": judged.step.arrival.stamp_ns,
            "log_ns": judged.now_ns,
            "file": "" if timed else judged.file,
            "state": alert.state.value,
            "reason": alert.reason,
            "score": max((obstacle.score for obstacle in alert.obstacles), default=0.0),
            "age_s": alert.evidence_age_s,
            "drift": drift,
            "changed": changed,
            "onset": changed and alert.state is AlertState.OBSTACLE,
        }
    )


def _compare(drive: Drive, truth: Truth, judged: Judged) -> None:
    camera, judgement = judged.step.arrival.camera, judged.step.judgement
    score = judgement.score
    try:
        mask = truth.find(judged.step.arrival.stamp_ns)
        if mask is not None:
            drive.pixel.update(score, mask)
            drive.components.update(score, mask, judgement.mask)
    except UserError as error:
        drive.skipped[f"{camera}, ground truth: {error}"] += 1
