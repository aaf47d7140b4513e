"""The network in a notebook: `oodseg_ros.load("road_lite")(image)`. One picture at a time, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .bundle import Bundle
from .frame import Frame, Obstacle
from .inference.runner import Runner
from .overlay import draw_overlay
from .parameters.judging import ObstacleSettings
from .pipeline.camera import CameraPipeline, Judgement
from .pipeline.input_gate.gate import InputGate
from .pipeline.input_gate.picture import measure


@dataclass(frozen=True)
class Result:
    """What is seen in one picture.

    Attributes:
        labels: uint8 `[H, W]`, class ids; 255 = unlabeled. `names[id]` is the class.
        score: float32 `[H, W]` anomaly score, higher = more anomalous, unbounded; NaN = not judged. As the node
            publishes it: the greater of two looks (`inference.second_look`), coherent (`pipeline.obstacles.coherent`).
        calibrated: float32 `[H, W]` in [0, 1]: the bundle's score table applied to the score that decides, which the
            table is of; NaN = not judged.
        obstacles: largest first; positions and tracks need a sequence and a calibrated camera (`oodseg run`).
        names: class names of the bundle's label set, by id.
        bad_input: why the picture cannot be trusted (input gate: black, over-exposed, too little contrast), as a
            sentence; empty = nothing was found. The node judges no such frame and says UNKNOWN; here the answer stands
            beside it, to be looked at.
        refused: why the answer cannot be trusted (output gate: NaN or infinity), as a sentence; empty = it can.
    """

    labels: np.ndarray
    score: np.ndarray
    calibrated: np.ndarray
    obstacles: tuple[Obstacle, ...]
    names: tuple[str, ...]
    bad_input: str
    refused: str
    _picture: np.ndarray
    _judgement: Judgement
    _bundle: Bundle

    def draw(self) -> np.ndarray:
        """The picture with classes, anomaly heat and obstacles: RGB uint8 `[H, W, 3]`."""
        return draw_overlay(self._picture, self._judgement, self._bundle.labels)


class Perception:
    """A bundle on an engine, called with pictures. Made by `load`; not thread-safe."""

    def __init__(self, runner: Runner, settings: ObstacleSettings) -> None:
        self._runner = runner
        self._pipeline = CameraPipeline(runner.bundle.card.calibration, settings)
        self._gate = InputGate()

    @property
    def bundle(self) -> Bundle:
        """The verified bundle."""
        return self._runner.bundle

    def __call__(self, image: np.ndarray) -> Result:
        """Judge one RGB uint8 picture `[H, W, 3]`, by itself: nothing is remembered from the one before.

        A single picture has no stamp, no calibration and no frame before it, so what needs those is left out: the
        checks of a stream (stamps, size, camera_info, frozen, blocked, blurred; one_class, saturated, drift), zones,
        ranges, tracks and the N-of-M rule. `oodseg run` judges pictures, videos and bags exactly as the node does.

        Raises:
            ImageError: another dtype or shape, or a side outside 32..8192.
        """
        self._pipeline.reset()
        (prediction,) = self._runner([image])
        self._gate.reset()
        fault = self._gate.check(measure(image, "", 0, 0))
        judgement = self._pipeline.judge(Frame(image), prediction, 0)
        own = judgement.prediction.score
        return Result(
            judgement.prediction.labels,
            judgement.score,
            self.bundle.card.calibration.calibrate(own).astype(np.float32),
            judgement.obstacles,
            self.bundle.labels.names,
            "" if fault is None else fault.text,
            "" if judgement.refused is None else judgement.refused.text,
            image,
            judgement,
            self.bundle,
        )


def load(
    bundle: str | Path,
    engine: str | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    threshold: float | None = None,
    min_area: int = 100,
) -> Perception:
    """Load a bundle by the name of a shipped one or by path; its golden frame is checked.

    For single pictures: `Perception.__call__` says which of the node's checks need a stream and are left out.

    Args:
        engine, device, precision: as in `inference.runner.Runner.load`; there is no fallback to another one.
        threshold: raw score above which a pixel is anomalous; None = the bundle's.
        min_area: least number of pixels of an obstacle.

    Raises:
        BundleError, EngineError: with what to do.
    """
    settings = ObstacleSettings(
        threshold=threshold, min_area=min_area, trigger_hits=1, trigger_window=1, release_frames=1
    )
    return Perception(Runner.load(bundle, engine, device, precision), settings)
