"""Built engines on disk, and which of them may be used for a bundle, device and size.

An engine is valid for one model, one image size and batch, one precision, one device architecture, one runtime version
and one version of this package's graphs. All of it stands in its file names and in its side-car `<stem>.json`, with the
sha256 of every file and the figures of its acceptance gate. What has not passed that gate lies in `pending/` and is
never loaded.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundle import Bundle, resolve_bundle, sha256
from ..errors import EngineError, why
from ..paths import cache_dir
from .engine import ENGINES, EngineIdentity, SideCar
from .strip import camera_of, strip_of

__all__ = ["EngineIdentity", "SideCar"]

PENDING = "pending"
"""Folder, inside a folder of engines, of those that were built but not yet accepted on their device."""


@dataclass(frozen=True)
class StoredEngine:
    """A side-car on disk with the folder that it lies in."""

    folder: Path
    side: SideCar

    def path(self, suffix: str) -> Path:
        """The engine's file with this suffix, e.g. `.plan`."""
        return self.folder / f"{self.side.identity.stem}{suffix}"

    def verify(self) -> None:
        """Compare every file with its sha256.

        Raises:
            EngineError: one is missing or damaged.
        """
        for name, expected in self.side.files.items():
            file = self.folder / name
            if Path(name).name != name or not file.is_file() or sha256(file) != expected:
                raise EngineError(
                    f"engine file {file} is missing, changed or damaged; build it again: {self.side.identity.command}"
                )


def engine_dirs(bundle: Bundle) -> tuple[Path, ...]:
    """Where engines are looked for: beside the bundle (exported for a vehicle), then the user's cache."""
    return bundle.path / "engines", default_dir()


def default_dir() -> Path:
    """Where engines are built to: `$OODSEG_CACHE/engines` (see `paths.cache_dir`)."""
    return cache_dir() / "engines"


def stored(bundle: Bundle, pending: bool = False) -> list[StoredEngine]:
    """Every readable engine that was built for a bundle of this name; `pending` = those that await acceptance."""
    found = []
    for folder in engine_dirs(bundle):
        folder = folder / PENDING if pending else folder
        for path in sorted(folder.glob(f"{bundle.card.name}-*.json")):
            try:
                found.append(StoredEngine(folder, SideCar.read(path)))
            except EngineError:
                continue  # the refusal below says what to run; a damaged neighbor must not stop a good engine
    return [engine for engine in found if engine.side.accepted is not pending]


def engines_in(folder: Path) -> tuple[list[StoredEngine], list[str]]:
    """All engines of a folder and of its `pending/`, of whatever bundle; and sentences on damaged side-cars."""
    found, damaged = [], []
    for place in (folder, folder / PENDING):
        for path in sorted(place.glob("*.json")):
            try:
                found.append(StoredEngine(place, SideCar.read(path)))
            except EngineError as error:
                damaged.append(str(error))
    return found, damaged


def find(bundle: Bundle, wanted: EngineIdentity, any_batch: bool = False) -> list[StoredEngine]:
    """Accepted engines that fit, files not yet verified; `any_batch` = whatever batch they were built for.

    Raises:
        EngineError: none; says in what the nearest one differs and what to run.
    """
    ignore = ("batch",) if any_batch else ()
    engines = stored(bundle)
    fitting = [engine for engine in engines if not wanted.differences(engine.side.identity, ignore)]
    if fitting:
        return fitting
    raise EngineError(_refusal(bundle, wanted, engines, ignore))


def accepted_at_any_size(bundle: Bundle, wanted: EngineIdentity) -> StoredEngine:
    """An accepted engine like `wanted`, for any image size and batch.

    Raises:
        EngineError: there is none; names the command.
    """
    engines = stored(bundle)
    for engine in engines:
        if not wanted.differences(engine.side.identity, ("height", "width", "batch")):
            return engine
    raise EngineError(
        f"{wanted.engine} in {wanted.precision} runs only what was built for an image size and accepted on labeled "
        f"frames, and for {bundle.id} nothing was (on {wanted.architecture}, {wanted.runtime}, this version of the "
        f"code); run: oodseg build {_argument(bundle)} --engine {wanted.engine} --precision {wanted.precision} "
        f"--size WIDTHxHEIGHT{_calibrated(wanted)}{_instead(bundle, wanted, engines)}"
    )


