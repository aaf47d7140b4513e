"""Fuzz in a process of its own, with bounded memory and time: python child.py TARGET COUNT SECONDS SEED [--atheris].

Prints one line of JSON at the end. Whatever is no UserError, takes longer than `PATIENCE`, or needs more memory than
`MEMORY` ends it with a traceback and the input in hexadecimal.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import signal
import sys
import time
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))

MEMORY = 3_000_000_000
"""Address space beyond what the imported libraries take."""
PATIENCE = 20
"""Seconds for one input, on a busy machine."""


def _too_long(_: int, __: FrameType | None) -> None:
    raise TimeoutError(f"longer than {PATIENCE} s")


def main() -> None:
    name, count, seconds, seed = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    if "--atheris" in sys.argv:
        import atheris

        with atheris.instrument_imports(include=["oodseg_ros", "mcap", "yaml"]):
            import targets

            inputs = targets.seeds(name)
            with contextlib.suppress(Exception):
                targets.TARGETS[name](b"")
    else:
        import targets

        inputs = targets.seeds(name)
    from oodseg_ros.errors import UserError

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    signal.signal(signal.SIGALRM, _too_long)
    counts = {"runs": 0, "refused": 0}

    def one(data: bytes) -> None:
        counts["runs"] += 1
        signal.alarm(PATIENCE)
        try:
            targets.TARGETS[name](data)
        except UserError:
            counts["refused"] += 1
        except BaseException:
            print(f"{name}: input {data[:4000].hex()}", flush=True)
            raise
        finally:
            signal.alarm(0)

    for data in inputs:
        one(data)
    if "--atheris" in sys.argv:
        corpus = targets.FOLDER / "corpus"
        corpus.mkdir()
        for index, data in enumerate(inputs):
            (corpus / str(index)).write_bytes(data)
        options = [f"-seed={seed}", f"-runs={count}", f"-max_total_time={int(seconds)}", "-rss_limit_mb=8000"]
        atheris.Setup([sys.argv[0], *options, str(corpus)], one)
        atheris.Fuzz()
        return
    from mutations import mutated_bytes, mutated_yaml

    chance, end = random.Random(seed), time.monotonic() + seconds
    while counts["runs"] < count and time.monotonic() < end:
        data = chance.choice(inputs)
        structured = name in ("model", "recipe", "labels") and chance.random() < 0.7
        one((mutated_yaml if structured else mutated_bytes)(data, chance))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"target": name, **counts, "peak_mb": peak}))


if __name__ == "__main__":
    main()
