"""The Dockerfile passes hadolint; it names files that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_hadolint_has_nothing_to_say():
    linter = Path(sys.executable).parent / "hadolint"
    if not linter.is_file():
        pytest.skip("hadolint is not installed beside this Python")
    done = subprocess.run([linter, "--no-color", "Dockerfile"], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_copies_is_there():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [match[1] for line in lines if (match := re.match(r"COPY (?!--from)(\S+) ", line))]
    assert copied
    assert all((ROOT / path).exists() for path in copied)
