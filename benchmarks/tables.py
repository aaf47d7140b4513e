"""Puts the figures of benchmarks/results/*.json into the tables of docs/performance.md.

    python benchmarks/tables.py [--check]

A table stands between `<!-- inference -->` and `<!-- end -->` (likewise cameras, gpu) and is replaced as a whole, so
that figures in the text are never older than those that were measured. `--check` changes nothing and fails if it would.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCUMENT, RESULTS = HERE.parent / "docs" / "performance.md", HERE / "results"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float | None, digits: int = 0, sign: str = "") -> str:
    """A figure, or a dash where there is none."""
    return "–" if value is None else f"{value:{sign}.{digits}f}"


def source(report: dict[str, Any]) -> str:
    """Where the figures come from, in a line."""
    origin = report["provenance"]
    return f"`{origin['command']}`, {origin['date'][:10]}, {origin['code']}, {origin['machine']}; {origin['versions']}."


def inference(report: dict[str, Any]) -> str:
    """One row per case and engine."""
    header = (
        "network",
        "image",
        "engine",
        "p50 ms",
        "p95",
        "p99",
        "x eager",
        "floor ms",
        "MB",
        "start s",
        "ΔAP",
        "gate",
    )
    rows = []
    for case in report["cases"]:
        name, size = case["case"].split("@")
        width, height = size.split("x")
        for row in case["rows"]:
            gate = row["gate"]
            verdict = next((word for word in ("NOT ACCEPTED", "gate open", "accepted") if gate.startswith(word)), "–")
            times = [number(row[f"p{q}_ms"], 0 if row["p50_ms"] >= 100 else 1) for q in (50, 95, 99)]
            ap = row.get("delta_ap")
            rows.append(
                [
                    Path(name).name,
                    f"{width}x{height}",
                    row["engine"].replace(":", " "),
                    *times,
                    number(row["times_faster_than_eager"], 2),
                    number(row.get("floor_ms")),
                    number(row["peak_memory_mb"]),
                    number(row["start_seconds"], 1),
                    number(None if ap is None else ap * 100, 2, "+"),
                    verdict,
                ]
            )
    rates = report["machine"]["matmul_tflops"]
    measured = ", ".join(f"{name} {number(rate, 2)}" for name, rate in rates.items())
    note = (
        f"Measured on this machine: matrix products {measured} TFLOP/s, copying "
        f"{report['machine']['bandwidth_gb_s']:.0f} GB/s. Load before: {report['load_at_start']:.1f}."
    )
    return f"{table(header, rows)}\n\n{note} {source(report)}"


def cameras(report: dict[str, Any]) -> str:
    """One row per number of cameras."""
    header = (
        "cameras",
        "sent",
        "answered",
        "delivered",
        "dropped",
        "least / best served",
        "p50 ms",
        "p95",
        "p99",
        "max",
    )
    rows = []
    for row in report["rows"]:
        dropped = ", ".join(f"{count} {reason}" for reason, count in row["dropped"].items()) or "0"
        counts = [str(row[key]) for key in ("cameras", "sent", "answered", "delivered")]
        ages = [number(row.get(f"age_{key}_ms")) for key in ("p50", "p95", "p99", "max")]
        served = f"{row['least_served_share']:.0%} / {row['best_served_share']:.0%}"
        rows.append([*counts, dropped, served, *ages])
    settings = report["settings"]
    note = (
        f"{settings['bundle']} in {settings['precision']}, {settings['size']} at {settings['rate']:g} Hz per camera; "
        "milliseconds from the image's stamp to its mask at the listener."
    )
    return f"{table(header, rows)}\n\n{note} {source(report)}"


def gpu(report: dict[str, Any]) -> str:
    """One row per measurement that was made, a sentence on those that were not."""
    header = (
        "case",
        "engine",
        "batch",
        "p50 ms",
        "p99",
        "device ms",
        "floor ms",
        "of matmul rate",
        "x eager",
        "max abs Δ",
    )
    rows, told, missing = [], [], []
    for row in report["rows"]:
        how = row.get("engine") or row.get("precision")
        where = row["case"] + (f" on {how}" if how else "")
        if "failed" in row:
            missing.append(f"{where}: {row['failed']}")
            continue
        if row["part"] == "tests":
            told.append(f"`{row['case']}`: {row['tests']}")
        if row["part"] == "engine":
            times = ", ".join(f"{key} {number(row[f'{key}_ms'], 2)}" for key in ("p50", "p95", "p99"))
            told.append(f"{where}: {row['validity']}, {row['acceptance']}; {times} ms")
        if row["part"] == "training":
            told.append(f"{where}, batch {row['batch']}: {number(row['images_per_second'], 1)} images/s")
        if row["part"] != "case":
            continue
        share = row.get("share_of_matmul_rate")
        rows.append(
            [
                f"{row['case']}, {row['size'][1]}x{row['size'][0]}",
                row["engine"],
                str(row.get("batch", 1)),
                number(row["p50_ms"], 2),
                number(row["p99_ms"], 2),
                number(row["device_ms"], 2),
                number(row.get("floor_ms"), 2),
                number(None if share is None else share * 100) + " %",
                number(row.get("times_faster_than_eager"), 1),
                f"{row['max_abs_delta']:.2g}",
            ]
        )
    text = f"{table(header, rows)}\n\n{source(report)} {report['machine']}"
    text += f"\n\n{'; '.join(told)}." if told else ""
    return text + (f"\n\nNot measured: {'; '.join(missing)}." if missing else "")


def alternatives(report: dict[str, Any]) -> str:
    """One row per way, a sentence on those that were not run."""
    header = ("way", "what ran", "p50 ms", "p95", "CPU ms", "MB", "start s", "labels as torch's", "max abs Δ")
    rows = [
        [
            row["way"],
            row["identity"],
            *(number(row[key]) for key in ("p50_ms", "p95_ms", "cpu_ms", "peak_memory_mb")),
            number(row["start_seconds"], 1),
            f"{row['label_agreement']:.2%}",
            "no score" if row["max_abs_delta"] is None else f"{row['max_abs_delta']:.2g}",
        ]
        for row in report["rows"]
    ]
    note = (
        f"{report['bundle']}, {report['size']}, FP32 unless a row says otherwise; this machine's floor "
        f"{number(report['floor']['floor_ms'])} ms; load {report['load_at_start']:.1f} before, "
        f"{report['load_at_end']:.1f} after."
    )
    missing = "; ".join(f"{way}: {reason}" for way, reason in report["missing"].items())
    return f"{table(header, rows)}\n\n{note} {source(report)}" + (f"\n\nNot run: {missing}." if missing else "")


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "inference": inference,
    "alternatives": alternatives,
    "cameras": cameras,
    "gpu": gpu,
}
MISSING = {name: f"Not measured yet: `python benchmarks/{name}.py`." for name in TABLES}


def filled(text: str, results: Path) -> str:
    """The document with its tables as the results say."""
    for name, make in TABLES.items():
        file = results / f"{name}.json"
        body = make(json.loads(file.read_text())) if file.is_file() else MISSING[name]
        pattern = re.compile(rf"<!-- {name} -->.*?<!-- end -->", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{DOCUMENT} has no place for {name}: <!-- {name} --> … <!-- end -->")
        text = pattern.sub(lambda _, body=body, name=name: f"<!-- {name} -->\n{body}\n<!-- end -->", text)
    return text


def main() -> None:
    """Fill or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = DOCUMENT.read_text()
    new = filled(text, RESULTS)
    if options.check and new != text:
        sys.exit(f"{DOCUMENT} is older than {RESULTS}: python benchmarks/tables.py")
    if not options.check:
        DOCUMENT.write_text(new)


if __name__ == "__main__":
    main()
