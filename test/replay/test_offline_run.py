"""A run over a source, with the real runner on a tiny bundle."""

import csv
import itertools
import math

import cv2
import numpy as np
import pytest

from oodseg_ros.errors import ConfigError, EngineError, UserError
from oodseg_ros.inference.runner import Runner
from oodseg_ros.pipeline.geometry.ground import pinhole
from oodseg_ros.pipeline.obstacles.coherent import coherent_score
from oodseg_ros.replay.drive import STAGES
from oodseg_ros.replay.offline_run import run_source
from oodseg_ros.replay.recorded import RecordedSource
from oodseg_ros.sources.image_files import open_folder, write_image
from oodseg_ros.sources.open_source import open_source

PARAMS = {"obstacles.min_area": 1, "health.input": [], "health.output": []}
"""The pictures here are noise, and the network is untrained: the gates would refuse both."""


@pytest.fixture(scope="module")
def runner(tiny_bundle):
    return Runner.load(tiny_bundle, engine="torch", threads=1)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(5):
        rng = np.random.default_rng(number)
        image = cv2.resize(rng.integers(0, 256, (4, 8, 3), dtype=np.uint8), (128, 64))
        write_image(folder / f"{number}.png", image)
    return folder


def run(runner, images, out, params=PARAMS, **more):
    return run_source(runner, RecordedSource(open_folder(images)), out, params, **more)


