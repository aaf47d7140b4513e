"""The comparison of training steps, on this commit's own tree: a small recipe, and processes as the real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def against(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import training_step_against

    return training_step_against


@pytest.fixture
def recipe(tiny_bundle: Path, tmp_path: Path) -> Path:
    network = yaml.safe_load((tiny_bundle / "model.yaml").read_text())["network"]
    told = {
        "name": "small",
        "label_set": "driving11",
        "network": network,
        "input": {"mean": [0.5] * 3, "std": [0.5] * 3, "pixels": 16384, "multiple": 32},
        "crop": [64, 96],
        "widths": [96, 200],
        "data": [{"dataset": "scenes", "count": 3}],
        "outliers": {"shapes": 1.0, "known_classes": ["vehicle"]},
        "stages": [{"method": "uem", "steps": 40, "batch": 2, "lr": 0.001, "warmup": 20}],
        "calibration": {"data": [{"dataset": "scenes", "count": 3}]},
        "licence": {"weights": "Apache-2.0"},
        "precision": "bf16",
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(told))
    return path


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_a_commit_trains_as_itself(against: ModuleType, recipe: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    (row,) = against.compare("HEAD", [str(recipe)], str(tiny_bundle), steps=5, pairs=1, folder=folder)
    assert row["ratio"] > 0
    assert row["cpu_ratio"] > 0
    assert row["images_per_second"].keys() == {"old", "new"}
    # Five steps of Adam at the full rate, not at that of a warm-up: every weight moved by up to the sum of the rates.
    assert 0.001 < row["weights"]["change"] < 0.0055
    assert row["weights"]["rms"] < 1e-3
    trees = subprocess.run(["git", "worktree", "list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert str(folder) not in trees


def test_differences_are_shares_of_what_was_learnt(against: ModuleType) -> None:
    start = {"head": torch.zeros(4), "backbone": torch.zeros(4)}
    old = {"head": torch.tensor([3.0, 0, 0, 4]), "backbone": torch.zeros(4)}
    new = {"head": torch.tensor([3.0, 1, 0, 4]), "backbone": torch.ones(4)}
    found = against.differences(start, old, new, ["head"])
    assert found == pytest.approx({"largest": 0.25, "rms": 0.2, "change": 4.0})
