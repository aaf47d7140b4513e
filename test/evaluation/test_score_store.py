import numpy as np
import pytest

from oodseg_ros.evaluation.score_store import CoherentStore, ScoreStore
from oodseg_ros.object_rule import Objects
from oodseg_ros.pipeline.obstacles.coherent import coherent_score


def test_scores_come_back_to_the_bit(tmp_path):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, (37, 53), dtype=np.uint64).astype(np.uint32)
    score, label = bits.view(np.float32), rng.integers(0, 256, (37, 53)).astype(np.uint8)
    store = ScoreStore(tmp_path)
    store.put("a.b", score, label, milliseconds=np.asarray(3.5))
    back, back_label, extra = ScoreStore(tmp_path).get("a.b")
    assert np.array_equal(back.view(np.uint32), bits)
    assert np.array_equal(back_label, label)
    assert extra["milliseconds"] == 3.5
    assert "a.b" in store
    assert "c" not in store


def test_a_coherent_store_reads_what_another_holds(tmp_path):
    score = np.random.default_rng(0).normal(size=(37, 53)).astype(np.float32)
    own, rule = ScoreStore(tmp_path), Objects(grow=-2, seed=0.5, beside=9, coherence=0.5)
    own.put("a", score, np.zeros(score.shape, np.uint8), milliseconds=np.asarray(3.5))
    made, label, extra = CoherentStore(own, rule, 10).get("a")
    np.testing.assert_array_equal(made, coherent_score(score, rule, 10))
    assert (made > score).any()
    assert (label.sum(), extra["milliseconds"]) == (0, 3.5)
    np.testing.assert_array_equal(own.get("a")[0], score)
    greater = score + 1
    own.put("a", score, np.zeros(score.shape, np.uint8), greater=greater)
    np.testing.assert_array_equal(CoherentStore(own, rule, 10).get("a")[0], coherent_score(greater, rule, 10))
    np.testing.assert_array_equal(CoherentStore(own, None, 10).get("a")[0], greater)
    np.testing.assert_array_equal(own.get("a")[0], score)


def test_frames_come_in_the_order_of_their_names(tmp_path):
    store = ScoreStore(tmp_path)
    for name in ("2", "10", "1"):
        store.put(name, np.full((4, 5), float(name), np.float32), np.zeros((4, 5), np.uint8))
    assert [(name, float(score[0, 0])) for name, score, _ in store] == [("1", 1.0), ("10", 10.0), ("2", 2.0)]
    assert len(store) == 3


def test_unfinished_and_damaged_frames(tmp_path):
    store = ScoreStore(tmp_path)
    store.put("x", np.ones((9, 9), np.float32), np.zeros((9, 9), np.uint8))
    file = next(tmp_path.glob("*.npz"))
    (tmp_path / f".{file.name}.part").write_bytes(b"half")
    assert store.names() == ["x"]
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(KeyError, match="'x'"):
        store.get("x")
    with pytest.raises(ValueError, match="plain file name"):
        store.put("../x", np.ones((2, 2), np.float32), np.zeros((2, 2), np.uint8))