def lines(out):
    with (out / "alerts.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_everything_of_a_run(runner, images, tmp_path):
    out = tmp_path / "out"
    seen = []
    summary = run(runner, images, out, save_scores=True, sequence=True, progress=seen.append)
    assert seen == [1, 2, 3, 4, 5]
    assert summary.judged == 5
    assert sum(summary.states()["images"].values()) == 5
    assert [len(summary.seconds[stage]) for stage in STAGES] == [5, 5, 5]
    assert [line["frame"] for line in lines(out)] == ["0", "1", "2", "3", "4"]
    assert [line["file"] for line in lines(out)] == [f"{number}.png" for number in range(5)]
    assert (summary.rows[0]["state"], summary.rows[0]["reason"]) == ("UNKNOWN", "starting")
    for number in range(5):
        overlay = cv2.imread(str(out / "overlays" / "images" / f"{number:06d}_{number}.jpg"))
        assert overlay.shape == (64, 128, 3)
        with np.load(out / "scores" / "images" / f"{number:06d}.npz", allow_pickle=False) as saved:
            assert saved["score"].dtype == np.float32
            assert saved["score"].shape == saved["labels"].shape == (64, 128)


def test_a_frame_that_the_engine_failed_on_is_named(runner, images, tmp_path, monkeypatch):
    answer, third = Runner.__call__, next(itertools.islice(open_folder(images), 2, None)).image

    def failing(self, pictures, *more, **named):
        if any(np.array_equal(picture, third) for picture in pictures):
            raise RuntimeError("the device is gone")
        return answer(self, pictures, *more, **named)

    monkeypatch.setattr(Runner, "__call__", failing)
    summary = run(runner, images, tmp_path / "out")
    failed = lines(tmp_path / "out")[2]
    assert (failed["file"], failed["reason"]) == ("2.png", "engine_error")
    assert summary.rows[2]["file"] == "2.png"


def test_saved_scores_are_the_runners(runner, images, tmp_path):
    run(runner, images, tmp_path / "out", limit=1, save_scores=True)
    image = next(iter(open_folder(images))).image
    with np.load(tmp_path / "out" / "scores" / "images" / "000000.npz") as saved:
        np.testing.assert_array_equal(saved["score"], runner([image])[0].score)


def test_saved_scores_are_coherent_where_the_bundle_says_so(coherent, images, tmp_path):
    run(coherent, images, tmp_path / "out", limit=1, save_scores=True)
    score = coherent([next(iter(open_folder(images))).image])[0].score
    expected = coherent_score(score, coherent.bundle.card.calibration.objects, 1)
    assert (expected > score).any()
    with np.load(tmp_path / "out" / "scores" / "images" / "000000.npz") as saved:
        np.testing.assert_array_equal(saved["score"], expected)


def test_stills_are_judged_by_themselves(runner, images, tmp_path):
    everywhere = {**PARAMS, "obstacles.threshold": -1e9}
    summary = run(runner, images, tmp_path / "out", everywhere)
    assert summary.states()["images"] == {"OBSTACLE": 5}
    assert {line["reason"] for line in lines(tmp_path / "out")} == {"obstacle"}
    nowhere = {**PARAMS, "obstacles.threshold": 1e9}
    summary = run(runner, images, tmp_path / "out2", nowhere)
    assert summary.states()["images"] == {"CLEAR": 5}


def test_a_sequence_needs_evidence(runner, images, tmp_path):
    everywhere = {**PARAMS, "obstacles.threshold": -1e9}
    summary = run(runner, images, tmp_path / "out", everywhere, sequence=True)
    assert summary.states()["images"] == {"UNKNOWN": 1, "OBSTACLE": 4}
    changes = [(row["state"], row["file"]) for row in summary.rows if row["changed"]]
    names = sorted(file.name for file in images.iterdir())
    assert changes == [("UNKNOWN", names[0]), ("OBSTACLE", names[1])]
    drive = run_source(runner, RecordedSource(open_source("scenes:1")), tmp_path / "drive", PARAMS, limit=2)
    assert {row["file"] for row in drive.rows} == {""}


def test_geometry_gives_ranges(runner, images, tmp_path):
    everywhere = {**PARAMS, "obstacles.threshold": -1e9}
    view = lambda frame: pinhole(*frame.image.shape[1::-1], math.radians(60), 1.5, 0.3)  # noqa: E731
    run_source(runner, RecordedSource(open_folder(images), view), tmp_path / "out", everywhere, limit=1)
    assert float(lines(tmp_path / "out")[0]["min_range_m"]) == 0.0


def test_limit_and_png(runner, images, tmp_path):
    summary = run(runner, images, tmp_path / "o", limit=2, image_format="png")
    assert summary.judged == 2
    assert sorted(p.name for p in (tmp_path / "o" / "overlays" / "images").iterdir()) == [
        "000000_0.png",
        "000001_1.png",
    ]


def test_frames_that_cannot_be_judged_are_counted(runner, images, tmp_path):
    write_image(images / "1.png", np.zeros((8, 8, 3), np.uint8))  # smaller than any network input
    (images / "2.png").write_bytes(b"nothing")
    summary = run(runner, images, tmp_path / "out")
    assert summary.judged == 3
    assert sum(summary.skipped.values()) == 2
    assert any("8x8" in reason for reason in summary.skipped)


def test_a_picture_that_cannot_be_decoded_has_its_line_and_its_number(runner, images, tmp_path):
    everywhere = {**PARAMS, "obstacles.threshold": -1e9}
    for number in (0, 2):
        (images / f"{number}.png").write_bytes(b"nothing")
    recorded, seen = RecordedSource(open_folder(images)), []
    summary = run_source(runner, recorded, tmp_path / "o", everywhere, save_scores=True, progress=seen.append)
    assert seen == list(range(1, 1 + recorded.count))
    told = [(line["frame"], line["file"], line["state"], line["reason"]) for line in lines(tmp_path / "o")]
    lost, found = ("UNKNOWN", "decode_failed"), ("OBSTACLE", "obstacle")
    assert told == [(str(n), f"{n}.png", *(lost if n in (0, 2) else found)) for n in range(5)]
    assert summary.states()["images"] == {"OBSTACLE": 3, "UNKNOWN": 2}
    assert (summary.judged, sum(summary.skipped.values())) == (3, 2), "each is counted once"
    names = {file.name for file in (tmp_path / "o" / "overlays" / "images").iterdir()}
    assert names == {f"{number:06d}_{number}.jpg" for number in (1, 3, 4)}
    assert {file.name for file in (tmp_path / "o" / "scores" / "images").iterdir()} == {
        f"{number:06d}.npz" for number in (1, 3, 4)
    }
    summary = run(runner, images, tmp_path / "o", everywhere, limit=2)
    assert [row["state"] for row in summary.rows] == ["UNKNOWN", "OBSTACLE"]


@pytest.mark.parametrize(
    ("threshold", "torn", "said"),
    [
        (-1e9, 2, "starting obstacle decode_failed obstacle obstacle"),
        (1e9, 3, "starting starting ok decode_failed recovering"),
    ],
)
def test_in_a_sequence_the_alert_is_the_nodes_after_a_lost_picture(runner, images, tmp_path, threshold, torn, said):
    """An alert goes on at once; CLEAR takes evidence anew."""
    (images / f"{torn}.png").write_bytes(b"nothing")
    summary = run(runner, images, tmp_path / "out", {**PARAMS, "obstacles.threshold": threshold}, sequence=True)
    assert [row["reason"] for row in summary.rows] == said.split()
    assert {row["state"] for row in summary.rows[torn : torn + 1]} == {"UNKNOWN"}
    assert summary.rows[torn]["changed"]
    assert [row["file"] for row in summary.rows] == [f"{number}.png" for number in range(5)]


def test_a_video_with_a_frame_that_cannot_be_decoded(runner, tmp_path):
    video = tmp_path / "drive.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (128, 64))
    for index in range(5):
        writer.write(np.random.default_rng(index).integers(0, 256, (64, 128, 3), dtype=np.uint8))
    writer.release()
    parts = video.read_bytes().split(b"\xff\xd8\xff")  # where JPEGs begin
    assert len(parts) == 6
    parts[3] = bytes(len(parts[3]) - 8) + parts[3][-8:]  # the next one's header stays
    video.write_bytes(b"\xff\xd8\xff".join(parts[:3]) + bytes(3) + parts[3] + b"\xff\xd8\xff".join([b"", *parts[4:]]))
    summary = run_source(runner, RecordedSource(open_source(video)), tmp_path / "out", PARAMS)
    assert [line["reason"] == "decode_failed" for line in lines(tmp_path / "out")] == [False, False, True, False, False]
    assert {line["file"] for line in lines(tmp_path / "out")} == {"drive.avi"}
    assert summary.damage is None


@pytest.mark.parametrize("one", [False, True])
def test_where_nothing_can_be_decoded_all_is_unknown_and_an_error(runner, images, tmp_path, one):
    for number in range(5):
        (images / f"{number}.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"\.png cannot be decoded") as refused:
        run_source(runner, RecordedSource(open_source(images / "0.png" if one else images)), tmp_path / "out", PARAMS)
    told = [(line["file"], line["reason"]) for line in lines(tmp_path / "out")]
    assert told == [(f"{number}.png", "decode_failed") for number in range(1 if one else 5)]
    assert "2 skipped" not in str(refused.value), "each is counted once"


def test_of_an_earlier_run_nothing_is_left_but_what_others_put_there(runner, images, tmp_path):
    out = tmp_path / "out"
    run(runner, images, out)
    (out / "mine.txt").write_text("keep")
    run(runner, images, out, limit=2)
    assert len(list((out / "overlays" / "images").iterdir())) == 2, "no frame of the longer run is left"
    assert len(lines(out)) == 2
    assert (out / "mine.txt").read_text() == "keep"


def test_out_that_cannot_be_written(runner, images, tmp_path):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError):
            run(runner, images, out)


class _OfOneSize:
    """An engine that was built for one image size, in place of the runner's own."""

    identity = "built-for-one-size"

    def compile(self, batch, height, width):
        raise EngineError(f"no engine for {width}x{height}; run: oodseg build")

    def check_golden(self):
        return 0.0


@pytest.mark.parametrize("torn", [False, True])
def test_an_engine_of_another_size_refuses_before_anything_is_replaced(runner, images, tmp_path, torn):
    out = tmp_path / "out"
    run(runner, images, out, limit=2)
    if torn:
        (images / "0.png").write_bytes(b"no picture")
    before = {file: file.read_bytes() for file in out.rglob("*.*")}
    built = Runner(runner.bundle, _OfOneSize())
    with pytest.raises(EngineError, match="128x64; run: oodseg build"):
        run(built, images, out)
    assert {file: file.read_bytes() for file in out.rglob("*.*")} == before


def test_a_first_frame_that_cannot_be_read_stops_nothing(runner, images, tmp_path):
    (images / "0.png").write_bytes(b"no picture")
    summary = run(runner, images, tmp_path / "out")
    assert summary.judged == 4
