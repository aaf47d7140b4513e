"""Converted graphs on disk, so that a second start does not trace and convert the network again (12 s of CPU time).

A file's name holds everything that its content depends on, and a checksum beside it stands for the content: the golden
frame has one size, so it would not show that the graph of another size was damaged on disk.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..paths import cache_dir
from .engine import ENGINES, EngineIdentity

_LOG = logging.getLogger(__name__)
PACKAGE = Path(__file__).resolve().parents[1]
SUM = ".sha256"
SOURCES = (
    "networks",
    "inference/engines",
    "inference/graph.py",
    "inference/precision.py",
    "inference/sizes.py",
    "inference/windows.py",
    "scores.py",
    "model_card.py",
)
"""Parts of the package whose code decides what the graph computes. Not the queues and threads around it: building an
engine again takes a vehicle minutes."""


def graph_file(bundle: Bundle, runtime: str, shape: tuple[int, int, int]) -> Path:
    """Where the graph of a bundle for (batch, height, width) images lies; `runtime` = its name and version."""
    digest = _digest(
        {"model": model_digest(bundle), "runtime": runtime, "torch": version("torch"), "code": code_digest()}
    )
    return cache_dir() / "graphs" / f"{bundle.card.name}-{digest[:16]}-{'x'.join(map(str, shape))}.xml"


def identity(
    bundle: Bundle, precision: str, batch: int, height: int, width: int, architecture: str, runtime: str
) -> EngineIdentity:
    """What an engine must have been built for to run here, with this code."""
    code = code_digest(runtime.partition("-")[0])
    return EngineIdentity(
        bundle.card.name, model_digest(bundle), height, width, batch, precision, architecture, runtime, code
    )


def model_digest(bundle: Bundle) -> str:
    """Hash of all that a bundle puts into its graph: weights, network spec with its score, input size and windows."""
    card = bundle.card
    return _digest(
        {
            "weights": bundle.weights_hash,
            "network": card.network,
            "input": card.input.model_dump(mode="json"),
            "classes": len(bundle.labels),
        }
    )


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def cached(file: Path, read: Callable[[Path], Any], make: Callable[[], Any], write: Callable[[Any, Path], None]) -> Any:
    """The graph in `file` (with its weights in the `.bin` beside it); made and stored if it is missing, unreadable, or
    without the checksum that it was stored with.

    Args:
        file: see `graph_file`.
        read: raises RuntimeError if the file is no graph.
        make: builds the graph.
        write: stores it as the given `.xml` and a `.bin` beside that.
    """
    if file.is_file():
        try:
            if file.with_suffix(SUM).read_text() == _checksum(file):
                return read(file)
            _LOG.warning("%s is not what was stored there; it is made anew", file)
        except (OSError, UnicodeDecodeError, RuntimeError):
            pass
        with suppress(OSError):
            file.unlink(missing_ok=True)
    graph = make()
    temporary = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write(graph, temporary)
        temporary.with_suffix(SUM).write_text(_checksum(temporary))
        # The .xml last: nobody reads the others without it.
        for suffix in (SUM, ".bin", file.suffix):
            os.replace(temporary.with_suffix(suffix), file.with_suffix(suffix))
    except (OSError, RuntimeError):
        # A full or read-only disk costs time at the next start, nothing else.
        for part in (temporary, temporary.with_suffix(".bin"), temporary.with_suffix(SUM)):
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return graph


def _checksum(file: Path) -> str:
    """Of the graph and its weights."""
    total = hashlib.sha256()
    for part in (file, file.with_suffix(".bin")):
        with part.open("rb") as stream:
            while block := stream.read(1 << 22):
                total.update(block)
    return total.hexdigest()


@lru_cache
def code_digest(engine: str | None = None) -> str:
    """Hash of the code that makes and runs graphs: an update of the package does not use graphs of the old one.

    Args:
        engine: a key of `ENGINES`: the code that builds it ahead counts, too.
    """
    built = ENGINES[engine].builds if engine else ()
    digest = hashlib.sha256()
    for source in (*SOURCES, *(f"building/{name}.py" for name in built)):
        path = PACKAGE / source
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(PACKAGE).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
