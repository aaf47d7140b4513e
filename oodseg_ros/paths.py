"""Where the package's own files and the user's cache lie, from a checkout, a pip install or a colcon install; and files
that are complete or not there.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = "oodseg_ros"


def share_dir() -> Path:
    """Folder that holds `launch/`, `config/` and `models/`: the checkout, else `<prefix>/share/oodseg_ros`.

    Raises:
        FileNotFoundError: neither exists; the package was installed without its data files.
    """
    checkout = Path(__file__).resolve().parent.parent
    candidates = [checkout]
    candidates += [
        Path(prefix) / "share" / PACKAGE
        for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        if prefix
    ]
    # colcon and pip both put data files beside lib/pythonX.Y/site-packages of the prefix they installed into.
    candidates += [parent / "share" / PACKAGE for parent in Path(__file__).resolve().parents]
    candidates.append(Path(sys.prefix) / "share" / PACKAGE)
    for candidate in candidates:
        if (candidate / "config" / "labels").is_dir():
            return candidate
    raise FileNotFoundError(
        f"the data files of {PACKAGE} (config/, models/, launch/) were not found in {', '.join(map(str, candidates))}; "
        "install the package with `pip install .` or `colcon build`"
    )


def config_dir() -> Path:
    """Folder of label sets, recipes and node parameters."""
    return share_dir() / "config"


def models_dir() -> Path:
    """Folder of the bundles that ship with the package."""
    return share_dir() / "models"


def cache_dir() -> Path:
    """Folder for built engines: `$OODSEG_CACHE`, else `$XDG_CACHE_HOME/oodseg_ros`, else `~/.cache/oodseg_ros`.

    As its specification says, an empty or relative `$XDG_CACHE_HOME` counts as unset.
    """
    explicit = os.environ.get("OODSEG_CACHE")
    if explicit:
        return Path(explicit)
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / PACKAGE


@contextmanager
def completed(path: Path) -> Iterator[Path]:
    """A file to write, which takes the name `path` at the end; until then, and after an error, `path` is as it was.

    Its folder is made if absent. Processes that write the same file at the same time do not meet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}-{path.name}.part")
    try:
        yield part
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any) -> None:
    """Write as JSON, complete or not at all; what `plain` says of values."""
    with completed(path) as part:
        part.write_text(json.dumps(plain(data), indent=1, allow_nan=False) + "\n")


def plain(data: Any) -> Any:
    """The same for JSON: numpy numbers as Python's, paths as text; nan and infinities, which it lacks, as None."""
    if isinstance(data, dict):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(value) for value in data]
    if isinstance(data, Path):
        return str(data)
    if hasattr(data, "item"):
        data = data.item()
    return None if isinstance(data, float) and not math.isfinite(data) else data
