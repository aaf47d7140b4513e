"""A bundle's threshold and object rule from pictures without unknowns: which are read, judged, and pasted into."""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ...errors import ConfigError, ImageError
from ...frame import Prediction
from ...inference.runner import Runner
from ...inference.second_look import SecondLook
from ...object_rule import Objects
from ...outliers.road_paste import paste
from ...sources.open_source import open_matching
from ...sources.source import Source
from ..score_store import ScoreStore
from .fit_objects import ObjectThresholds, fit_objects
from .object_target import ObjectTarget
from .proof import Pictures
from .risk_control import refuse_too_few
from .second_look import LookTarget, fit_second_look

_log = logging.getLogger(__name__)

PASTED, PASTED_SIZES = 2, (0.015, 0.25)
"""Objects per frame, and their larger side as a share of the image's height: also those that are weak and far."""
PLACES = ("free on the ground", "among other things", "beside the ground")


def calibrate_objects(
    runner: Runner,
    sources: Sequence[str],
    target: ObjectTarget,
    every: int = 1,
    ground_classes: Sequence[str] = (),
    cutouts: Sequence[np.ndarray] = (),
    without: Sequence[str] = (),
    look: LookTarget | None = None,
) -> tuple[ObjectThresholds, list[str]]:
    """`fit_objects` on what a bundle makes of images, and the names of its `strongest` frames with the place.

    Args:
        runner: a loaded bundle.
        sources: what `open_matching` opens.
        target, every: see there.
        ground_classes: names of the classes that objects stand on; none = those of the label set.
        cutouts: RGBA uint8 `[h, w, 4]` of unknown things, pasted into the frames for the evidence; empty = none.
        without: file names, with or without suffix, of frames that show something unknown after all: not read.
        look: what a second look may cost; it is chosen first, on the same frames, and the runner has it then. None =
            what the bundle has.

    Raises:
        ConfigError: a pattern that fits no file, a label set without such classes, too few frames, a frame of `without`
            that is not there, a strip for a network whose input has a size of its own.
        DatasetError, ImageError: what cannot be opened or read.
    """
    labels = runner.bundle.labels
    if strange := [name for name in ground_classes if name not in labels.names]:
        known = ", ".join(labels.names)
        raise ConfigError(f"label set {labels.name} has no class {', '.join(strange)}; it has {known}")
    ground = [labels.names.index(name) for name in ground_classes] or labels.ground_ids()
    if not ground:
        raise ConfigError(
            f"label set {labels.name} does not say which of its classes objects stand on; say it with --ground CLASS, "
            f"repeated, of {', '.join(labels.names)}"
        )

    spec = runner.bundle.card.input
    if look is not None and look.strip_zoom and (spec.resize is not None or spec.windows is not None):
        raise ConfigError(
            "a strip needs a network that takes pictures as they are; the input of this one has "
            f"{'a size of its own (resize)' if spec.resize is not None else 'windows'}: leave out --strip"
        )

    opened = [open_matching(source) for source in sources]
    left_out = Counter[str]()
    # Before the work: a name that is wrong, or too few frames, would otherwise be told after hours of it.
    known = sum(_names(file, without, left_out) for source in opened for file in source.files)
    named = all(source.files for source in opened)
    if named:
        _refuse_strange(without, left_out)
    left_out.clear()
    counts = [source.count for source in opened]
    if None not in counts:
        refuse_too_few(len(range(0, sum(counts) - known, every)), min(target.bounds), target.confidence)
    # The last two names: never where it lay.
    what = ", ".join(str(Path(*Path(source).parts[-2:])) for source in sources)
    if without:
        what += f" (without {', '.join(without)})"
    calibration = runner.bundle.card.calibration
    before = calibration.objects
    if look is None and calibration.second_look and (before.seed, before.ground) != (target.seed, sorted(ground)):
        names = ", ".join(labels.names[index] for index in before.ground)
        raise ConfigError(
            f"the bundle's second look was chosen with seed {before.seed:g} and the ground {names}: give these, or "
            f"choose it anew with {calibration.second_look.options} (--second-look 0 removes it)"
        )
    if look is not None:
        runner.second_look = None
        calibration = calibration.model_copy(update={"second_look": None})
    if look is not None and look.zoom:
        chosen = (runner([image])[0] for _, image in _images(sources, opened, without, left_out, tell=False))
        maps = ((one.score, one.labels) for one in itertools.islice(chosen, 0, None, every))
        rule = fit_second_look(maps, look, target.grow_rate, target.seed, ground, spec)
        calibration = calibration.model_copy(update={"second_look": rule})
        objects = Objects(grow=rule.grow, seed=target.seed, beside=rule.below, ground=ground)
        runner.second_look = SecondLook(rule, objects, spec)
        if not named:
            _refuse_strange(without, left_out)
        left_out.clear()
    with ExitStack() as stack:
        pasted = None
        if cutouts:
            pasted = ScoreStore(stack.enter_context(tempfile.TemporaryDirectory(prefix="oodseg_pasted_")))

        def predicted() -> Iterable[list[tuple[np.ndarray, np.ndarray]]]:
            for index, (name, image) in enumerate(_images(sources, opened, without, left_out)):
                names.append(name)
                views = _views(runner, image)
                if pasted is not None and index % every == 0:
                    changed, truth = _with_objects(image, np.isin(views[0].labels, ground), cutouts, index)
                    again = runner([changed])[0]
                    pasted.put(f"{index:06d}", again.score, truth, labels=again.labels)
                yield [(view.score, view.labels) for view in views]
            if not named:  # else it was looked at before, with the files that cannot be read
                _refuse_strange(without, left_out)

        names: list[str] = []
        found = fit_objects(predicted(), target, ground, calibration, what, every, pasted)
        for name in (name for name, count in left_out.items() if count > 1):
            _log.warning("--without %s left out %d frames of this name", name, left_out[name])
        return found, [f"{names[frame]} ({PLACES[place]})" for frame, place in found.strongest]


