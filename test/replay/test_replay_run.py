import json
import math

import cv2
import numpy as np
import pytest
from bags import T, compressed, header, image, odometry, write_bag
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin

from oodseg_ros.errors import BagError, ConfigError, DatasetError
from oodseg_ros.evaluation.frame_pass import Shard
from oodseg_ros.evaluation.metrics.pixels import PixelMetrics
from oodseg_ros.model_card import Histogram
from oodseg_ros.pipeline.obstacles.coherent import coherent_score
from oodseg_ros.pipeline.output_gate import ScoreDrift, jensen_shannon
from oodseg_ros.replay.run import ReplayOptions, replay_bag, replay_bags
from oodseg_ros.replay.summary import MIN_RATE_S, rates
from oodseg_ros.replay.truth import truth_from_folder, truth_from_topic
from oodseg_ros.sources.bag_messages import ReplayBag

FRAMES = 8
START = 1_700_000_000 * 10**9
STEP = 100_000_000
DELAY = 30_000_000
"""From a frame's header stamp to its log time."""


def images():
    for index in range(FRAMES):
        rng = np.random.default_rng(index)
        image = rng.integers(0, 120, (64, 128, 3), dtype=np.uint8)
        mask = np.zeros((64, 128), np.uint8)
        if index % 4:
            x = 10 * index
            image[20:44, x : x + 30] += 100
            mask[20:44, x : x + 30] = 1
        yield START + index * STEP, image, mask


def recorded(path, plugin=StoragePlugin.MCAP, packed=False):
    """Images of a camera, masks, odometry of one metre per frame, and one image that cannot be decoded."""
    topic, messages = "/front/image_raw/compressed" if packed else "/front/image_raw", []
    for index, (stamp, picture, mask) in enumerate(images()):
        message = compressed(stamp, picture, "png") if packed else image(stamp, picture)
        messages.append((topic, stamp + DELAY, message))
        messages.append(("/front/truth", stamp + 2 * DELAY, image(stamp, mask, "mono8")))
        messages.append(("/odom", stamp, odometry(stamp, float(index))))
    broken = T["sensor_msgs/msg/Image"](header(stamp + STEP), 64, 128, "secret", 0, 384, np.zeros(9, np.uint8))
    return write_bag(path, messages if packed else [*messages, (topic, stamp + STEP + DELAY, broken)], plugin)


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return recorded(tmp_path_factory.mktemp("bags") / "drive")


PARAMS = {f"obstacles.{name}": 1 for name in ("trigger_hits", "trigger_window", "release_frames")}
PARAMS |= {"obstacles.min_area": 20}
UNGATED = {**PARAMS, "health.input": [], "health.output": []}
"""The pictures here are noise, and the network is untrained: the gates would refuse both."""


def test_same_bag_same_alerts_byte_for_byte(runner, bag, tmp_path):
    first = replay_bag(runner, bag, tmp_path / "a", ReplayOptions(params=UNGATED))
    second = replay_bag(runner, bag, tmp_path / "b", ReplayOptions(params=UNGATED))
    table = (tmp_path / "a" / "alerts.csv").read_bytes()
    assert table == (tmp_path / "b" / "alerts.csv").read_bytes()
    assert table.count(b"\n") == FRAMES + 2
    for key in ("alerts", "frames", "evidence_age_s", "kilometres", "drift", "skipped"):
        assert first[key] == second[key]


def test_figures_of_a_drive(runner, bag, tmp_path):
    found = replay_bag(runner, bag, tmp_path, ReplayOptions(params=UNGATED))
    assert found["frames"] == FRAMES + 1
    assert found["duration_s"] == pytest.approx(FRAMES * 0.1)
    assert found["kilometres"] == pytest.approx((FRAMES - 1) / 1000)
    assert found["evidence_age_s"]["p50"] == pytest.approx(DELAY / 1e9)
    assert list(found["skipped"].values()) == [1]
    assert found["alerts"]["reasons"]["decode_failed"] == 1
    assert json.loads((tmp_path / "metrics.json").read_text())["alerts"]["per_hour"] is None
    assert [entry["camera"] for entry in found["alerts"]["began"]] == ["front"] * found["alerts"]["onsets"]
    assert all(0 <= entry["at_s"] <= found["duration_s"] for entry in found["alerts"]["began"])
    assert sum(found["alerts"]["share_of_frames"].values()) == pytest.approx(1)
    page = (tmp_path / "report.html").read_text()
    assert "Frames worth looking at" in page
    assert json.loads((tmp_path / "metrics.json").read_text())["bundle"] == runner.bundle.id


def test_rates_are_told_of_long_drives_only():
    assert rates(3, 1800.0, 6000.0) == {"per_hour": 6.0, "per_kilometre": 0.5}
    assert rates(3, MIN_RATE_S, math.nan)["per_hour"] == 18.0
    assert math.isnan(rates(3, MIN_RATE_S, 0.0)["per_kilometre"])
    assert all(map(math.isnan, rates(1, 5.0, 100.0).values()))


