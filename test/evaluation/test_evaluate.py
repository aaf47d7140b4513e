import csv
import dataclasses
import json
import os
import shutil

import cv2
import numpy as np
import pytest

from oodseg_ros.datasets.registry import open_dataset
from oodseg_ros.errors import ConfigError, DatasetError, EngineError
from oodseg_ros.evaluation.evaluate import EvaluationOptions, evaluate
from oodseg_ros.evaluation.frame_pass import Shard
from oodseg_ros.evaluation.metrics.components import ComponentMetrics
from oodseg_ros.evaluation.metrics.pixels import PixelMetrics
from oodseg_ros.evaluation.score_variant import with_score
from oodseg_ros.inference.runner import Runner
from oodseg_ros.object_rule import Objects, SecondLook
from oodseg_ros.pipeline.obstacles.coherent import coherent_score

SAME = (
    "frames",
    "pixel",
    "pixel_rules",
    "component",
    "component_deployed",
    "vehicle",
    "per_image_average",
    "skipped",
    "notes",
)


def same_figures(a: dict, b: dict) -> bool:
    return json.dumps([a[key] for key in SAME]) == json.dumps([b[key] for key in SAME])


def test_figures_are_those_of_the_frames(runner, dataset, tmp_path):
    evaluate(runner, dataset, tmp_path / "out", EvaluationOptions())
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    pixel, component = PixelMetrics(), ComponentMetrics("anomaly")
    for item in dataset.items:
        image, label = dataset.load(item)
        score = runner([image])[0].score
        pixel.update(score, label)
        component.update(score, label)
    expected = pixel.compute()
    for key, value in expected.items():
        assert metrics["pixel"][key] == pytest.approx(value), key
    found = component.compute(expected["best_F1_threshold"])
    for key in ("sIoU", "PPV", "F1"):
        assert metrics["component"][key] == pytest.approx(found[key])
    assert metrics["frames"] == 6
    assert metrics["bundle"] == runner.bundle.id
    assert metrics["engine"] == runner.engine_identity
    assert metrics["seconds"] > 0
    assert metrics["component_deployed"]["threshold"] == runner.bundle.card.calibration.threshold
    for key in ("component", "component_deployed"):
        assert sum(row[1] for row in metrics[key]["recall_by_size"]) == metrics[key]["truth_components"] == 4
    assert metrics["per_image_average"]["frames"] == 4
    assert metrics["provenance"]["bundle"].endswith(f"{runner.bundle.weights_hash})")
    with (tmp_path / "out" / "frames.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["frame"] for row in rows] == [item.id for item in dataset.items]
    assert rows[4]["AP"] == rows[5]["AP"] == "nan"
    assert not (tmp_path / "out" / "state").exists()


def test_figures_of_pixels_are_of_the_coherent_score_and_those_of_objects_are_not(coherent, dataset, tmp_path):
    found = evaluate(coherent, dataset, tmp_path / "out", EvaluationOptions(keep_scores=True)).metrics
    own = evaluate(coherent, dataset, tmp_path / "own", EvaluationOptions(coherence=0)).metrics
    assert (found["coherence"], own["coherence"]) == (0.5, 0)
    pixel, plain = PixelMetrics(), PixelMetrics()
    for item in dataset.items:
        image, label = dataset.load(item)
        score = coherent([image])[0].score
        pixel.update(coherent_score(score, coherent.bundle.card.calibration.objects, 100), label)
        plain.update(score, label)
    for metrics, expected in ((found, pixel), (own, plain)):
        for key, value in expected.compute().items():
            assert metrics["pixel"][key] == pytest.approx(value), key
    assert found["pixel"]["AP"] != own["pixel"]["AP"]
    for key in ("vehicle", "component_deployed"):
        same = [metrics[key] | {"rule": None} for metrics in (found, own)]
        assert json.dumps(same[0]) == json.dumps(same[1])
    with pytest.raises(DatasetError, match="differs in coherence"):
        evaluate(coherent, dataset, tmp_path / "out", EvaluationOptions(coherence=0))
    for rank in (1, 0):
        merged = evaluate(coherent, dataset, tmp_path / "shards", EvaluationOptions(shard=Shard(rank, 2)))
    assert same_figures(merged.metrics, found)


def test_figures_of_pixels_are_of_the_greater_of_two_looks_and_those_of_objects_of_their_mean(
    runner, dataset, tmp_path
):
    objects = Objects(grow=-1e3, seed=0.01, beside=1e3, ground=[])
    look = SecondLook(zoom=1.5, grow=-1e3, above=-1e3, below=1e3)  # nearly everything is in doubt
    card = runner.bundle.card.calibration.model_copy(update={"objects": objects, "second_look": look})
    bundle = dataclasses.replace(runner.bundle, card=runner.bundle.card.model_copy(update={"calibration": card}))
    twice = Runner.load(bundle, engine="torch", threads=1)
    done = evaluate(twice, dataset, tmp_path / "out", EvaluationOptions(keep_scores=True))
    found, pixel = done.metrics, PixelMetrics()
    for name, item in zip(done.own.names(), dataset.items, strict=True):
        image, label = dataset.load(item)
        prediction = twice([image])[0]
        assert (prediction.published > prediction.score).any()
        np.testing.assert_array_equal(done.own.get(name)[0], prediction.score)
        pixel.update(prediction.published, label)
    for key, value in pixel.compute().items():
        assert found["pixel"][key] == pytest.approx(value), key


def test_other_scores_are_not_made_coherent(coherent, runner, dataset, tmp_path):
    energy = Runner.load(with_score(coherent.bundle, "energy"), engine="torch", threads=1)
    assert evaluate(energy, dataset, tmp_path / "energy", EvaluationOptions(coherence=0.3)).metrics["coherence"] == 0
    with pytest.raises(ConfigError, match="no rule of objects"):
        evaluate(runner, dataset, tmp_path / "out", EvaluationOptions(coherence=0.3))
    assert evaluate(runner, dataset, tmp_path / "out", EvaluationOptions(coherence=0)).metrics["coherence"] == 0


class Interrupted(Exception):
    pass


def test_an_interrupted_run_resumes_with_equal_figures(runner, dataset, tmp_path):
    whole = evaluate(runner, dataset, tmp_path / "whole", EvaluationOptions())
    seen = []

    def stop(stage: str, done: int, total: int) -> None:
        seen.append((stage, done))
        if (stage, done) == ("network", 4):
            raise Interrupted

    with pytest.raises(Interrupted):
        evaluate(runner, dataset, tmp_path / "out", EvaluationOptions(workers=1), stop)
    stored = {file: file.stat().st_mtime_ns for file in (tmp_path / "out" / "state" / "scores").glob("*.npz")}
    assert 2 <= len(stored) <= 4
    seen.clear()
    options = EvaluationOptions(keep_scores=True)
    resumed = evaluate(runner, dataset, tmp_path / "out", options, lambda stage, done, _: seen.append((stage, done)))
    assert seen[0] == ("network", len(stored))
    assert all(file.stat().st_mtime_ns == time for file, time in stored.items())
    assert same_figures(resumed.metrics, whole.metrics)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not all of it"])
def test_a_damaged_score_map_is_made_again(runner, dataset, tmp_path, damage):
    options = EvaluationOptions(keep_scores=True)
    first = evaluate(runner, dataset, tmp_path, options)
    file = sorted((tmp_path / "state" / "scores").glob("*.npz"))[2]
    file.write_bytes(damage)
    assert same_figures(evaluate(runner, dataset, tmp_path, options).metrics, first.metrics)


def test_a_folder_of_another_run_is_refused(runner, dataset, tmp_path):
    evaluate(runner, dataset, tmp_path, EvaluationOptions(keep_scores=True))
    with pytest.raises(DatasetError, match="differs in items"):
        evaluate(runner, dataset, tmp_path, EvaluationOptions(limit=2))
    card = runner.bundle.card
    rule = SecondLook(zoom=1.5, grow=0, above=0, below=1)
    more = {"objects": Objects(grow=0, seed=0.5, beside=1), "second_look": rule}
    card = card.model_copy(update={"calibration": card.calibration.model_copy(update=more)})
    twice = Runner.load(dataclasses.replace(runner.bundle, card=card), engine="torch")
    with pytest.raises(DatasetError, match="differs in second_look"):
        evaluate(twice, dataset, tmp_path, EvaluationOptions(keep_scores=True))
    assert evaluate(twice, dataset, tmp_path / "twice", EvaluationOptions()).metrics["second_look"] == rule.model_dump()


def test_an_unfinished_run_goes_on_only_with_the_same_data_and_options(runner, folder, tmp_path):
    """Frames of another root were mixed in, corrected labels and dropped options went unnoticed."""
    out, options = tmp_path / "out", EvaluationOptions(keep_scores=True)
    evaluate(runner, open_dataset("folder", folder), out, options)
    shutil.copytree(folder, tmp_path / "other")
    shutil.copytree(folder, folder / "test")
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    for dataset, told in (
        (open_dataset("folder", tmp_path / "other"), "differs in root"),
        (open_dataset("folder", folder, "test"), "differs in split"),
        (open_dataset("folder", folder, labels="driving11"), "differs in labels"),
        (open_dataset("folder", folder, labels="driving11", unknown=254), "differs in labels"),
    ):
        with pytest.raises(DatasetError, match=f"{told}.*; choose another --out, or delete that folder"):
            evaluate(runner, dataset, out, options)
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("part", ["images", "labels"])
def test_a_file_that_changed_since_is_named(runner, folder, tmp_path, part):
    options = EvaluationOptions(keep_scores=True)
    evaluate(runner, open_dataset("folder", folder), tmp_path / "out", options)
    file = folder / part / "frame3.png"
    again = file.stat()
    os.utime(file, ns=(again.st_atime_ns, again.st_mtime_ns + 1))
    with pytest.raises(DatasetError, match=r"differs in files \(changed since: frame3\)"):
        evaluate(runner, open_dataset("folder", folder), tmp_path / "out", options)
    os.utime(file, ns=(again.st_atime_ns, again.st_mtime_ns))
    evaluate(runner, open_dataset("folder", folder), tmp_path / "out", options)
    file.unlink()
    with pytest.raises(DatasetError, match="differs in"):
        evaluate(runner, open_dataset("folder", folder), tmp_path / "out", options)


def test_shards_in_any_order_give_equal_figures(runner, dataset, tmp_path):
    single = evaluate(runner, dataset, tmp_path / "single", EvaluationOptions())
    for rank in (2, 1):
        assert evaluate(runner, dataset, tmp_path / "out", EvaluationOptions(shard=Shard(rank, 3))) is None
        assert not (tmp_path / "out" / "metrics.json").exists()
    merged = evaluate(runner, dataset, tmp_path / "out", EvaluationOptions(shard=Shard(0, 3)))
    assert same_figures(merged.metrics, single.metrics)
    strip = [{k: v for k, v in row.items() if k != "milliseconds"} for row in merged.figures.rows]
    assert json.dumps(strip) == json.dumps(
        [{k: v for k, v in row.items() if k != "milliseconds"} for row in single.figures.rows]
    )


def test_bad_frames_are_named_and_the_rest_is_evaluated(runner, folder, tmp_path):
    (folder / "images" / "frame0.png").write_bytes(b"no image")
    cv2.imwrite(str(folder / "labels" / "frame1.png"), np.zeros((10, 10), np.uint8))
    cv2.imwrite(str(folder / "labels" / "frame2.png"), np.full((64, 128), 7, np.uint8))
    found = evaluate(runner, open_dataset("folder", folder), tmp_path / "out", EvaluationOptions())
    assert set(found.metrics["skipped"]) == {"frame0", "frame1", "frame2"}
    assert "7" in found.metrics["skipped"]["frame2"]
    assert found.metrics["frames"] == 3
    assert "3 of 6 frames" in found.metrics["notes"][0]


def test_frames_without_ground_truth_are_never_scored(runner, folder, tmp_path):
    (folder / "labels" / "frame3.png").unlink()
    found = evaluate(runner, open_dataset("folder", folder), tmp_path / "out", EvaluationOptions())
    assert found.metrics["frames"] == 5
    assert "no ground truth" in found.metrics["skipped"]["frame3"]


def test_no_anomaly_and_nothing_readable(runner, folder, tmp_path):
    for file in (folder / "labels").iterdir():
        cv2.imwrite(str(file), np.zeros((64, 128), np.uint8))
    found = evaluate(runner, open_dataset("folder", folder), tmp_path / "out", EvaluationOptions())
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["pixel"]["AP"] is None
    assert any("not defined" in note for note in found.metrics["notes"])
    for file in (folder / "images").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DatasetError, match="no frame of folder could be evaluated"):
        evaluate(runner, open_dataset("folder", folder), tmp_path / "none", EvaluationOptions())


