"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A loaded machine must not fail a test for being slow.
hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real driving frames for development; tests that need it skip where it is absent."""
    root = Path(os.environ.get("OODSEG_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"development data not found at {root} (set OODSEG_DATA)")
    return root


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verified bundle with random weights (seed 0): real structure, meaningless answers, loads in a second."""
    import numpy as np
    import torch

    from oodseg_ros.bundle import save_bundle
    from oodseg_ros.inference.graph import DeployGraph
    from oodseg_ros.model_card import Calibration, InputSpec, Licence, ModelCard
    from oodseg_ros.networks.build import build_segmentor

    torch.manual_seed(0)
    network = {
        "backbone": {"name": "efficientnet_lite", "variant": 0},
        "decoder": {"name": "fpn", "channels": 16},
        "classifier": {"name": "linear", "classes": 11},
        "head": {"name": "uem", "levels": [1, 2], "hidden": 16, "width": 16},
        "score": "likelihood_ratio",
    }
    segmentor = build_segmentor(network).eval()
    spec = InputSpec(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), pixels=64 * 128, multiple=32)
    image = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    with torch.inference_mode():
        labels, score = DeployGraph(segmentor, spec, 64, 128)(torch.from_numpy(image)[None])
    score = score[0].numpy()
    low, high = float(score.min()), float(score.max())
    card = ModelCard(
        name="tiny",
        label_set="driving11",
        network=network,
        input=spec,
        calibration=Calibration(threshold=(low + high) / 2, table=[(low, 0.0), (high, 1.0)], source="a test"),
        licence=Licence(weights="Apache-2.0"),
    )
    path = tmp_path_factory.mktemp("bundles") / "tiny"
    save_bundle(path, card, segmentor.state_dict(), {"image": image, "labels": labels[0].numpy(), "score": score})
    return path


@pytest.fixture(scope="session")
def runner(tiny_bundle: Path):
    """The tiny bundle on the torch engine."""
    from oodseg_ros.inference.runner import Runner

    return Runner.load(tiny_bundle, engine="torch", threads=1)


@pytest.fixture(scope="session")
def coherent(tiny_bundle: Path):
    """The tiny bundle on the torch engine, with a rule of objects, by which what is published is coherent."""
    from dataclasses import replace

    import numpy as np

    from oodseg_ros.bundle import load_bundle
    from oodseg_ros.inference.runner import Runner
    from oodseg_ros.object_rule import Objects

    bundle = load_bundle(tiny_bundle)
    grow = float(np.median(bundle.golden()["score"]))
    rule = Objects(grow=grow, seed=0.5, beside=grow + 100, coherence=0.5)
    calibration = bundle.card.calibration.model_copy(update={"objects": rule})
    card = bundle.card.model_copy(update={"calibration": calibration})
    return Runner.load(replace(bundle, card=card), engine="torch", threads=1)


@pytest.fixture(autouse=True, scope="session")
def _engine_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Engines built by tests never land in the user's cache."""
    os.environ["OODSEG_CACHE"] = str(tmp_path_factory.mktemp("engine-cache"))
