"""The acceptance gate of an engine: it must rank pixels as the FP32 reference does, not merely label them alike.

Class labels agree to 99.98 % while a score in half precision moves by a tenth, so what is gated is AP and FPR95 of the
score on labeled frames, and only a broken engine is caught by its labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..bundle import Bundle
from ..errors import EngineError
from ..evaluation.metrics.pixels import PixelMetrics
from ..inference import golden_check
from ..inference.engine import ENGINES, Run, chosen
from ..inference.engine_cache import Draft, StoredEngine
from ..inference.engines.torch import TorchEngine
from ..inference.sizes import resized_frame
from .order import ALLOWED_AP, ALLOWED_FPR95, Frames, Order, Pairs

Answer = tuple[np.ndarray, np.ndarray]
"""labels uint8 `[H, W]`, score float32 `[H, W]`."""
Ask = Callable[[np.ndarray], Answer]
"""RGB uint8 `[H, W, 3]` → `Answer`."""

GOLDEN_INPUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as it is": lambda image: image,
    "dark": lambda image: (image * 0.1).astype(np.uint8),
    "bright": lambda image: 255 - ((255 - image) * 0.1).astype(np.uint8),
    "noise": lambda image: np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8),
}
"""What a build tries beside the gate's frames. Wrong kernels were seen that are right on some inputs."""
GOLDEN_SHARE = {"fp32": 0.01, "fp16": 0.15, "bf16": 0.5, "int8": float("inf")}
"""How far the score may be from FP32 there on average, as a share of what FP32's own spreads: BF16 was seen at 0.25,
the answer to another input is at 1.4. INT8 has the ranges of its calibration frames, so there only numbers count.
"""
FINEST_FIRST = ("fp32", "fp16", "bf16", "int8")
LABELS_AGREE = 0.98
"""Least share of equal labels. Quantized networks lose a pixel at class borders; a wrong channel order loses most."""


@dataclass(frozen=True)
class Acceptance:
    """How an engine compares with the reference on labeled frames.

    Attributes:
        ap_reference, ap_engine, fpr95_reference, fpr95_engine: pooled over all frames, fractions; nan where the frames
            hold no anomaly or no normal pixel.
        max_abs_delta: largest |Δscore|; nan where one of the two judged a pixel with a finite number and the other not.
        label_agreement: share of pixels with equal labels.
        allowed_ap, allowed_fpr95: how far AP and FPR95 may move, either way.
    """

    ap_reference: float
    ap_engine: float
    fpr95_reference: float
    fpr95_engine: float
    max_abs_delta: float
    label_agreement: float
    frames: int
    data: str
    allowed_ap: float
    allowed_fpr95: float

    @property
    def passed(self) -> bool:
        return not self._faults()

    @property
    def sentence(self) -> str:
        """Verdict, reasons and figures in one line."""
        faults = self._faults()
        verdict = f"refused ({'; '.join(faults)})" if faults else "accepted"
        return (
            f"{verdict} on {self.frames} frames of {self.data}: "
            f"AP {self.ap_reference:.4f} → {self.ap_engine:.4f} (±{self.allowed_ap:g} allowed), "
            f"FPR95 {self.fpr95_reference:.4f} → {self.fpr95_engine:.4f} (±{self.allowed_fpr95:g}), "
            f"max |Δscore| {self.max_abs_delta:.3g}, labels agree on {self.label_agreement:.2%}"
        )

    def _faults(self) -> list[str]:
        # Written so that nan fails: every comparison with it is false.
        faults = []
        if np.isnan(self.ap_reference) or np.isnan(self.fpr95_reference):
            faults.append("the frames hold no anomaly, or nothing else: choose other data")
        elif np.isnan(self.max_abs_delta):
            faults.append("the score is not a number where the reference's is")
        else:
            if not abs(self.ap_engine - self.ap_reference) <= self.allowed_ap:
                faults.append("AP moved")
            if not abs(self.fpr95_engine - self.fpr95_reference) <= self.allowed_fpr95:
                faults.append("FPR95 moved")
        if not self.label_agreement >= LABELS_AGREE:
            faults.append(f"labels differ on more than {1 - LABELS_AGREE:.0%} of all pixels")
        return faults


def accept(
    reference: Ask,
    engine: Ask,
    pairs: Pairs,
    data: str,
    allowed_ap: float = ALLOWED_AP,
    allowed_fpr95: float = ALLOWED_FPR95,
) -> Acceptance:
    """Run both on the same frames.

    Args:
        reference: the torch engine in FP32.
        engine: the one under test.
        data: name of the frames, for the report.
        allowed_ap, allowed_fpr95: see `Acceptance`.

    Raises:
        DatasetError: a truth has other values or another size than its image.
    """
    expected, measured = PixelMetrics(), PixelMetrics()
    delta, equal, pixels = 0.0, 0, 0
    for image, truth in pairs:
        (labels_wanted, score_wanted), (labels, score) = reference(image), engine(image)
        expected.update(score_wanted, truth)
        measured.update(score, truth)
        delta = np.maximum(delta, largest_difference(score_wanted, score))  # np.maximum keeps nan, max() may not
        equal += int((labels == labels_wanted).sum())
        pixels += labels.size
    before, after = expected.compute(), measured.compute()
    return Acceptance(
        ap_reference=float(before["AP"]),
        ap_engine=float(after["AP"]),
        fpr95_reference=float(before["FPR95"]),
        fpr95_engine=float(after["FPR95"]),
        max_abs_delta=float(delta),
        label_agreement=equal / pixels if pixels else float("nan"),
        frames=expected.frames,
        data=data,
        allowed_ap=allowed_ap,
        allowed_fpr95=allowed_fpr95,
    )