@pytest.mark.parametrize("source", ["topic", "folder"])
def test_against_ground_truth(runner, bag, tmp_path, source):
    if source == "topic":
        options = ReplayOptions(truth_topic="/front/truth", params=UNGATED)
    else:
        (tmp_path / "masks").mkdir()
        for stamp, _, mask in images():
            cv2.imwrite(str(tmp_path / "masks" / f"front_{stamp + 400_000}.png"), mask)
        options = ReplayOptions(truth=tmp_path / "masks", params=UNGATED)
    found = replay_bag(runner, bag, tmp_path / "out", options)
    expected = PixelMetrics()
    for _, picture, mask in images():
        expected.update(runner([picture])[0].score, mask)
    for key, value in expected.compute().items():
        assert found["pixel"][key] == pytest.approx(value), key
    assert set(found["component"]) >= {"sIoU", "PPV", "F1"}


def test_what_the_gates_refuse_is_unknown_and_counted(runner, bag, tmp_path):
    """The output gate of a bundle with random weights refuses noise; a black picture never reaches the network."""
    found = replay_bag(runner, bag, tmp_path / "noise", ReplayOptions(truth_topic="/front/truth", params=PARAMS))
    refused = sum(count for reason, count in found["skipped"].items() if "secret" not in reason)
    assert refused > 0
    assert found["alerts"]["share_of_frames"]["UNKNOWN"] == pytest.approx((refused + 1) / (FRAMES + 1))
    dark = tmp_path / "dark"
    black = {START + index * STEP: np.full((64, 128, 3), index, np.uint8) for index in range(3)}
    write_bag(dark, [("/front/image_raw", stamp + DELAY, image(stamp, picture)) for stamp, picture in black.items()])
    found = replay_bag(runner, dark, tmp_path / "out", ReplayOptions(params=PARAMS))
    assert found["skipped"] == {"front: black": 3}
    assert found["alerts"]["share_of_frames"]["UNKNOWN"] == 1


def test_output_bag_holds_inputs_and_outputs(runner, bag, tmp_path):
    replay_bag(runner, bag, tmp_path, ReplayOptions(write_bag=True, params=UNGATED))
    before, after = ReplayBag(bag), ReplayBag(tmp_path / "bag")
    inputs = [(m.topic, m.log_ns, m.data) for m in before.messages()]
    assert inputs == [(m.topic, m.log_ns, m.data) for m in after.messages(set(before.topics))]
    scores = [after.parse(message) for message in after.messages({"/front/anomaly/score"})]
    assert len(scores) == FRAMES
    for message, (stamp, picture, _) in zip(scores, images(), strict=True):
        assert message.header.stamp.sec * 10**9 + message.header.stamp.nanosec == stamp
        score = message.data.view(np.float32).reshape(64, 128)
        assert np.array_equal(score, runner([picture])[0].score)
    alerts = [after.parse(message) for message in after.messages({"/alert"})]
    assert len(alerts) == FRAMES + 1, "one for every frame, whether it could be judged or not"
    said = [{pair.key: pair.value for pair in alert.status[0].values} for alert in alerts]
    assert {values["state"] for values in said} <= {"CLEAR", "OBSTACLE", "UNKNOWN"}
    assert [values["sequence"] for values in said] == [str(index) for index in range(FRAMES + 1)]
    assert said[-1]["reason"] == "decode_failed"
    with pytest.raises(ConfigError, match="exists"):
        replay_bag(runner, bag, tmp_path, ReplayOptions(write_bag=True))


def test_output_bag_holds_the_coherent_score(coherent, bag, tmp_path):
    replay_bag(coherent, bag, tmp_path, ReplayOptions(write_bag=True, params=UNGATED))
    after, rule = ReplayBag(tmp_path / "bag"), coherent.bundle.card.calibration.objects
    (message, *_), (_, picture, _) = after.messages({"/front/anomaly/score"}), next(iter(images()))
    score = coherent([picture])[0].score
    found = after.parse(message).data.view(np.float32).reshape(64, 128)
    np.testing.assert_array_equal(found, coherent_score(score, rule, 20))
    assert (found > score).any()


def test_compressed_sqlite_gives_the_same_scores(runner, bag, tmp_path):
    other = recorded(tmp_path / "drive", StoragePlugin.SQLITE3, packed=True)
    options = ReplayOptions(truth_topic="/front/truth", params=UNGATED)
    found = replay_bag(runner, other, tmp_path / "a", options)
    assert found["pixel"] == replay_bag(runner, bag, tmp_path / "b", options)["pixel"]
    assert found["skipped"] == {}