def _views(runner: Runner, image: np.ndarray) -> list[Prediction]:
    """What a bundle makes of an image, and where only fine cameras have a strip, what it makes of it with one.

    The second tells; it does not choose: an enlarged picture is none of a fine camera, and has more false objects.
    """
    views, look = runner([image]), runner.second_look
    size = image.shape[:2]
    if look is None or look.rule.strip is None or look.strip_size(*size) is not None:
        return views
    look.every_camera = True
    try:
        return views if look.strip_size(*size) is None else views + runner([image])
    finally:
        look.every_camera = False


def _with_objects(
    image: np.ndarray, ground: np.ndarray, cutouts: Sequence[np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The image with objects on the ground, and where they are: uint8 `[H, W]`, 1 = object."""
    rng, image, truth = np.random.default_rng([0, seed]), image.copy(), np.zeros(image.shape[:2], np.uint8)
    for _ in range(PASTED):
        paste(rng, image, truth, cutouts[int(rng.integers(len(cutouts)))], 1, ground, PASTED_SIZES)
    return image, truth


def _names(file: str, without: Sequence[str], left_out: Counter[str]) -> bool:
    """Whether `without` names a file, with or without its suffix; counted in `left_out`."""
    met = {file, Path(file).stem} & set(without)
    left_out.update(met)
    return bool(met)


def _refuse_strange(without: Sequence[str], left_out: Counter[str]) -> None:
    if strange := sorted(set(without) - set(left_out)):
        raise ConfigError(f"--without {', '.join(strange)}: no frame has this name")


def _images(
    given: Sequence[str], opened: Sequence[Source], without: Sequence[str], left_out: Counter[str], tell: bool = True
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and image of all frames but those `without`, which are counted when met, and those that prove nothing: what
    the node does not judge, and every picture after its first time.

    Args:
        tell: log what was lost; once is enough.
    """
    pictures = Pictures()
    for text, source in zip(given, opened, strict=True):
        for number, frame in enumerate(source):
            name = Path(frame.file).name or f"{Path(text).name} frame {number}"
            if _names(name, without, left_out):
                twin = pictures.twin(frame.image, name)
                if tell and twin is not None and not _names(twin, without, Counter()):
                    _log.warning("%s is left out, but the same picture stays as %s: name both", name, twin)
                continue
            try:
                pictures.check(frame.image, name)
            except ImageError as error:
                source.skipped[str(error)] += 1
                continue
            yield name, frame.image
        if tell and (troubles := source.troubles()):
            _log.warning("%s: %s", text, troubles)
