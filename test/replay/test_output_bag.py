"""What a replay's own bag takes over from its input, and what not; and what of a bag's gaps a replay tells."""

import json

import bags
import numpy as np
import pytest
from bags import STORE, T, compressed
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from oodseg_ros.errors import BagError
from oodseg_ros.replay.offline_run import run_source
from oodseg_ros.replay.recorded import open_recorded
from oodseg_ros.replay.run import ReplayOptions, replay_bag
from oodseg_ros.sources.bag_messages import ReplayBag

UNGATED = {"health.input": [], "health.output": []}
START, FRAMES = 1_700_000_000 * 10**9, 4
IMAGE, TF, OWN = "sensor_msgs/msg/CompressedImage", "tf2_msgs/msg/TFMessage", "my_msgs/msg/Speed"
NEVER = QosTime(2147483647, 4294967295)
LATCHED = Qos(
    *(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, NEVER, NEVER),
    *(QosLiveliness.AUTOMATIC, NEVER, False),
)


def write_bag(path, qos=(LATCHED,), storage=StoragePlugin.MCAP):
    store = get_typestore(Stores.ROS2_HUMBLE)
    store.register(get_types_from_msg("float64 value", OWN))
    messages = [("/tf_static", START - 1, T[TF]([]))]
    for index in range(FRAMES):
        at = START + index * 10**8
        pixels = np.random.default_rng(index).integers(0, 256, (64, 128, 3), dtype=np.uint8)
        messages.append(("/front/image_raw/compressed", at, compressed(at, pixels, "png")))
        messages.append(("/speed", at, store.types[OWN](float(index))))
    return bags.write_bag(path, messages, storage, 8, store, **{"/tf_static": {"offered_qos_profiles": list(qos)}})


def held(path):
    """Topic → number of messages and durabilities that are offered."""
    with Reader(path) as reader:
        return {
            c.topic: (c.msgcount, [qos.durability.name for qos in c.ext.offered_qos_profiles])
            for c in reader.connections
        }


@pytest.mark.parametrize("qos", [(LATCHED,), ()])
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_latched_topics_stay_latched_and_answers_are_not_mixed(runner, tmp_path, qos, storage):
    bag = write_bag(tmp_path / "drive", qos, storage)
    options = ReplayOptions(write_bag=True, params=UNGATED)
    first = replay_bag(runner, bag, tmp_path / "first", options)
    second = replay_bag(runner, tmp_path / "first" / "bag", tmp_path / "second", options)
    answers = ("/alert", "/front/anomaly/mask", "/front/anomaly/score")
    for name in ("first", "second"):
        found = held(tmp_path / name / "bag")
        assert found["/tf_static"] == (1, ["TRANSIENT_LOCAL"])
        assert found["/speed"][0] == FRAMES, "a type that only the bag defines"
        assert {topic: found[topic][0] for topic in answers} == dict.fromkeys(answers, FRAMES)
    assert first["left_out"] == {}
    assert second["left_out"] == dict.fromkeys(answers, "earlier answers")
    speed = ReplayBag(tmp_path / "second" / "bag")
    assert [speed.parse(raw).value for raw in speed.messages({"/speed"})] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["run#2", "run%202", "a?b"])
def test_any_character_may_stand_in_the_path_of_the_new_bag(runner, tmp_path, name):
    bag = write_bag(tmp_path / "drive")
    replay_bag(runner, bag, tmp_path / name, ReplayOptions(write_bag=True, params=UNGATED))
    assert ReplayBag(tmp_path / name / "bag").promised["/alert"] == FRAMES
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["drive", name])


def test_missing_frames_stand_in_the_metrics_and_in_the_report(runner, tmp_path):
    bag = write_bag(tmp_path / "drive")
    text = (bag / "metadata.yaml").read_text()
    (bag / "metadata.yaml").write_text(text.replace(f"message_count: {FRAMES}", f"message_count: {FRAMES + 3}"))
    replay_bag(runner, bag, tmp_path / "out", ReplayOptions(params=UNGATED))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert (metrics["frames"], metrics["missing"]) == (FRAMES, 3)
    told = f"/front/image_raw/compressed: 3 of {FRAMES + 3} messages are missing"
    assert told in metrics["damage"]
    assert told in (tmp_path / "out" / "report.html").read_text()


def test_a_bag_without_a_frame_is_no_result(runner, tmp_path):
    with Writer(tmp_path / "empty", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        writer.add_connection("/front/image_raw/compressed", IMAGE, typestore=STORE)
    with Writer(tmp_path / "bad", version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/front/image_raw/compressed", IMAGE, typestore=STORE)
        writer.write(connection, 1, b"nonsense")
    for name, words in (("empty", "there is not one message"), ("bad", "not one of 1 frames can be decoded")):
        with pytest.raises(BagError, match=words):
            replay_bag(runner, tmp_path / name, tmp_path / "out", ReplayOptions(params=UNGATED))
        assert not (tmp_path / "out" / "metrics.json").exists()
        recorded = open_recorded(tmp_path / name, None, UNGATED)
        with pytest.raises(BagError, match=words):
            run_source(runner, recorded, tmp_path / f"run_{name}", UNGATED)
