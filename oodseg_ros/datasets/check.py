"""Reading every frame of a dataset and saying what is in it and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ..errors import DatasetError, ImageError
from ..frame import UNLABELED
from ..labels import load_labels
from ..sources.image_files import orientation_of, read_image
from .dataset import Dataset, Item
from .encoding import Encoding, mixed_labels, palette_of, read_values

ANOMALY_NAMES = {0: "normal", 1: "anomaly"}
FEW = 5
"""So many label files with strange values are named one by one."""
DARK = 32
"""Where no sample of a picture is as bright as this (of 255), not even lamps at night are in it."""


@dataclass(frozen=True)
class CheckReport:
    """What a dataset holds.

    Attributes:
        frames, scored: number of frames, and of those with ground truth.
        sizes: (width, height) → number of images.
        values: value in the label files → number of pixels.
        shares: class name → share of the labeled pixels, 0..1.
        ignored: share of all label pixels that are ignored, 0..1.
        without_anomaly: anomaly sets: frames with ground truth but without one anomalous pixel.
        void: frames whose labels are ignored altogether.
        problems: what must be put right, one sentence each.
    """

    name: str
    split: str
    layout: str
    kind: str
    root: str
    frames: int
    scored: int
    checked: int
    sizes: dict[tuple[int, int], int]
    values: dict[int, int]
    shares: dict[str, float]
    ignored: float
    without_anomaly: int
    void: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict:
        """The same for JSON."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return fields | {"sizes": {f"{w}x{h}": n for (w, h), n in self.sizes.items()}, "ok": self.ok}


@dataclass(frozen=True)
class _Finding:
    """One frame: image size (width, height), pixels per label value and per label, or why it cannot be used.

    `turned`: its EXIF orientation turned it upright. `strange`: values of its label file without a meaning. `colors`:
    those of a palette uint8 `[N, 3]`. `brightness`: the largest sample, 0..255.
    """

    size: tuple[int, int] | None
    values: np.ndarray
    labels: np.ndarray
    problem: str = ""
    turned: bool = False
    strange: tuple[int, ...] = ()
    colors: np.ndarray | None = None
    brightness: int = 255


