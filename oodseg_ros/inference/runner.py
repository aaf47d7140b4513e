"""`Runner`: images → predictions, with a verified bundle on a chosen engine."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path

import numpy as np

from ..bundle import Bundle, load_bundle
from ..errors import EngineError, ImageError
from ..extras import advice
from ..frame import Prediction
from .engine import ENGINES, HINTS, SCORE_TYPES, Engine, Run, chosen
from .second_look import SecondLook
from .sizes import check_size

MAX_SHAPES = 8
"""Compiled input shapes kept at once; a stream of ever new image sizes must not fill the memory."""
SAMPLES, BATCH_PAYS = 3, 0.9
"""How many runs of a shape are timed, and the share of single images' time below which a batch must stay: all its
images wait for the last one, and on a CPU a batch of four took 1.04 of four single images' time."""


class Runner:
    """Built by `Runner.load`. One thread owns the device; one other may `warm` new shapes meanwhile.

    Attributes:
        bundle: the verified bundle.
        engine_identity: engine, version, precision and device, for reports and diagnostics.
        golden_error: largest |Δscore| on the golden frame, as measured at load.
        second_look: what looks again at what is in doubt, or at a strip, where the bundle asks for it; else None.
        preparing: entered with a sentence while something is compiled, which can take seconds or minutes.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        max_batch: int = 8,
        max_shapes: int = MAX_SHAPES,
        measure_batch: bool = False,
    ) -> None:
        self.bundle = bundle
        self.engine_identity = engine.identity
        self.golden_error = float("nan")
        self.preparing: Callable[[str], AbstractContextManager[None]] = lambda text: nullcontext()
        self.second_look: SecondLook | None = None
        if (rule := bundle.card.calibration.second_look) is not None:
            assert bundle.card.calibration.objects is not None  # the card was checked
            self.second_look = SecondLook(rule, bundle.card.calibration.objects, bundle.card.input)
        self._engine = engine
        self._max_batch = max_batch
        self._max_shapes = max_shapes
        self._measure_batch = measure_batch
        self._seconds: dict[tuple[int, int, int], list[float]] = {}
        self._lock = threading.Lock()
        self._compiled: OrderedDict[tuple[int, int, int], Run] = OrderedDict()

    @classmethod
    def load(
        cls,
        bundle: Bundle | str | Path,
        engine: str | None = None,
        device: str = "cpu",
        precision: str = "fp32",
        threads: int = 0,
        max_batch: int = 8,
        hint: str = "latency",
        score_type: str = "fp32",
        max_shapes: int = MAX_SHAPES,
        measure_batch: bool = False,
    ) -> Runner:
        """Load a bundle on an engine and prove on its golden frame that the engine answers as the bundle says.

        Args:
            bundle: a loaded bundle, a path, or the name of a shipped bundle.
            engine: a key of `engine.ENGINES`; None = the default of the device. There is no fallback to another one.
            device: `cpu` or `cuda[:N]`.
            precision: one that the engine has on this device.
            threads: CPU threads; 0 = the engine's default.
            max_batch: the most images of one size run at once.
            hint: `latency` (one image as soon as possible) or `throughput`; only openvino knows the difference.
            score_type: `fp32`, or `fp16` for half the bytes on the way from a GPU; predictions hold float32 anyway.
            max_shapes: compiled shapes of images kept at once, those that ran last; each camera may need two. As many
                again where the bundle's second look has a strip.
            measure_batch: `batch_pays` says what was measured; otherwise it is always true.

        Raises:
            BundleError: the bundle is missing, malformed or tampered with.
            EngineError: unknown or missing engine, or another answer than the golden one.
        """
        if not isinstance(bundle, Bundle):
            bundle = load_bundle(bundle)
        name, device = chosen(engine, device, precision)
        for option, value, known in (("hint", hint, HINTS), ("score_type", score_type, SCORE_TYPES)):
            if value not in known:
                raise EngineError(f"{option} {value!r} is not one of {', '.join(known)}")
        module, maker = ENGINES[name].runs.split(":")
        try:
            loaded: Engine = getattr(import_module(f"{__package__}.engines.{module}"), maker)(
                bundle, device=device, precision=precision, threads=threads, hint=hint, score_type=score_type
            )
        except ModuleNotFoundError as error:
            raise EngineError(f"engine {name}: {advice(error.name)}") from error
        runner = cls(bundle, loaded, max_batch, max_shapes, measure_batch)
        runner.golden_error = loaded.check_golden()
        return runner

    def is_warm(self, height: int, width: int, batch: int = 1) -> bool:
        """Whether images of this size run without compiling first."""
        return all(shape in self._compiled for shape in self._shapes(height, width, batch))

    def batch_pays(self, height: int, width: int, batch: int) -> bool:
        """Whether so many images of this size are better run together than one by one, by the clock.

        The first frames decide: three run alone, then three batches.
        """
        if not self._measure_batch:
            return True
        alone, together = (self._seconds.get((count, height, width), []) for count in (1, batch))
        if len(alone) < SAMPLES:
            return False
        return len(together) < SAMPLES or min(together) < BATCH_PAYS * batch * min(alone)

    def warm(self, height: int, width: int, batch: int = 1) -> None:
        """Compile for an image size, and that of its strip, and run once, so that the first frame is not late.

        Raises:
            ImageError: a side outside 32..8192.
        """
        check_size(height, width)
        for shape in self._shapes(height, width, batch):
            if shape not in self._compiled:
                run = self._compile(shape)
                run(np.zeros((*shape, 3), np.uint8))
                self._keep(shape, run)

    def __call__(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """RGB uint8 images `[H, W, 3]`, of any sizes → predictions in the same order; equal sizes run as one batch.

        Raises:
            ImageError: an image has another dtype or shape, or a side outside 32..8192.
        """
        for image in images:
            _check(image)
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            groups.setdefault(image.shape, []).append(index)
        predictions: list[Prediction | None] = [None] * len(images)
        for indices in groups.values():
            for start in range(0, len(indices), self._max_batch):
                chunk = indices[start : start + self._max_batch]
                batch = (
                    np.stack([images[i] for i in chunk])
                    if len(chunk) > 1
                    else np.ascontiguousarray(images[chunk[0]])[None]
                )
                labels, score, greater = self._run(batch)
                for row, index in enumerate(chunk):
                    predictions[index] = Prediction(labels[row], score[row], self.bundle.id, greater[row])
        return predictions  # type: ignore[return-value]

    def every_score(self, image: np.ndarray) -> list[Prediction]:
        """One image, one run of the engine → a prediction for each score of the bundle, with the same labels; only
        evaluation has bundles with more than one.

        Raises:
            ImageError: as a call.
        """
        _check(image)
        labels, (own, *others), greater = self._run(np.ascontiguousarray(image)[None])
        first = Prediction(labels[0], own, self.bundle.id, greater[0])
        return [first, *(Prediction(labels[0], plane, self.bundle.id) for plane in others)]

    def _shapes(self, height: int, width: int, batch: int) -> list[tuple[int, int, int]]:
        """What runs for so many images of a size: (batch, height, width) of them, and of their strips."""
        strip = None if self.second_look is None else self.second_look.strip_size(height, width)
        return [(batch, height, width), *([] if strip is None else [(batch, strip.rows, strip.columns)])]

    def _run(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray | None]]:
        labels, score = self._look(batch)
        if self.second_look is None:
            return labels, score, [None] * len(batch)
        return labels, score, self.second_look(self._look, batch, labels, score)

    def _look(self, batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = batch.shape[:3]
        with self._lock:
            run = self._compiled.get(shape)
            if run is not None:
                self._compiled.move_to_end(shape)
        if run is None:
            run = self._compile(shape)
            self._keep(shape, run)
            return run(batch)
        start = time.perf_counter()
        answer = run(batch)
        known = self._seconds.setdefault(shape, [])
        if len(known) < SAMPLES:
            known.append(time.perf_counter() - start)
        return answer

    def _compile(self, shape: tuple[int, int, int]) -> Run:
        batch, height, width = shape
        several = f" x {batch}" if batch > 1 else ""
        with self.preparing(f"preparing {self.engine_identity} for {width}x{height}{several}"):
            return self._engine.compile(*shape)

    def _keep(self, shape: tuple[int, int, int], run: Run) -> None:
        strips = self.second_look is not None and self.second_look.rule.strip is not None
        with self._lock:
            self._compiled[shape] = run
            self._compiled.move_to_end(shape)
            while len(self._compiled) > (2 if strips else 1) * self._max_shapes:
                gone, _ = self._compiled.popitem(last=False)
                self._seconds.pop(gone, None)


def _check(image: np.ndarray) -> None:
    if not isinstance(image, np.ndarray):
        # What cv2.imread gives for a file that it cannot read.
        raise ImageError(f"an RGB uint8 image [H, W, 3] is needed, got {type(image).__name__}; was it read?")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"an RGB uint8 image [H, W, 3] is needed, got {image.dtype} {list(image.shape)}")
    check_size(*image.shape[:2])
