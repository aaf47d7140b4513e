import numpy as np
import pytest

from oodseg_ros.evaluation.metrics.paired_histogram import PairedHistogram, to_keys, to_scores


def scores_of(rng: np.random.Generator, size: int, spread: float = 1.0) -> np.ndarray:
    return (rng.normal(size=size) * np.exp(rng.normal(size=size) * spread)).astype(np.float32)


def bins_of(histogram: PairedHistogram) -> np.ndarray:
    return np.concatenate([np.stack(chunk, axis=1) for chunk in histogram.descending()])


def test_keys_keep_the_order_of_floats():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 1 << 32, 20000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    special = np.asarray([-np.inf, np.inf, 0, 1e-45, -1e-45, 3.4e38], np.float32)
    scores = np.concatenate([scores[~np.isnan(scores)], special])
    keys = to_keys(scores)
    assert np.array_equal(scores[np.argsort(keys)], np.sort(scores))
    assert np.array_equal(to_scores(keys), scores)
    assert to_keys(np.float32([-0.0])) == to_keys(np.float32([0.0]))


def test_sparse_bins_are_the_distinct_scores():
    histogram = PairedHistogram()
    histogram.add(np.float32([1, 1, 2]), np.float64([2, 3]))
    assert bins_of(histogram).tolist() == [[3, 0, 1], [2, 1, 1], [1, 2, 0]]


@pytest.mark.parametrize("bins", [1 << 16, 1 << 20, 1 << 25])
def test_dense_bins_are_floored_keys(bins):
    rng = np.random.default_rng(1)
    negative, positive = scores_of(rng, 5000, 3), scores_of(rng, 3000, 3)
    histogram = PairedHistogram(bins=bins, sparse_limit=100)
    for part in range(5):
        histogram.add(negative[part::5], positive[part::5])
    width = np.uint32(1) << np.uint32(histogram.shift)
    found = bins_of(histogram)
    for column, scores in ((1, negative), (2, positive)):
        floored, counts = np.unique(to_keys(scores) // width * width, return_counts=True)
        some = found[found[:, column] > 0]
        assert np.array_equal(some[::-1, 0], to_scores(floored))
        assert np.array_equal(some[::-1, column], counts)


@pytest.mark.parametrize("sparse_limit", [50, 3000, 1 << 20])
@pytest.mark.parametrize("parts", [2, 5])
def test_merging_shards_equals_one_run(parts, sparse_limit):
    rng = np.random.default_rng(2)
    negative, positive = scores_of(rng, 4000, 2), scores_of(rng, 500, 2)
    limits = {"bins": 1 << 18, "sparse_limit": sparse_limit}
    whole = PairedHistogram(**limits)
    whole.add(negative, positive)
    shards = [PairedHistogram(**limits) for _ in range(parts)]
    for index, shard in enumerate(shards):
        shard.add(negative[index::parts], positive[index::parts])
    merged = PairedHistogram(**limits)
    for shard in shards[::-1]:
        merged.merge(PairedHistogram.from_state(shard.state()))
    assert merged.shift == whole.shift
    assert merged.totals == whole.totals
    assert np.array_equal(bins_of(merged), bins_of(whole))


def test_more_than_32_bits_of_pixels_do_not_wrap():
    histogram = PairedHistogram(sparse_limit=10)
    histogram.add(np.zeros(20, np.float32), np.ones(1, np.float32))
    histogram._counts[0][histogram._counts[0] > 0] = (1 << 32) - 10  # as after 2047 constant frames of 2 megapixels
    histogram.totals[0] = (1 << 32) - 10
    histogram.add(np.zeros(100, np.float32), np.ones(1, np.float32))
    assert bins_of(histogram)[:, 1:].tolist() == [[0, 2], [(1 << 32) + 90, 0]]
