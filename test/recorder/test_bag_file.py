from __future__ import annotations

import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader

from oodseg_ros.recorder.bag_file import NAME, rounded, write_bag
from oodseg_ros.sources.bag_messages import ReplayBag
from oodseg_ros.sources.open_source import open_source


def describe(camera: str, alert: object) -> dict[str, str]:
    return {"state": alert.state.value, "camera": camera}


def test_a_bag_reads_back_in_order_and_without_loss(moment: Callable, tmp_path: Path) -> None:
    moments = [moment(tenth / 10, camera) for tenth in range(10) for camera in ("front", "rear")]
    images = {(m.camera, m.stamp_ns): m.image for m in moments}
    file = tmp_path / "a.mcap"
    assert write_bag(file, list(moments), 0.5, {"bundle": "b@1"}, describe, 10**9) == 20
    source = open_source(file)
    assert source.cameras == ("front", "rear")
    assert source.damage is None
    frames = list(source)
    assert len(frames) == 20
    assert [f.stamp_ns for f in frames] == sorted(f.stamp_ns for f in frames)
    for frame in frames:
        np.testing.assert_array_equal(frame.image, images[frame.camera, frame.stamp_ns])
        assert frame.frame_id == "lens"
    bag = ReplayBag(file)
    assert bag.topics == {
        topic: kind
        for camera in ("front", "rear")
        for topic, kind in {
            f"/{camera}/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
            f"/{camera}/anomaly/score": "sensor_msgs/msg/Image",
            "/alert": "diagnostic_msgs/msg/DiagnosticArray",
        }.items()
    }
    score = next(bag.parse(raw) for raw in bag.messages({"/rear/anomaly/score"}))
    expected = next(m.score for m in moments if m.camera == "rear")
    np.testing.assert_allclose(score.data.view(np.float32).reshape(32, 48), expected, rtol=2**-11)
    statuses = [bag.parse(raw).status[0] for raw in bag.messages({"/alert"})]
    assert len(statuses) == 20
    for status in statuses:
        values = {pair.key: pair.value for pair in status.values}
        assert values == {"state": "CLEAR", "camera": status.hardware_id}
    with file.open("rb") as stream:
        notes = {record.name: record.metadata for record in make_reader(stream).iter_metadata()}
    assert notes[NAME] == {"bundle": "b@1"}


def test_the_published_score_is_made_when_it_is_written(moment: Callable, tmp_path: Path) -> None:
    one = moment(0.0, published=lambda score: score + 1)
    write_bag(tmp_path / "a.mcap", [one], 0.0, {}, describe, 10**9)
    bag = ReplayBag(tmp_path / "a.mcap")
    message = next(bag.parse(raw) for raw in bag.messages({"/front/anomaly/score"}))
    np.testing.assert_array_equal(message.data.view(np.float32).reshape(32, 48), rounded(one.score + 1))


def test_a_compressed_image_is_written_as_the_camera_sent_it(moment: Callable, tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", np.full((32, 48, 3), 90, np.uint8))[1].tobytes()
    write_bag(tmp_path / "a.mcap", [moment(0.0, image=None, encoded=jpeg)], 0.0, {}, describe, 10**9)
    bag = ReplayBag(tmp_path / "a.mcap")
    message = next(bag.parse(raw) for raw in bag.messages({"/front/image_raw/compressed"}))
    assert bytes(message.data) == jpeg
    assert message.format == "jpeg"


def test_a_bag_that_grows_too_large_keeps_what_is_nearest_to_the_trigger(moment: Callable, tmp_path: Path) -> None:
    moments = [moment(tenth / 10, size=(240, 320)) for tenth in range(20)]  # 0.5 MB each, noise
    written = write_bag(tmp_path / "a.mcap", moments, 1.0, {}, describe, 2_000_000)
    assert 2 < written < 10
    assert (tmp_path / "a.mcap").stat().st_size < 3_500_000
    stamps = [frame.stamp_ns / 1e9 - 1_700_000_000 for frame in open_source(tmp_path / "a.mcap")]
    assert max(abs(stamp - 1.0) for stamp in stamps) < 0.51
    assert stamps == sorted(stamps)


def test_a_state_alone_is_written_too(moment: Callable, tmp_path: Path) -> None:
    write_bag(tmp_path / "a.mcap", [moment(0.0, image=None, score=None)], 0.0, {}, describe, 10**9)
    assert set(ReplayBag(tmp_path / "a.mcap").topics) == {"/alert"}


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, 1 / 3, -123.456, 1e30, np.inf, -np.inf, np.nan])
def test_rounding_moves_no_score_by_more_than_half_a_bit_of_eleven(value: float) -> None:
    result = rounded(np.full((2, 3), value, np.float32))
    np.testing.assert_allclose(result, np.float32(value), rtol=2**-11)
    assert not (result.view(np.uint32) & 0xFFF).any() or np.isnan(value)


FULL = """
import errno, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import numpy as np
from oodseg_ros.frame import Alert, AlertState
from oodseg_ros.recorder.bag_file import write_bag
from oodseg_ros.recorder.ring import Moment
image = np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8)
moments = [Moment(0.0, 1, "front", 1, "", Alert(AlertState.CLEAR, "ok"), image) for _ in range(4)]
try:
    write_bag(Path(sys.argv[1]) / "a.mcap", moments, 0.0, {}, lambda camera, alert: {}, 10**9)
except OSError as error:
    print("OSError", errno.errorcode[error.errno], list(Path(sys.argv[1]).iterdir()))
"""


def test_a_disk_that_takes_no_more_leaves_nothing_behind(tmp_path: Path) -> None:
    """The kernel refuses to let files of the child grow beyond 600 kB."""
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), str(root)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000)),
    )
    assert result.stdout == "OSError EFBIG []\n", result.stdout + result.stderr


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file system of 600 kB, in a mount namespace of its own."""
    alone = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    mount = f"mount -t tmpfs -o size=600k tmpfs {shlex.quote(str(tmp_path))}"
    if shutil.which("unshare") is None or subprocess.run([*alone, mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small file system")
    child = shlex.join([sys.executable, "-c", FULL, str(tmp_path), str(Path(__file__).parents[2])])
    result = subprocess.run([*alone, f"{mount} && exec {child}"], capture_output=True, text=True)
    assert result.stdout == "OSError ENOSPC []\n", result.stdout + result.stderr