def test_a_frame_without_any_label_lowers_no_mean(runner, folder, tmp_path):
    for index, file in enumerate(sorted((folder / "labels").iterdir())):
        cv2.imwrite(str(file), np.full((64, 128), 255 if index == 2 else 0, np.uint8))
    dataset = open_dataset("folder", folder, labels="driving11")
    found = evaluate(runner, dataset, tmp_path / "out", EvaluationOptions())
    rows = [row["pixel_accuracy"] for row in found.figures.rows]
    assert np.isnan(rows.pop(2))
    mean = found.metrics["per_image_average"]
    assert (mean["frames"], mean["pixel_accuracy"]) == (5, pytest.approx(np.mean(rows)))


def test_class_labels(runner, folder, tmp_path):
    for index, file in enumerate(sorted((folder / "labels").iterdir())):
        cv2.imwrite(str(file), np.random.default_rng(index).integers(0, 11, (64, 128), dtype=np.uint8))
    dataset = open_dataset("folder", folder, labels="driving11")
    found = evaluate(runner, dataset, tmp_path / "out", EvaluationOptions())
    assert 0 <= found.metrics["semantic"]["mIoU"] < 0.3
    assert list(found.metrics["semantic"]["IoU"]) == list(runner.bundle.labels.names)
    assert "pixel" not in found.metrics


