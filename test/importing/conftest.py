"""Released layouts: written down here as code, and as facts in the development data's neighbour folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules released_*


@pytest.fixture
def layout(shared_data):
    """name → {key: shape} of a released file; skips where those facts are absent."""
    folder = shared_data.parent / "checkpoints"

    def _layout(name: str) -> dict[str, tuple[int, ...]]:
        file = folder / f"{name}.json"
        if not file.is_file():
            pytest.skip(f"released layouts not found at {folder}")
        return {key: tuple(shape) for key, shape in json.loads(file.read_text())["keys"].items()}

    return _layout