def test_a_truncated_bag_is_evaluated_up_to_the_damage(runner, bag, tmp_path):
    broken = tmp_path / "broken.mcap"
    with broken.open("wb") as stream:  # in small chunks, as a recorder leaves them
        writer, channels = McapWriter(stream, chunk_size=30_000), {}
        writer.start("ros2")
        for message in ReplayBag(bag).messages():
            if message.topic not in channels:
                schema = writer.register_schema(message.kind, "ros2msg", b"")
                channels[message.topic] = writer.register_channel(message.topic, "cdr", schema)
            writer.add_message(channels[message.topic], message.log_ns, message.data, message.log_ns)
        writer.finish()
    broken.write_bytes(broken.read_bytes()[: int(broken.stat().st_size * 0.6)])
    found = replay_bag(runner, broken, tmp_path / "out", ReplayOptions(params=UNGATED))
    assert 0 < found["frames"] < FRAMES
    assert "not closed or is cut short" in found["damage"]
    assert "Damaged bag" in (tmp_path / "out" / "report.html").read_text()


def test_several_bags_and_shards_give_equal_sums(runner, bag, tmp_path):
    other = recorded(tmp_path / "other", StoragePlugin.SQLITE3)
    options = {"truth_topic": "/front/truth", "params": UNGATED}
    both = replay_bags(runner, [bag, other], tmp_path / "one", ReplayOptions(**options))
    assert replay_bags(runner, [bag, other], tmp_path / "two", ReplayOptions(**options, shard=Shard(1, 2))) is None
    shared = replay_bags(runner, [bag, other], tmp_path / "two", ReplayOptions(**options, shard=Shard(0, 2)))
    for key in ("frames", "duration_s", "kilometres", "alerts", "pixel"):
        assert shared[key] == both[key]
    assert both["frames"] == 2 * (FRAMES + 1)
    assert both["pixel"]["positives"] == 2 * both["bags"][0]["pixel"]["positives"]


def test_what_cannot_be_replayed_is_said(runner, bag, tmp_path):
    (tmp_path / "junk.mcap").write_bytes(b"no bag at all")
    with pytest.raises(BagError, match="cannot be read"):
        ReplayBag(tmp_path / "junk.mcap")
    with pytest.raises(BagError, match="/front/truth"):
        replay_bag(runner, bag, tmp_path / "out", ReplayOptions(truth_topic="/nothing"))
    with pytest.raises(BagError, match="no image topic /rear"):
        replay_bag(runner, bag, tmp_path / "out", ReplayOptions(topics=["/rear"]))
    with pytest.raises(DatasetError, match="no mask named"):
        truth_from_folder(tmp_path)
    with pytest.raises(ConfigError, match="not from both"):
        ReplayOptions(truth=tmp_path, truth_topic="/x")


def test_masks_are_found_by_the_nearest_stamp(bag):
    truth = truth_from_topic(ReplayBag(bag), "/front/truth", tolerance_ns=1000)
    assert len(truth) == FRAMES
    stamp, _, mask = list(images())[1]
    assert np.array_equal(truth.find(stamp + 999), mask)
    assert truth.find(stamp + 1001) is None


def test_masks_that_belong_to_no_frame_are_told(runner, bag, tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    (first, _, mask), (second, _, _), *_ = images()
    names = f"a_{first}", f"b_{first}", f"late_{second + 50_000_000}", "foo"
    for name in names:
        cv2.imwrite(str(masks / f"{name}.png"), mask)
    # Of a frame that cannot be decoded: it has a mask, though nothing can be compared.
    cv2.imwrite(str(masks / f"{first + STEP}.png"), mask)
    found = replay_bag(runner, bag, tmp_path / "out", ReplayOptions(truth=masks, params=UNGATED))
    assert found["notes"][:2] == [
        f"ground truth: not used, no stamp in the name or that of another file: b_{first}.png, foo.png",
        "ground truth: 2 of 3 masks belong to a frame that was read; the others are more than 0.001 s from any",
    ]
    (masks / names[2]).with_suffix(".png").unlink()
    found = replay_bag(runner, bag, tmp_path / "out", ReplayOptions(truth=masks, params=UNGATED))
    assert sum("ground truth" in note for note in found["notes"]) == 1


def test_drift_is_zero_for_the_reference_and_one_for_another_world():
    values = np.linspace(0, 1, 1000, dtype=np.float32)
    counts, _ = np.histogram(values, bins=16, range=(0, 1))
    drift = ScoreDrift(Histogram(low=0, high=1, counts=counts.tolist()))
    assert drift.measure(values) == pytest.approx(0, abs=1e-6)
    assert drift.measure(np.full(10, 50, np.float32)) > 0.8
    assert math.isnan(drift.measure(np.full(3, np.nan, np.float32)))
    since_start = ScoreDrift(None)
    assert since_start.measure(values) == 0
    assert since_start.measure(values**4) > 0.1
    assert jensen_shannon([1, 0], [0, 5]) == 1
