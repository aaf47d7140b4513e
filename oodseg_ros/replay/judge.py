"""Arrivals of a source through the pipeline, with its cameras' settings: what `replay`, `run` and `collect` share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ConfigError, EngineError
from ..frame import Frame
from ..inference.runner import Runner
from ..parameters.params_file import settings_for
from ..parameters.settings import Settings
from ..pipeline.obstacles.zones import load_ego_mask
from ..pipeline.pipeline import Pipeline
from ..pipeline.step import Arrival, Step
from ..sources.source import Unreadable
from .recorded import Recorded


@dataclass(frozen=True)
class Judged:
    """A step, its number in the source, when its frame came, and why its obstacles have no position (if so)."""

    number: int
    step: Step
    now_ns: int
    unplaced: str

    @property
    def file(self) -> str:
        """Name of the file that the frame was read from, also where it was not answered; empty = of no file."""
        frame = self.step.frame or self.step.arrival.source
        return frame.file if isinstance(frame, (Frame, Unreadable)) else ""

    @property
    def trouble(self) -> str | None:
        """Why it was not answered, in a line; None = it was."""
        if self.step.dropped is None:
            return None
        error = f" ({self.step.error})" if self.step.error is not None else ""
        return f"{self.step.arrival.camera}: {self.step.dropped}{error}"


def settings_of(
    given: Mapping[str, Any], cameras: Sequence[str], ego_mask: Path | None = None
) -> tuple[Settings, list[str]]:
    """Settings for the cameras of a source out of the parameters that were given, and notes about what does not fit.

    Args:
        given: full parameter name → value; without `cameras` in it all cameras of the source are meant.
        cameras: of the source; its only camera takes the block of the parameters' only one, whatever their names.
        ego_mask: of all cameras, before those of the parameters.

    Raises:
        ConfigError: a parameter is wrong or unknown, or no camera of the parameters is in the source.
    """
    settings, idle = settings_for(given, cameras)
    if ego_mask is not None:
        load_ego_mask(ego_mask)  # now, before anything of an earlier run is replaced
        masked = tuple(replace(camera, ego_mask=str(ego_mask)) for camera in settings.cameras)
        settings = replace(settings, cameras=masked)
    notes = [f"parameters of cameras that are not in `cameras` are not used: {', '.join(idle)}"] if idle else []
    if len(cameras) == len(settings.cameras) == 1:
        return replace(settings, cameras=(replace(settings.cameras[0], name=cameras[0]),)), notes
    present = tuple(camera for camera in settings.cameras if camera.name in cameras)
    if not present:
        raise ConfigError(f"cameras {', '.join(settings.names)} are not in the source; it has {', '.join(cameras)}")
    absent = [name for name in settings.names if name not in cameras]
    unwanted = [name for name in cameras if name not in settings.names]
    notes += [f"camera {name} of the parameters is not in the source" for name in absent]
    notes += [f"camera {name} of the source is not judged: it is not in `cameras`" for name in unwanted]
    return replace(settings, cameras=present), notes


def judge(
    runner: Runner, recorded: Recorded, settings: Settings, limit: int | None = None, together: bool = True
) -> Iterator[Judged]:
    """Every frame through the pipeline.

    Args:
        settings: of the cameras that are to be judged; frames of others are left out.
        together: frames of a camera follow each other; False = each is judged as if it were its camera's first.

    Raises:
        EngineError: the engine cannot run on pictures of the first one's size.
        EngineGivenUp: it failed again and again.
    """
    clock = [0]
    said: set[tuple[str, str]] = set()

    def report(camera: str, kind: str, text: str) -> None:
        # Why frames are refused differs in its numbers from frame to frame: the first time tells.
        known = text in recorded.notes if kind.startswith("geometry/") else (camera, kind) in said
        if kind != "debug" and not known and len(recorded.notes) < 100:
            said.add((camera, kind))
            recorded.notes.append(text)

    pipeline: Pipeline | None = None
    number, first = 0, recorded.first()
    for arrival, now_ns in recorded.arrivals():
        if arrival.camera not in settings.names:
            continue
        if limit is not None and number >= limit:
            return
        clock[0] = now_ns
        if pipeline is None:
            _prepare(runner, first, arrival)
            calibration = runner.bundle.card.calibration
            around, speed = recorded.surroundings, recorded.speed
            pipeline = Pipeline(
                runner, calibration, lambda: settings, around, speed, clock=lambda: clock[0] * 1e-9, report=report
            )
            pipeline.start()
        elif not together:
            pipeline.reset(arrival.camera)
        step = pipeline.frame(arrival, now_ns)
        yield Judged(number, step, now_ns, pipeline.unplaced[arrival.camera])
        number += 1


def _prepare(runner: Runner, first: Frame | None, arrival: Arrival) -> None:
    """Compile for the first picture: an engine that was built for another size says so before anything is judged.

    Args:
        first: as of `Recorded`; None = the first arrival's picture counts.

    Raises:
        EngineError: it cannot run on pictures of this size.
    """
    try:
        height, width = (first or arrival.decode()).image.shape[:2]
        runner.warm(height, width)
    except EngineError:
        raise
    except Exception:  # adversarial messages raise anything; the pipeline counts it as this frame's
        return
