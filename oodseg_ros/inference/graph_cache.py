"""Converted graphs on disk, so that a second start does not trace and convert the network again (12 s of CPU time).

A file's name holds everything that its content depends on; whoever loads one still checks the bundle's golden frame.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..paths import cache_dir
from .engine import EngineIdentity

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
    return EngineIdentity(
        bundle.card.name, model_digest(bundle), height, width, batch, precision, architecture, runtime, code_digest()
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
    """The graph in `file` (with its weights in the `.bin` beside it); made and stored if it is missing or unreadable.

    Args:
        file: see `graph_file`.
        read: raises RuntimeError if the file is damaged.
        make: builds the graph.
        write: stores it as the given `.xml` and a `.bin` beside that.
    """
    if file.is_file():
        try:
            return read(file)
        except RuntimeError:
            file.unlink(missing_ok=True)
    graph = make()
    temporary = file.with_name(f".{os.getpid()}-{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write(graph, temporary)
        # The .xml last: nobody reads a .bin without it.
        os.replace(temporary.with_suffix(".bin"), file.with_suffix(".bin"))
        os.replace(temporary, file)
    except (OSError, RuntimeError):
        # A full or read-only disk costs time at the next start, nothing else.
        for part in (temporary, temporary.with_suffix(".bin")):
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return graph


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Hash of the code that builds and runs graphs: an update of the package does not use graphs of the old one."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for source in SOURCES:
        for file in sorted((root / source).rglob("*.py")) if (root / source).is_dir() else [root / source]:
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
