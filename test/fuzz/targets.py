"""What strangers' bytes can reach, as functions of bytes: each may raise a UserError and nothing else.

Each imports what it needs itself: instrumenting all of it for coverage takes longer than the fuzzing.
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from oodseg_ros.paths import config_dir, models_dir

ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "mono16", "rgb16", "bgr16", "bayer_rggb8", "bayer_gbrg16", "uyvy",
    "yuyv", "yuv422", "yuv422_yuy2", "32FC1", "16UC1", "8UC3", "mono1", "", "x" * 99,
)  # fmt: skip
FOLDER = Path(tempfile.mkdtemp(prefix="oodseg-fuzz-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def compressed(data: bytes) -> None:
    """A CompressedImage's data."""
    from oodseg_ros.sources.image_bytes import decode_image

    image = decode_image(data)
    assert image.dtype == np.uint8
    assert image.ndim == 3


def raw(data: bytes) -> None:
    """An Image: encoding, size, step and byte order from the first bytes, the rest is its data."""
    from oodseg_ros.sources.message_images import message_to_rgb

    head, body = data[:14].ljust(14, b"\0"), data[14:]
    height, width, step = (int.from_bytes(head[i : i + 4], "little") for i in (0, 4, 8))
    encoding = ENCODINGS[head[12] % len(ENCODINGS)]
    for content in (body, np.frombuffer(body, np.uint8)):
        message = SimpleNamespace(
            __msgtype__="sensor_msgs/msg/Image", height=height, width=width, step=step, encoding=encoding,
            is_bigendian=head[13], data=content,
        )  # fmt: skip
        image = message_to_rgb(message)
        assert image.shape == (height, width, 3)


def plain_yaml(data: bytes) -> None:
    """Any YAML."""
    from oodseg_ros.bounded_yaml import load_yaml

    load_yaml(data, "input")


def model(data: bytes) -> None:
    """A bundle's model.yaml."""
    from oodseg_ros.bundle import load_bundle

    folder = FOLDER / "model"
    folder.mkdir(exist_ok=True)
    (folder / "model.yaml").write_bytes(data)
    load_bundle(folder)


def recipe(data: bytes) -> None:
    """A training recipe."""
    from oodseg_ros.training.recipe import load_recipe

    file = FOLDER / "recipe.yaml"
    file.write_bytes(data)
    load_recipe(file)


def labels(data: bytes) -> None:
    """A label set."""
    from oodseg_ros.labels import load_labels

    file = FOLDER / "labels.yaml"
    file.write_bytes(data)
    load_labels(file)


def mcap(data: bytes) -> None:
    """A bag file, as frames and as messages."""
    _bag(FOLDER / "fuzzed.mcap", data)


def sqlite(data: bytes) -> None:
    """A bag file of the older storage."""
    _bag(FOLDER / "fuzzed.db3", data)


def _bag(file: Path, data: bytes) -> None:
    from oodseg_ros.sources.bag_messages import ReplayBag
    from oodseg_ros.sources.open_source import open_source

    file.write_bytes(data)
    for frame in itertools.islice(open_source(file), 50):
        assert frame.image.ndim == 3
    for _ in itertools.islice(ReplayBag(file).messages(), 200):
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    "compressed": compressed,
    "raw": raw,
    "yaml": plain_yaml,
    "model": model,
    "recipe": recipe,
    "labels": labels,
    "mcap": mcap,
    "sqlite": sqlite,
}


def seeds(target: str) -> list[bytes]:
    """Good inputs, from which bad ones are made."""
    if target == "compressed":
        picture = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        return [cv2.imencode(suffix, picture)[1].tobytes() for suffix in (".jpg", ".png")]
    if target == "raw":
        head = (6).to_bytes(4, "little") + (8).to_bytes(4, "little")
        sizes = {"rgb8": 24, "mono16": 16, "uyvy": 16, "bayer_rggb8": 8}
        return [
            head + step.to_bytes(4, "little") + bytes([ENCODINGS.index(name), 0]) + bytes(range(6 * step))
            for name, step in sizes.items()
        ]
    if target == "recipe":
        return [file.read_bytes() for file in sorted((config_dir() / "train").glob("*.yaml"))]
    if target == "labels":
        return [file.read_bytes() for file in sorted((config_dir() / "labels").glob("*.yaml"))]
    if target in ("model", "yaml"):
        return [file.read_bytes() for file in sorted(models_dir().glob("*/model.yaml"))] or [b"schema_version: 1\n"]
    return [_mcap_bag() if target == "mcap" else _sqlite_bag()]


def _moments() -> list[Any]:
    from oodseg_ros.frame import Alert, AlertState
    from oodseg_ros.recorder.recorder import Moment

    picture = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    alert = Alert(AlertState.CLEAR, "ok")
    score = picture[..., 0].astype(np.float32)
    return [Moment(i, 1000 + i, "front", 1000 + i, "lens", alert, picture, None, score) for i in range(3)]


def _mcap_bag() -> bytes:
    from oodseg_ros.recorder.bag_file import write_bag

    file = FOLDER / "seed.mcap"
    write_bag(file, _moments(), 1.0, {}, lambda camera, alert: {"state": alert.state.value}, 10**9)
    return file.read_bytes()


def _sqlite_bag() -> bytes:
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    folder = FOLDER / "seed_sqlite"
    store = get_typestore(Stores.ROS2_HUMBLE)
    kinds = store.types
    with Writer(folder, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        name = "sensor_msgs/msg/Image"
        connection = writer.add_connection("/front/image_raw", name, typestore=store)
        for moment in _moments():
            header = kinds["std_msgs/msg/Header"](kinds["builtin_interfaces/msg/Time"](0, moment.stamp_ns), "lens")
            message = kinds[name](header, 12, 16, "rgb8", 0, 48, moment.image.ravel())
            writer.write(connection, moment.log_ns, store.serialize_cdr(message, name))
    return next(folder.glob("*.db3")).read_bytes()