def test_classes_finer_than_the_datasets(runner, folder, tmp_path):
    """driving11 cannot be had from a coarser set, but predictions can be brought into it."""
    coarse = tmp_path / "coarse.yaml"
    classes = "".join(f"  - {{name: c{k}, color: [{k}, 0, 0]}}\n" for k in range(3))
    mapping = ", ".join(f"{k}: {k % 3}" for k in range(10))  # class 10 has no place there
    coarse.write_text(f"name: coarse\nclasses:\n{classes}from:\n  driving11: {{{mapping}}}\n")
    images = sorted((folder / "images").iterdir())
    lost = 0
    for image, label in zip(images, sorted((folder / "labels").iterdir()), strict=True):
        predicted = runner([cv2.imread(str(image))[..., ::-1]])[0].labels
        lost += int((predicted == 10).sum())
        cv2.imwrite(str(label), np.where(predicted == 10, 0, predicted % 3).astype(np.uint8))
    dataset = open_dataset("folder", folder, labels=str(coarse))
    found = evaluate(runner, dataset, tmp_path / "out", EvaluationOptions())
    semantic = found.metrics["semantic"]
    assert list(semantic["IoU"]) == ["c0", "c1", "c2"]
    assert semantic["pixel_accuracy"] == pytest.approx(1 - lost / semantic["pixels"])


def test_wrong_options():
    with pytest.raises(ConfigError, match="track"):
        EvaluationOptions(track="lane")
    with pytest.raises(ConfigError, match="RANK"):
        Shard(3, 3)


def test_an_engine_of_another_size_refuses_and_leaves_nothing(runner, dataset, tmp_path):
    class Built:
        identity = "built-for-one-size"

        def compile(self, batch, height, width):
            raise EngineError(f"no engine for {width}x{height}; run: oodseg build")

    with pytest.raises(EngineError, match="run: oodseg build"):
        evaluate(Runner(runner.bundle, Built()), dataset, tmp_path / "out", EvaluationOptions())
    assert not (tmp_path / "out").exists()  # else the next try would be "another run"
