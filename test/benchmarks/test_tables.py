from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("benchmark_tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_shows_the_results_that_are_there(tables) -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    assert tables.filled(text, ROOT / "benchmarks" / "results") == text, "run: python benchmarks/tables.py"


def test_figures_go_into_their_place_and_nothing_else_moves(tables, tmp_path: Path) -> None:
    row = {
        "cameras": 2,
        "sent": 120,
        "received": 118,
        "answered": 60,
        "delivered": 59,
        "dropped": {"replaced": 58},
        "least_served_share": 0.45,
        "best_served_share": 0.5,
        "age_p50_ms": 210.4,
        "age_p95_ms": 400.0,
        "age_p99_ms": 410.0,
        "age_max_ms": 433.0,
    }
    origin = dict.fromkeys(("command", "date", "code", "machine", "versions"), "x")
    settings = {"bundle": "b", "precision": "fp32", "size": "96x64", "rate": 5.0}
    (tmp_path / "cameras.json").write_text(json.dumps({"provenance": origin, "settings": settings, "rows": [row]}))
    places = "".join(f"<!-- {name} -->old<!-- end -->\n" for name in tables.TABLES)
    text = tables.filled(f"before\n{places}after", tmp_path)
    assert text.startswith("before\n<!-- inference -->\nNot measured yet")
    assert text.endswith("<!-- end -->\nafter")
    assert "| 2 | 120 | 60 | 59 | 58 replaced | 45% / 50% | 210 | 400 | 410 | 433 |" in text
    assert "old" not in text
    assert tables.filled(text, tmp_path) == text


def test_a_document_without_a_place_is_an_error(tables, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no place for inference"):
        tables.filled("nothing", tmp_path)


def test_every_part_of_the_gpu_benchmark_has_its_words(tables) -> None:
    """The shapes are those that gpu.py writes: test_gpu_benchmark.py."""
    origin = dict.fromkeys(("command", "date", "code", "machine", "versions"), "x")
    case = {"case": "RPL", "part": "case", "engine": "eager fp32", "size": [96, 192], "max_abs_delta": 0.0}
    case |= {"p50_ms": 3.0, "p99_ms": 4.0, "device_ms": 2.0}
    engine = {"case": "engine", "part": "engine", "validity": "VALID", "acceptance": "accepted on 24 frames"}
    step = {"case": "training", "part": "training", "precision": "bf16", "batch": 8, "images_per_second": 12.34}
    rows = [
        case,
        engine | {"p50_ms": 1.0, "p95_ms": 1.5, "p99_ms": 2.0},
        {"case": "pytest -m gpu", "part": "tests", "tests": "5 passed"},
        step,
        {"case": "cameras", "part": "case", "engine": "captured fp16", "failed": "not run: the time was up"},
    ]
    text = tables.gpu({"provenance": origin, "machine": {}, "rows": rows})
    assert "| RPL, 192x96 | eager fp32 | 1 | 3.00 | 4.00 | 2.00 |" in text
    assert "engine: VALID, accepted on 24 frames; p50 1.00, p95 1.50, p99 2.00 ms; `pytest -m gpu`: 5 passed;" in text
    assert "training on bf16, batch 8: 12.3 images/s." in text
    assert "Not measured: cameras on captured fp16: not run: the time was up." in text