def check_dataset(
    dataset: Dataset, limit: int | None = None, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Read and verify every frame, or the first `limit`.

    Args:
        limit: number of frames to read; None = all.
        progress: called with (done, total) after each frame.
    """
    items = dataset.items[:limit]
    findings = []
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        for done, finding in enumerate(pool.map(lambda item: _checked(dataset, item), items), 1):
            findings.append(finding)
            if progress:
                progress(done, len(items))
    values = sum((f.values for f in findings), np.zeros(256, np.int64))
    labels = sum((f.labels for f in findings), np.zeros(256, np.int64))
    total, counted = int(labels.sum()), int(labels[:UNLABELED].sum())
    labeled = [f for f in findings if f.labels.any()]
    problems = _one_by_one(findings, dataset.encoding)
    problems += _problems(dataset, labels, limit is None) + _recolored(items, findings)
    notes = list(dataset.notes)
    if turned := sum(f.turned for f in findings):
        notes.append(
            f"{turned} pictures are turned upright as their EXIF orientation asks; their labels must lie on the turned "
            "picture, as labeling tools show it"
        )
    if dark := [item.id for item, f in zip(items, findings, strict=True) if f.brightness < DARK]:
        notes.append(
            f"{len(dark)} pictures are nearly black, e.g. {dark[0]}: 10 or 12 bits in a 16-bit file must fill its range"
        )
    mixed = mixed_labels(dataset.encoding, [(f.values[1] > 0, f.values[255] > 0) for f in labeled])
    if mixed and (limit is None or values[1]):
        problems.append(mixed)
    anomalous = dataset.kind == "anomaly"
    return CheckReport(
        name=dataset.name,
        split=dataset.split,
        layout=dataset.layout,
        kind=dataset.kind,
        root=str(dataset.root),
        frames=len(dataset),
        scored=len(dataset.scored),
        checked=len(items),
        sizes=dict(Counter(f.size for f in findings if f.size).most_common()),
        values={int(v): int(values[v]) for v in np.flatnonzero(values)},
        shares={name: int(labels[k]) / counted for k, name in _names(dataset).items()} if counted else {},
        ignored=1 - counted / total if total else 0.0,
        without_anomaly=sum(int(f.labels[1] == 0) for f in labeled) if anomalous else 0,
        void=sum(not f.labels[:UNLABELED].any() for f in labeled),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _one_by_one(findings: list[_Finding], encoding: Encoding) -> list[str]:
    """What is wrong with single frames; values that many files hold are one problem, with its cure."""
    strange = [f for f in findings if f.strange]
    values = sorted({value for f in strange for value in f.strange})
    if len(strange) <= FEW:
        return [f.problem + (f". {encoding.cure}" if f.strange else "") for f in findings if f.problem]
    said = f"{len(strange)} label files hold other values than expected, {values} in all; e.g. {strange[0].problem}"
    return [f"{said}. {encoding.cure}", *(f.problem for f in findings if f.problem and not f.strange)]


def _checked(dataset: Dataset, item: Item) -> _Finding:
    """Everything that can be known of one frame."""
    none = np.zeros(256, np.int64)
    size = None
    try:
        image = read_image(item.image_path)
        size = (image.shape[1], image.shape[0])
        turned = orientation_of(item.image_path) != 1
        brightness = int(image.max())
        if item.label_path is None:
            return _Finding(size, none, none, turned=turned, brightness=brightness)
        values = read_values(item.label_path, dataset.encoding.colors)
        if values.shape != image.shape[:2]:
            return _Finding(
                size,
                none,
                none,
                f"{item.id}: image {size[0]}x{size[1]}{', turned upright by its EXIF orientation' if turned else ''}, "
                f"label {values.shape[1]}x{values.shape[0]}",
            )
        counts = np.bincount(values.ravel(), minlength=256)
        labels = np.bincount(dataset.encoding.table, weights=counts, minlength=256).astype(np.int64)
        strange = dataset.encoding.unexpected(np.flatnonzero(counts))
        if strange:
            where = item.label_path.name
            said = f"{item.id}: {where} holds {strange}, expected {dataset.encoding.what}"
            return _Finding(size, counts, none, said, strange=tuple(strange))
        colors = palette_of(item.label_path)
        return _Finding(size, counts, labels, turned=turned, colors=colors, brightness=brightness)
    except (DatasetError, ImageError) as error:
        return _Finding(size, none, none, f"{item.id}: {error}")


def _problems(dataset: Dataset, labels: np.ndarray, whole: bool) -> list[str]:
    """What only shows over all frames."""
    found = []
    hidden = any("ground truth" in note for note in dataset.notes)
    if len(dataset.scored) < len(dataset) and not hidden:
        found.append(f"{len(dataset) - len(dataset.scored)} of {len(dataset)} frames have no label file")
    if dataset.published is not None and len(dataset) != dataset.published:
        found.append(
            f"{len(dataset)} frames, but {dataset.published} are published for this split: some are missing or extra"
        )
    if whole and dataset.kind == "anomaly" and dataset.scored and labels[0] and not labels[1]:
        found.append("no pixel of any frame is anomalous: average precision and recall have no meaning")
    if whole and dataset.kind == "semantic" and labels[UNLABELED] and not labels[:UNLABELED].any():
        found.append("no pixel of any frame has a class: all labels are 255, which is not counted")
    return found


def _recolored(items: Sequence[Item], findings: list[_Finding]) -> list[str]:
    """Palettes that show one value in two colors: tools that shrink or save colored labels number them anew in every
    file, and the values are then no class ids.
    """
    first: dict[int, tuple[tuple[int, ...], str]] = {}
    for item, finding in zip(items, findings, strict=True):
        for value in () if finding.colors is None else np.flatnonzero(finding.values[: len(finding.colors)]).tolist():
            color = tuple(finding.colors[value].tolist())
            known, where = first.setdefault(value, (color, item.id))
            if color != known:
                return [
                    f"value {value} is shown in color {known} in {where} and {color} in {item.id}: the palettes of "
                    "these label files number colors, not classes; write class ids as gray levels"
                ]
    return []


def _names(dataset: Dataset) -> dict[int, str]:
    if dataset.kind == "anomaly":
        return ANOMALY_NAMES
    return dict(enumerate(load_labels(dataset.label_set).names))
