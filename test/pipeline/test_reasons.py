"""Every code has a sentence, and every code that is used is one of them."""

from __future__ import annotations

import ast
from pathlib import Path

import oodseg_ros
from oodseg_ros.pipeline import reasons

CODES = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}

TELLING = ("unknown", "failed", "drop", "dropped")


def test_every_code_has_a_sentence_and_no_sentence_lacks_its_code() -> None:
    assert set(reasons.SENTENCES) == CODES
    assert set(reasons.DROPS) <= CODES
    assert len(set(reasons.SENTENCES.values())) == len(CODES)


def test_the_account_counts_under_what_becomes_of_frames_and_not_under_states() -> None:
    assert "overwritten" in reasons.DROPS
    assert "engine_error" in reasons.DROPS
    assert len(reasons.DROPS) == 25
    assert not {"ok", "obstacle", "starting", "no_image", "late", "engine_failed"} & set(reasons.DROPS)


def test_an_unknown_code_is_still_readable() -> None:
    assert reasons.sentence("bad_image") == "bad image"


def test_the_document_explains_every_reason() -> None:
    root = Path(oodseg_ros.__file__).parents[1]
    text = (root / "docs" / "node.md").read_text()
    assert [code for code in sorted(CODES) if f"`{code}`" not in text] == []


def test_reasons_given_as_text_are_codes() -> None:
    """Calls of `unknown`, `failed` and `drop` with a literal."""
    root = Path(oodseg_ros.__file__).parent
    given = set()
    for part in ("ros", "pipeline", "inference"):
        for path in (root / part).rglob("*.py"):
            if "faults" in path.parts:
                continue
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") in TELLING:
                    texts = (arg.value for arg in call.args if isinstance(arg, ast.Constant))
                    given |= {text for text in texts if isinstance(text, str)}
    assert not given, "codes are written by their names"
    assert given <= CODES
