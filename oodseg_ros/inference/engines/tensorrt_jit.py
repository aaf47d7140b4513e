"""TensorRT-RTX compiles its kernels when an engine is first run; they are kept, so that only the first start waits."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...paths import cache_dir


def context_of(api: Any, engine: Any, plan: Path) -> tuple[Any, Any]:
    """An execution context (None where memory is out), and its cache of kernels (None for TensorRT, which has none)."""
    if not hasattr(api, "IRuntimeCache"):
        return engine.create_execution_context(), None
    config = engine.create_runtime_config()
    kernels = config.create_runtime_cache()
    file = kernels_file(plan)
    if file.is_file():
        # A cache of another driver or version is refused by the runtime, which then compiles again.
        kernels.deserialize(file.read_bytes())
    config.set_runtime_cache(kernels)
    return engine.create_execution_context(config), kernels


def keep_kernels(kernels: Any, plan: Path) -> None:
    """Store what was compiled; a disk that cannot be written costs time at the next start, nothing else."""
    if kernels is None:
        return
    file = kernels_file(plan)
    part = file.with_name(f".{os.getpid()}-{file.name}")
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(bytes(kernels.serialize()))
        os.replace(part, file)


def kernels_file(plan: Path) -> Path:
    """Where the kernels of an engine are kept; in the user's cache, since an engine may lie in a read-only folder."""
    return cache_dir() / "kernels" / f"{plan.stem}.cache"
