"""What gpu.py needs on a machine with a GPU and nothing of ours: an engine that was built here, TensorRT-RTX, and a few
Python packages, as one archive in parts small enough to carry.

    python benchmarks/gpu_carry.py FOLDER [--bundle road_lite] [--size 1920x1080] [--python 3.12] [--limit 44]

FOLDER/0/part, FOLDER/1/part, ... are written, each of at most `--limit` MB. Bring all of them into one folder there (in
several transfers if need be) and run `python benchmarks/gpu.py --carried THAT_FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("tensorrt_rtx_cu13_libs", "tensorrt_rtx_cu13_bindings")
PACKAGES += ("pydantic", "pydantic_core", "annotated-types", "typing-inspection", "typing-extensions")
PACKAGES += ("rosbags", "apsw", "ruamel.yaml", "backports.zstd", "mcap", "lz4", "zstandard")
"""What a machine with torch, transformers, lightning, OpenCV, SciPy, rich and pytest lacks, in the versions that are
installed here; without what they need themselves, which would come before that machine's own."""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
SITE, ARCHIVE = "site", "carried.tar.xz"
PLAN_FILE, FACTS = "engine.plan", "engine.json"
"""The engine, and what it was built for."""


def build_engine(bundle: str, size: tuple[int, int], folder: Path) -> None:
    """The bundle in FP16 for no named target, and what it is, in `folder`."""
    from oodseg_ros.building.onnx_export import export_onnx
    from oodseg_ros.building.tensorrt_plan import build_plan
    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.inference.engines.tensorrt_api import load_api
    from oodseg_ros.inference.precision import half_parts
    from oodseg_ros.inference.sizes import graph_size

    loaded = load_bundle(bundle)
    segmentor = loaded.segmentor()
    graph = graph_size(*size, loaded.card.input)
    model = export_onnx(segmentor, loaded.card.input, 1, *graph, "fp16", whole=False)
    plan = build_plan(model, "tensorrt_rtx", None, tuple(half_parts(segmentor)))
    (folder / PLAN_FILE).write_bytes(plan.data)
    facts = {"bundle": bundle, "model": loaded.id, "size": size, "precision": "fp16", "target": None}
    facts |= {"bytes": len(plan.data), "tensors": plan.tensors, "built_by": load_api("tensorrt_rtx").__version__}
    (folder / FACTS).write_text(json.dumps(facts, indent=1) + "\n")


def install(packages: Sequence[str], python: str, site: Path) -> None:
    """Packages for another Python, in the versions of this one, unpacked into `site`."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(site)]
    command += [
        "--no-deps",
        "--only-binary=:all:",
        "--implementation",
        "cp",
        "--python-version",
        python,
        "--no-compile",
    ]
    for platform in PLATFORMS:
        command += ["--platform", platform]
    subprocess.run([*command, *(f"{name}=={version(name)}" for name in packages)], check=True)


def pack(folder: Path, content: Path, limit: int) -> list[Path]:
    """`content` as one compressed archive, cut into as few equal `folder`/0/part, ... as `limit` bytes allow."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / ARCHIVE
        with tarfile.open(archive, "w:xz") as tar:
            tar.add(content, arcname=".")
        data = archive.read_bytes()
    parts = []
    size = -(-len(data) // -(-len(data) // limit))
    for index, start in enumerate(range(0, len(data), size)):
        part = folder / str(index) / "part"
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data[start : start + size])
        parts.append(part)
    return parts


def unpack(folder: Path, place: Path) -> Path:
    """The archive whose parts lie in `folder`/0, /1, ..., unpacked into `place`; where its packages are.

    Raises:
        SystemExit: there is no first part.
    """
    parts = sorted(folder.glob("*/part"), key=lambda path: int(path.parent.name))
    if [int(part.parent.name) for part in parts] != list(range(len(parts))) or not parts:
        raise SystemExit(f"{folder} holds {[str(part.relative_to(folder)) for part in parts]}, not 0/part, 1/part, ...")
    archive = place / ARCHIVE
    with archive.open("wb") as stream:
        for part in parts:
            stream.write(part.read_bytes())
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(place, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise SystemExit(f"{folder}: a part is missing or damaged ({error})") from error
    archive.unlink()
    return place / SITE


def main() -> None:
    """Build, install, pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bundle", default="road_lite")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--python", default="3.12", help="the version over there")
    parser.add_argument("--limit", type=float, default=44, help="MB of one part")
    options = parser.parse_args()
    from oodseg_ros.inference.sizes import parse_size

    with tempfile.TemporaryDirectory(prefix="oodseg_carry_") as name:
        content = Path(name)
        build_engine(options.bundle, parse_size(options.size), content)
        install(PACKAGES, options.python, content / SITE)
        shutil.rmtree(options.folder, ignore_errors=True)
        parts = pack(options.folder, content, int(options.limit * 1e6))
    for part in parts:
        print(f"{part}: {part.stat().st_size / 1e6:.1f} MB")
    print("there: bring all parts into one folder, then: python benchmarks/gpu.py --carried THAT_FOLDER")


if __name__ == "__main__":
    main()
