import json
import math
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import BundleError, ConfigError, EngineError
from oodseg_ros.evaluation.evaluate import EvaluationOptions
from oodseg_ros.evaluation.evaluate_many import evaluate_many, folder_name
from oodseg_ros.evaluation.score_variant import in_one_pass, with_score
from oodseg_ros.inference.engines.torch import TorchEngine
from oodseg_ros.inference.golden_check import check_exact
from oodseg_ros.inference.runner import Runner

ENGINE = {"engine": "torch", "threads": 1}


def test_two_scores_give_one_table_and_a_report_each(tiny_bundle, dataset, tmp_path):
    found = evaluate_many(
        [str(tiny_bundle)], ["own", "energy"], dataset, tmp_path, EvaluationOptions(limit=4), runner=ENGINE, check=True
    )
    runs = json.loads((tmp_path / "metrics.json").read_text())["runs"]
    assert [run["score"] for run in runs] == ["likelihood_ratio", "energy"]
    assert runs[0]["pixel"]["AP"] != runs[1]["pixel"]["AP"]
    assert "component_deployed" in runs[0]
    assert "component_deployed" not in runs[1]  # the threshold in the bundle is not for this score
    page = (tmp_path / "report.html").read_text()
    links = re.findall(r'href="([^"]+)"', page)
    assert len(links) == 2
    for link in links:
        report = (tmp_path / link).read_text()
        assert "Provenance" in report
        assert report.count("<figure>") >= 6
    for run in runs:
        assert run["check"]["largest_difference"] < 1e-9
        assert not math.isnan(run["pixel"]["AP"])
    assert len(found) == 2
    assert not list(tmp_path.glob("**/state"))


def test_several_scores_are_those_of_separate_runs_from_one_call_of_the_engine_a_frame(
    tiny_bundle, dataset, tmp_path, monkeypatch
):
    ran: list[bytes] = []
    frames = sorted(dataset.load(item)[0].tobytes() for item in dataset.items)
    compile = TorchEngine.compile

    def counted(self, *shape):
        run = compile(self, *shape)
        return lambda batch: ran.extend(image.tobytes() for image in batch) or run(batch)

    monkeypatch.setattr(TorchEngine, "compile", counted)
    asked = ["energy", "own", "entropy", "max_logit"]
    options = EvaluationOptions()

    def metrics(scores: list[str], out: Path) -> list[dict]:
        ran.clear()
        found = evaluate_many([str(tiny_bundle)], scores, dataset, out, options, runner=ENGINE)
        return [evaluation.metrics for evaluation in found]

    found = metrics(asked, tmp_path / "together")
    assert sorted(image for image in ran if image in frames) == frames
    separate = [metrics([score], tmp_path / score)[0] for score in asked]
    assert [run["score"] for run in found] == ["energy", "likelihood_ratio", "entropy", "max_logit"]

    def figures(run: dict) -> str:
        timed = ("latency_ms", "seconds", "provenance", "notes")
        return json.dumps({key: value for key, value in run.items() if key not in timed})  # NaN is equal to NaN in text

    for one, alone in zip(found, separate, strict=True):
        assert figures(one) == figures(alone)
        folder = tmp_path / "together" / folder_name(one["bundle"])
        assert json.loads((folder / "metrics.json").read_text())["score"] == one["score"]
        assert "4 scores came from one pass" in " ".join(one["notes"])


