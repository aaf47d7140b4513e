"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real driving frames for development; tests that need it skip where it is absent."""
    root = Path(os.environ.get("OODSEG_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"development data not found at {root} (set OODSEG_DATA)")
    return root
