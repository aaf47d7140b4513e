"""Recording figures in a bundle's card."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oodseg_ros.bundle import load_bundle
from oodseg_ros.evaluation.results import _portable, record_metrics


def metrics(value: float, command: str) -> dict:
    return {"pixel": {"AP": value, "FPR95": float("nan")}, "provenance": {"command": command}}


def test_figures_stand_beside_their_command(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))
    monkeypatch.setenv("OODSEG_DATA", "/some/where/")
    record_metrics(copy, "one", metrics(0.5, "oodseg evaluate b d --root /some/where/set"))
    record_metrics(copy, "two", metrics(0.7, "two"))
    bundle = record_metrics(copy, "one", metrics(0.6, "oodseg evaluate b d --root /some/where/set"))
    found = {(metric.data, metric.name): metric for metric in bundle.card.metrics}
    assert set(found) == {("one", "AP"), ("two", "AP")}
    assert found["one", "AP"].value == 0.6
    assert found["one", "AP"].command.endswith("--root $OODSEG_DATA/set")
    assert bundle.id == load_bundle(tiny_bundle).id


def test_what_a_vehicle_gets_is_recorded_too(tiny_bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "copy"))
    told = metrics(0.5, "evaluate") | {"vehicle": {"found": 0.25, "fragments_per_object": float("nan"), "objects": 4}}
    found = {metric.name: metric.value for metric in record_metrics(copy, "one", told).card.metrics}
    assert found == {"AP": 0.5, "found": 0.25}


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("oodseg evaluate /home/me/b folder --root /home/me/secret/set", "oodseg evaluate b folder --root set"),
        ("oodseg evaluate b folder --root=../up/set --limit 3", "oodseg evaluate b folder --root=set --limit 3"),
        ("oodseg evaluate b x --root '/home/me/my set'", "oodseg evaluate b x --root 'my set'"),
        ("oodseg evaluate b camvid --root /data/x/camvid", "oodseg evaluate b camvid --root $OODSEG_DATA/camvid"),
        ("oodseg evaluate road_lite camvid --root out/set", "oodseg evaluate road_lite camvid --root out/set"),
    ],
)
def test_a_card_tells_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch, command: str, told: str) -> None:
    monkeypatch.setenv("OODSEG_DATA", "/data/x/")
    assert _portable(command) == told