@pytest.mark.parametrize("engine", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_every_score_of_a_pass_is_held_against_the_golden_frame(tiny_bundle, engine):
    bundle = load_bundle(tiny_bundle)
    variants = [with_score(bundle, score) for score in ("energy", None, "entropy")]
    ((together, ordered),) = in_one_pass(variants)
    assert [one.id for one in ordered] == [variants[1].id, variants[0].id, variants[2].id]
    image = bundle.golden()["image"]
    several = Runner.load(together, engine=engine, threads=1).every_score(image)
    for one, prediction in zip(ordered, several, strict=True):
        (alone,) = Runner.load(one, engine=engine, threads=1)([image])
        assert np.abs(alone.score - prediction.score).max() < 1e-4
        assert np.array_equal(alone.labels, prediction.labels)
    golden = together.golden()
    golden["score"][2] += 1.0
    wrong = SimpleNamespace(golden=lambda: golden, card=bundle.card, id="wrong")
    run = Runner.load(together, engine=engine, threads=1)._engine.compile(1, *image.shape[:2])
    with pytest.raises(EngineError, match="does not reproduce"):
        check_exact(wrong, run, "engine", 1e-3)


def test_what_perturbs_the_image_runs_by_itself_and_other_bundles_too(tiny_bundle):
    bundle = load_bundle(tiny_bundle)
    scores = ["odin", None, "energy"]
    runs = in_one_pass([with_score(bundle, score) for score in scores])
    assert [[one.card.network["score"] for one in answered] for _, answered in runs] == [
        ["odin"],
        ["likelihood_ratio", "energy"],
    ]


def test_other_scores_of_a_built_engine_are_refused_in_words(tiny_bundle, dataset, tmp_path):
    asked = {"engine": "openvino", "precision": "bf16"}
    with pytest.raises(ConfigError, match="--precision fp32 and --engine torch or --engine openvino"):
        evaluate_many([str(tiny_bundle)], ["own", "energy"], dataset, tmp_path, EvaluationOptions(), runner=asked)


def test_a_coherence_of_nothing_but_other_scores_is_refused(tiny_bundle, dataset, tmp_path):
    options = EvaluationOptions(coherence=0.3)
    with pytest.raises(ConfigError, match="--coherence is of a bundle's own score"):
        evaluate_many([str(tiny_bundle)], ["energy"], dataset, tmp_path / "out", options, runner=ENGINE)
    assert not (tmp_path / "out").exists()


def test_two_bundles_of_the_same_weights_are_not_taken_for_one(tiny_bundle, dataset, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(tiny_bundle, other)
    asked = [str(tiny_bundle), str(other)]
    with pytest.raises(ConfigError, match=r"have the same name and weights.*evaluate each by itself"):
        evaluate_many(asked, ["own"], dataset, tmp_path / "out", EvaluationOptions(), runner=ENGINE)
    assert not (tmp_path / "out").exists()
    link = tmp_path / "link"
    link.symlink_to(tiny_bundle)
    asked = [str(tiny_bundle), str(link)]
    assert len(evaluate_many(asked, ["own"], dataset, tmp_path / "out", EvaluationOptions(), runner=ENGINE)) == 1


def test_several_runs_resume_as_one(tiny_bundle, dataset, tmp_path):
    # odin runs the network by itself.
    options, asked = EvaluationOptions(limit=2), ["own", "energy", "odin"]
    done = []

    def stop(stage: str, count: int, total: int) -> None:
        done.append((stage.split()[-1], count))
        if len(done) > 1 and done[-1] == ("network", 1) and done.count(("network", 0)) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_many([str(tiny_bundle)], asked, dataset, tmp_path, options, runner=ENGINE, progress=stop)
    done.clear()

    def note(stage: str, count: int, total: int) -> None:
        done.append((stage.split()[-1], count))

    evaluate_many([str(tiny_bundle)], asked, dataset, tmp_path, options, runner=ENGINE, progress=note)
    assert done[0] == ("network", 2)  # all frames of the first run were still there
    assert len(json.loads((tmp_path / "metrics.json").read_text())["runs"]) == 3


def test_submission_holds_every_frame_as_float16(tiny_bundle, dataset, tmp_path):
    h5py = pytest.importorskip("h5py", reason="the submission format needs h5py")
    evaluate_many([str(tiny_bundle)], ["own"], dataset, tmp_path, EvaluationOptions(), runner=ENGINE, submission=True)
    runner = Runner.load(tiny_bundle, **ENGINE)
    assert len(list((tmp_path / "submission").iterdir())) == len(dataset.items)
    for item in dataset.items:
        with h5py.File(tmp_path / "submission" / f"{item.id}.hdf5") as stream:
            value = stream["value"][()]
        assert value.dtype == np.float16
        assert np.array_equal(value, runner([dataset.load(item)[0]])[0].score.astype(np.float16))


@pytest.mark.parametrize("engine", ["torch", pytest.param("openvino", marks=pytest.mark.slow)])
def test_a_variant_scores_the_same_classes_and_is_held_against_its_own_golden_frame(tiny_bundle, engine):
    bundle = load_bundle(tiny_bundle)
    variant = with_score(bundle, "max_softmax")
    assert variant.id == f"{bundle.id}:max_softmax"
    own, other = (Runner.load(each, engine=engine, threads=1) for each in (bundle, variant))
    image = bundle.golden()["image"]
    (a,), (b,) = own([image]), other([image])
    assert np.array_equal(a.labels, b.labels)
    assert b.score.min() >= 0
    assert b.score.max() <= 1
    assert with_score(bundle, None) is with_score(bundle, "likelihood_ratio") is bundle
    with pytest.raises(BundleError, match="not 'novelty'"):
        with_score(bundle, "novelty")