def _refusal(bundle: Bundle, wanted: EngineIdentity, engines: list[StoredEngine], ignore: tuple[str, ...]) -> str:
    what = (
        f"no {wanted.engine} engine for {bundle.id} at {wanted.width}x{wanted.height}, {wanted.precision}, "
        f"{wanted.architecture}, {wanted.runtime}"
    )
    if (camera := camera_of(wanted.height, wanted.width, bundle.card)) is not None:
        what += (
            f" (the strip that a second look sees of fine cameras, like {camera[1]}x{camera[0]}; it needs an "
            "engine of its own)"
        )
    command = wanted.command_for(_argument(bundle)) + _calibrated(wanted)
    waiting = [e for e in stored(bundle, pending=True) if not wanted.differences(e.side.identity, ignore)]
    if waiting:
        return f"{what} has been accepted: it is built, but {waiting[0].side.reason}; run: {command}"
    same = [engine for engine in engines if engine.side.identity.engine == wanted.engine]
    if same:
        nearest = min(same, key=lambda e: len(wanted.differences(e.side.identity, ignore)))
        phrases = "; ".join(wanted.differences(nearest.side.identity, ignore))
        what += f"; the nearest, {nearest.folder / nearest.side.identity.stem}, has {phrases}"
    else:
        what += f" in {' or '.join(map(str, engine_dirs(bundle)))}"
    return f"{what}; run: {command}{_instead(bundle, wanted, engines)}"


def _argument(bundle: Bundle) -> str:
    """The bundle as a command names it."""
    return bundle.card.name if resolve_bundle(bundle.card.name) == bundle.path else str(bundle.path)


def _calibrated(wanted: EngineIdentity) -> str:
    """What else the command needs."""
    return " --calibration FRAMES_OF_YOUR_CAMERA" if wanted.precision == "int8" else ""


def _instead(bundle: Bundle, wanted: EngineIdentity, engines: list[StoredEngine]) -> str:
    """What runs without that command: precisions that need no build, and those that were built for this size."""
    ways = []
    if unbuilt := ENGINES[wanted.engine].unbuilt:
        ways.append(f"--precision {' or '.join(unbuilt)}, which needs no build and takes every size")
    ready = {e.side.identity.precision for e in engines if not wanted.differences(e.side.identity, ("precision",))}
    if others := sorted(ready - {wanted.precision, *unbuilt}):
        ways.append(f"--precision {' or '.join(others)}, which is built for this size")
    identities = [engine.side.identity for engine in engines]
    fitting = {
        (one.height, one.width) for one in identities if not wanted.differences(one, ("height", "width", "batch"))
    }
    if sizes := sorted(f"{width}x{height}" for height, width in fitting if _is_camera(height, width, bundle, fitting)):
        ways.append(f"frames of {' or '.join(sizes)}, for which {wanted.precision} is built")
    return f"; or take {'; or '.join(ways)}" if ways else ""


def _is_camera(height: int, width: int, bundle: Bundle, built: set[tuple[int, int]]) -> bool:
    """Whether frames of this size can run: it is none of a strip, and theirs is built, too, if they have one."""
    strip = strip_of(height, width, bundle.card)
    return camera_of(height, width, bundle.card) is None and (strip is None or strip[:2] in built)


class Draft:
    """Files of an engine under a temporary name; `store` gives them their final one."""

    def __init__(self, folder: Path, identity: EngineIdentity, scratch: Path) -> None:
        self.identity = identity
        self._folder = folder
        self._scratch = scratch

    def path(self, suffix: str) -> Path:
        """Where to write the file with this suffix."""
        return self._scratch / f"{self.identity.stem}{suffix}"

    def store(self, accepted: bool, **side: Any) -> StoredEngine:
        """Move everything to its final place, the side-car last: without it, the files are no engine.

        Args:
            accepted: False puts it into `pending/`.
            side: the other fields of `SideCar`.
        """
        folder = self._folder if accepted else self._folder / PENDING
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(self._scratch.iterdir())
        car = SideCar(self.identity, {file.name: sha256(file) for file in files}, accepted, **side)
        final = folder / f"{self.identity.stem}.json"
        final.unlink(missing_ok=True)  # of an older build: never an old side-car beside new files
        for file in files:
            os.replace(file, folder / file.name)
        car.write(final)
        return StoredEngine(folder, car)


@contextmanager
def draft(identity: EngineIdentity, folder: Path) -> Iterator[Draft]:
    """A place to build an engine in; whatever was not kept at the end is deleted.

    Raises:
        EngineError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    except OSError as error:
        raise EngineError(f"engines cannot be written to {folder}: {why(error)}; set OODSEG_CACHE or --out") from error
    try:
        yield Draft(folder, identity, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def remove(engine: StoredEngine) -> None:
    """Delete an engine, its side-car first."""
    (engine.folder / f"{engine.side.identity.stem}.json").unlink(missing_ok=True)
    for name in engine.side.files:
        (engine.folder / Path(name).name).unlink(missing_ok=True)
