"""What every engine owes: the golden frame, the answers of eager torch, and batches in their order."""

from pathlib import Path

import numpy as np
import pytest

from oodseg_ros.inference.engine import ENGINES
from oodseg_ros.inference.runner import Runner

ON_CPU = [name for name, entry in ENGINES.items() if "cpu" in entry.precisions and "fp32" in entry.unbuilt]


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (96, 160, 3), dtype=np.uint8) for _ in range(3)]


def test_some_engine_is_held_to_it() -> None:
    assert {"torch", "openvino"} <= set(ON_CPU)


@pytest.mark.parametrize("name", ON_CPU)
def test_an_engine_answers_as_eager_torch_and_in_order(tiny_bundle: Path, name: str) -> None:
    runner, eager = Runner.load(tiny_bundle, engine=name), Runner.load(tiny_bundle, engine="torch")
    assert runner.golden_error < 1e-2
    together = runner(pictures())
    for image, answer in zip(pictures(), together, strict=True):
        (alone,), (reference,) = runner([image]), eager([image])
        np.testing.assert_allclose(answer.score, alone.score, atol=1e-4)
        assert np.abs(answer.score - reference.score).max() <= 1e-3
        assert (answer.labels == reference.labels).mean() > 0.999