def largest_difference(expected: np.ndarray, measured: np.ndarray) -> float:
    """max |Δ| over pixels that both judge with a finite number; nan if only one of the two does so anywhere."""
    finite = np.isfinite(expected)
    if (finite != np.isfinite(measured)).any():
        return float("nan")
    return float(np.abs(expected[finite] - measured[finite]).max(initial=0.0))


def gated(
    place: Draft, bundle: Bundle, run: Run, frames: Frames, built: dict[str, Any], order: Order
) -> tuple[StoredEngine, Acceptance]:
    """Compare an engine with eager torch in FP32 on labeled frames, and store it if it passes.

    Args:
        place: the draft that holds its files.
        built: for the side-car.
        order: how far AP and FPR95 may move, and the CPU threads of the reference.

    Raises:
        EngineError: it did not pass; nothing is stored.
    """
    wanted = place.identity
    eager = TorchEngine(bundle, threads=order.threads).compile(1, wanted.height, wanted.width)

    def ask(image: np.ndarray) -> Answer:
        labels, score = run(np.stack([image] * wanted.batch))
        return labels[-1], score[-1]

    def ask_reference(image: np.ndarray) -> Answer:
        labels, score = eager(image[None])
        return labels[0], score[0]

    pairs = resized_pairs(frames.pairs, wanted.height, wanted.width)
    acceptance = accept(ask_reference, ask, pairs, frames.data, order.allowed_ap, order.allowed_fpr95)
    if not acceptance.passed:
        raise EngineError(
            f"{wanted.stem} was {acceptance.sentence}; nothing was stored; {next_tries(order, acceptance)}"
        )
    golden = golden_check.golden_images(bundle, wanted)[0]
    built["golden_inputs"] = tried(golden, ask_reference, ask, wanted.precision, wanted.stem)
    golden_check.store_answer(place.path(golden_check.ANSWER), *ask_reference(golden))
    found = golden_check.distance(place.path(golden_check.ANSWER), *ask(golden))
    return place.store(True, acceptance=vars(acceptance), golden=vars(found), built=built), acceptance


def next_tries(order: Order, acceptance: Acceptance) -> str:
    """What to try after a refusal, the likeliest cure first."""
    if np.isnan(acceptance.ap_reference) or np.isnan(acceptance.fpr95_reference):
        return "try: other labeled frames (--accept-on DATASET --root DIR), or more of them (--frames)"
    name, device = chosen(order.engine, order.device, order.precision)
    known = ENGINES[name].precisions[device.partition(":")[0]]
    finer = [one for one in FINEST_FIRST[: FINEST_FIRST.index(order.precision)] if one in known]
    ways = [f"--precision {' or '.join(reversed(finer))}"] if finer else []
    if order.precision == "int8":
        ways.append("--calibration with frames like those of your cameras")
        if name == "tensorrt" and set(order.quantize) != {"decoder"}:
            ways.append("--quantize decoder")
    ways.append(f"more labeled frames than these {acceptance.frames} (--frames, --accept-on DATASET --root DIR)")
    if acceptance.label_agreement >= LABELS_AGREE:
        moved = {"ap": acceptance.ap_engine - acceptance.ap_reference}
        moved["fpr95"] = acceptance.fpr95_engine - acceptance.fpr95_reference
        given = {"ap": acceptance.allowed_ap, "fpr95": acceptance.allowed_fpr95}
        larger = [f"--allowed-{key} above {abs(moved[key]):.3g}" for key in moved if abs(moved[key]) > given[key]]
        if larger:
            ways.append(f"{' and '.join(larger)}, if you can live with that and calibrate on this engine anew")
    return f"try: {'; or '.join(ways)}"


def tried(image: np.ndarray, reference: Ask, engine: Ask, precision: str, name: str) -> dict[str, float]:
    """Mean |Δscore| over the spread of the reference's score, for each of `GOLDEN_INPUTS`.

    Raises:
        EngineError: an answer is too far away, or no number.
    """
    allowed, shares = GOLDEN_SHARE[precision], {}
    for kind, change in GOLDEN_INPUTS.items():
        changed = change(image)
        (_, wanted), (_, score) = reference(changed), engine(changed)
        judged = np.isfinite(wanted)
        share = float("inf")
        if np.array_equal(judged, np.isfinite(score)) and judged.any():
            spread = max(float(wanted[judged].std()), golden_check.MIN_DISTANCE)
            share = float(np.abs(score - wanted)[judged].mean()) / spread
        if not share <= allowed or np.isinf(share):
            raise EngineError(
                f"{name} answers otherwise than torch on the golden frame, {kind}: mean |Δscore| is {share:.3g} of the "
                f"score's spread (allowed {allowed:g}); nothing was stored; this runtime computes the network wrongly: "
                "try --precision fp32, or another version of it, and report this"
            )
        shares[kind] = round(share, 5)
    return shares


def resized_pairs(pairs: Pairs, height: int, width: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labeled frames at the engine's size, the truth by the nearest pixel."""
    for image, truth in pairs:
        yield resized_frame(image, height, width), cv2.resize(truth, (width, height), interpolation=cv2.INTER_NEAREST)


def versions() -> str:
    """Packages and their versions, for the side-car."""
    from ..evaluation.results import provenance

    return provenance()["versions"]
