import json
import math
import re

import numpy as np
import pytest

from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import BundleError
from oodseg_ros.evaluation.evaluate import EvaluationOptions
from oodseg_ros.evaluation.evaluate_many import evaluate_many
from oodseg_ros.evaluation.score_variant import with_score
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


def test_several_runs_resume_as_one(tiny_bundle, dataset, tmp_path):
    options, asked = EvaluationOptions(limit=2), ["own", "energy"]
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
    assert len(json.loads((tmp_path / "metrics.json").read_text())["runs"]) == 2


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
