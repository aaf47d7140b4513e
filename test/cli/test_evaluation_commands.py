import json
import shutil
import sys

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli.main import build_app
from oodseg_ros.errors import BundleError, ConfigError, UserError
from oodseg_ros.evaluation.calibration.calibrate import write_calibration
from oodseg_ros.evaluation.metrics.components import TRACKS
from oodseg_ros.evaluation.score_store import ScoreStore
from oodseg_ros.object_rule import Objects, SecondLook, Smaller, SmallLook, Strip
from oodseg_ros.signatures import make_keys, sign_bundle

ENGINE = ["--engine", "torch", "--threads", "1"]


@pytest.fixture
def data(tmp_path):
    for part in ("images", "labels"):
        (tmp_path / "data" / part).mkdir(parents=True)
    for index in range(12):
        rng = np.random.default_rng(index)
        label = np.zeros((64, 96), np.uint8)
        label[10:30, 5 * index : 5 * index + 20] = 1
        cv2.imwrite(
            str(tmp_path / "data" / "images" / f"{index}.png"), rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)
        )
        cv2.imwrite(str(tmp_path / "data" / "labels" / f"{index}.png"), label)
    return tmp_path / "data"


def run(*arguments: object):
    words = [str(argument) for argument in arguments]
    return CliRunner(env={"COLUMNS": "160"}).invoke(build_app(words), words)


def test_evaluate_prints_a_table_and_leaves_three_files(tiny_bundle, data, tmp_path):
    out = tmp_path / "out"
    done = run("evaluate", tiny_bundle, "folder", "--root", data, "--out", out, "--limit", 3, "--check", *ENGINE)
    assert done.exit_code == 0, done.output
    metrics = json.loads((out / "metrics.json").read_text())
    assert f"{100 * metrics['pixel']['AP']:.2f}" in done.output
    assert "largest difference" in done.output
    assert {file.name for file in out.iterdir()} == {"metrics.json", "frames.csv", "report.html"}


def test_a_finished_evaluation_is_not_replaced_in_silence(tiny_bundle, data, tmp_path):
    out = tmp_path / "out"
    words = ["evaluate", tiny_bundle, "folder", "--root", data, "--out", out, "--limit", 2, *ENGINE]
    told = json.loads(run(*words, "--json").stdout)
    assert told["runs"][0]["frames"] == 2
    assert told["runs"][0]["frames_in_dataset"] == 12
    before = (out / "metrics.json").read_bytes()
    again = run(*words)
    assert isinstance(again.exception, UserError)
    assert "--overwrite" in str(again.exception)
    assert (out / "metrics.json").read_bytes() == before
    assert run(*words, "--overwrite", "-q").stdout == ""


def test_two_scores_in_one_call(tiny_bundle, data, tmp_path):
    words = ["evaluate", tiny_bundle, "folder", "--root", data, "--out", tmp_path / "out", "--limit", 2, *ENGINE]
    done = run(*words, "--score", "own", "--score", "entropy")
    assert done.exit_code == 0, done.output
    assert [run["score"] for run in json.loads((tmp_path / "out" / "metrics.json").read_text())["runs"]] == [
        "likelihood_ratio",
        "entropy",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--score", "energy"], "leave out --also and --score"),
        (["--score", "own", "--score", "energy"], "leave out --also and --score"),
        (["--also", "road_lite"], "leave out --also and --score"),
        (["--limit", "2"], "leave out --limit and --coherence"),
        (["--coherence", "0"], "leave out --limit and --coherence"),
    ],
)
def test_what_is_not_the_published_score_on_the_set_is_not_recorded(tiny_bundle, data, tmp_path, words, told):
    """Figures of energy, and those of two frames, took the place of the bundle's own."""
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    done = run("evaluate", copy, "folder", "--root", data, "--out", tmp_path / "out", "--record", *words, *ENGINE)
    assert isinstance(done.exception, ConfigError)
    assert told in str(done.exception)
    assert not (tmp_path / "out").exists()  # said before the work
    assert (copy / "model.yaml").read_bytes() == (tiny_bundle / "model.yaml").read_bytes()


def test_recorded_figures_that_are_replaced_are_told(tiny_bundle, data, tmp_path, monkeypatch):
    copy = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    words = ["evaluate", copy, "folder", "--root", data, "--record", *ENGINE]
    monkeypatch.setattr(sys, "argv", ["oodseg", "evaluate", "all"])
    first = run(*words, "--out", tmp_path / "all", "--score", "own")
    assert first.exit_code == 0, first.output
    assert "replaces" not in first.output
    monkeypatch.setattr(sys, "argv", ["oodseg", "evaluate", "some", "--match", "1*"])
    own = load_bundle(copy).card.network["score"]
    second = run(*words, "--out", tmp_path / "some", "--match", "1*", "--score", own, "-q")
    assert "3 frames of folder; this replaces the figures of: oodseg evaluate all" in second.output
    assert {metric.command for metric in load_bundle(copy).card.metrics} == {"oodseg evaluate some --match '1*'"}


def test_ctrl_c_says_that_the_same_command_goes_on(tiny_bundle, data, tmp_path, monkeypatch):
    words = ["evaluate", tiny_bundle, "folder", "--root", data, "--out", tmp_path / "out", "--limit", 3, *ENGINE]
    put, stored = ScoreStore.put, []

    def stop(store, name, *arguments, **more):
        put(store, name, *arguments, **more)
        stored.append(name)
        if len(stored) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(ScoreStore, "put", stop)
    done = run(*words)
    assert done.exit_code == 130
    assert f"interrupted; the same command goes on with what is in {tmp_path / 'out'}" in done.output
    monkeypatch.undo()
    again = run(*words)
    assert again.exit_code == 0, again.output
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["frames"] == 3


def test_ctrl_c_in_a_replay_says_that_the_results_are_incomplete(tiny_bundle, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("oodseg_ros.replay.run.replay_bags", stop)
    done = run("replay", tiny_bundle, tmp_path, "--out", tmp_path / "out", *ENGINE)
    assert done.exit_code == 130
    assert f"interrupted; the results in {tmp_path / 'out'} are incomplete; --overwrite begins anew" in done.output


def test_frames_that_are_left_out_are_named_and_counted(tiny_bundle, data, tmp_path):
    for index in range(7):
        (data / "images" / f"{index}.png").write_bytes(b"")
    done = run("evaluate", tiny_bundle, "folder", "--root", data, "--out", tmp_path / "out", *ENGINE)
    assert done.exit_code == 0, done.output
    assert "4: " in done.output
    assert "5: " not in done.output
    assert "and 2 frames more were left out, 7 in all" in done.output


def test_help_names_every_track():
    shown = " ".join(run("evaluate", "--help").output.replace("│", " ").split())
    assert f"Component rule: {', '.join(TRACKS)}; default: by dataset" in shown


def test_calibrate_writes_into_the_bundle(tiny_bundle, data, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, copy)
    done = run("calibrate", copy, "folder", "--root", data, "--target", "pixels=0.2", *ENGINE)
    assert done.exit_code == 0, done.output
    calibration = load_bundle(copy).card.calibration
    assert calibration.threshold != load_bundle(tiny_bundle).card.calibration.threshold
    assert "at most 0.2 in expectation" in calibration.source


def test_whatever_changes_the_card_of_a_signed_bundle_signs_it_again_or_says_so(tiny_bundle, data, tmp_path):
    """The old signature lay beside the changed card, and the node called the bundle forged."""
    public = make_keys(tmp_path / "key")
    given = {
        "calibrate": ["folder", "--root", data, "--target", "pixels=0.2"],
        "calibrate-objects": [data / "images", "--false-frames", "0.5", "--grow", "0.5"],
        "evaluate": ["folder", "--root", data, "--record"],
    }
    for command, arguments in given.items():
        for key in ([], ["--key", tmp_path / "key"]):
            copy = shutil.copytree(tiny_bundle, tmp_path / f"{command}{len(key)}")
            sign_bundle(copy, tmp_path / "key")
            out = ["--out", tmp_path / f"out_{command}{len(key)}"] if command == "evaluate" else []
            done = run(command, copy, *arguments, *out, *key, *ENGINE)
            assert done.exit_code == 0, done.output
            assert (f"oodseg sign {copy}" in done.output) is not bool(key), command
            if key:
                load_bundle(copy, str(public))
            else:
                with pytest.raises(BundleError, match="is not signed"):
                    load_bundle(copy, str(public))


@pytest.mark.parametrize("command", ["calibrate", "calibrate-objects", "evaluate"])
def test_a_key_that_is_missing_is_said_before_the_work(tiny_bundle, data, tmp_path, monkeypatch, command):
    """It was said after hours of it; the sources here do not exist, which is told next."""
    public, none = make_keys(tmp_path / "key"), tmp_path / "none"
    given = {
        "calibrate": ["folder", "--root", none, "--target", "pixels=0.2", "--out", tmp_path / "new"],
        "calibrate-objects": [none, "--out", tmp_path / "new"],
        "evaluate": ["folder", "--root", none, "--record", "--out", tmp_path / "out"],
    }[command]
    done = run(command, tiny_bundle, *given, "--key", none, *ENGINE)
    assert f"key {none} cannot be read" in str(done.exception)
    monkeypatch.setenv("OODSEG_PUBLIC_KEY", str(public))
    assert "give the private key with --key" in str(run(command, tiny_bundle, *given, *ENGINE).exception)
    assert not (tmp_path / "new").exists()


def test_what_is_wrong_is_said(tiny_bundle, data, tmp_path):
    for words in (
        ("evaluate", tiny_bundle, "moon", "--root", data, "--out", tmp_path / "out"),
        ("evaluate", tiny_bundle, "folder", "--root", tmp_path / "none", "--out", tmp_path / "out"),
        ("calibrate", tiny_bundle, "folder", "--root", data, "--target", "pixels=0.001", *ENGINE),
        ("replay", tiny_bundle, tmp_path / "none", "--out", tmp_path / "out", *ENGINE),
    ):
        done = run(*words)
        assert isinstance(done.exception, UserError), done.output
        assert len(str(done.exception)) > 30


def test_a_second_look_chosen_anew_says_what_the_one_before_had_more(tiny_bundle, data, tmp_path):
    bundle = load_bundle(tiny_bundle)
    at, ground = bundle.card.calibration.threshold, bundle.labels.names  # random classes: all can be stood on
    small = SmallLook(height=0.06, zoom=2.5, above=at - 1)
    smaller = [Smaller(share=0.01, free=0.5, among=0.5, beside=0.5)]
    rules = {
        "objects": Objects(grow=at - 2, seed=0.5, beside=at, ground=list(range(len(ground))), smaller=smaller),
        "second_look": SecondLook(zoom=1.5, grow=at - 2, above=at - 1, below=at, small=small, strip=Strip()),
    }
    had = write_calibration(bundle, bundle.card.calibration.model_copy(update=rules), tmp_path / "had")
    words = ["calibrate-objects", had.path, data / "images", "--false-frames", 0.5, "--grow", 0.3, "--seed", 0.2]
    words += ["--min-area", 4, *(word for name in ground for word in ("--ground", name)), *ENGINE]
    done = run(*words, "--second-look", 1.5, "--second-look-share", 0.4, "--out", tmp_path / "new")
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "the bounds hold where" not in told
    assert "looked closer at small candidates, now it does not; --second-look 1.5 --small-look 2.5" in told
    assert load_bundle(tmp_path / "new").card.calibration.second_look.small is None
    assert "had a strip for fine cameras, now it has none; --second-look 1.5" in told
    assert load_bundle(tmp_path / "new").card.calibration.second_look.strip is None
    assert "smaller objects needed less in this bundle, now all sizes need the same; --objects CUTOUTS" in told
    kept = run(*words, "--seed", 0.5, "--min-area", 150, "--out", tmp_path / "kept")
    assert kept.exit_code == 0, kept.output
    assert "give it the parameter obstacles.min_area: 150" in " ".join(kept.output.split())
    assert "closer at small" not in kept.output
    assert "had a strip" not in kept.output
    assert load_bundle(tmp_path / "kept").card.calibration.second_look == rules["second_look"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--second-look-share", "0.2"], "say how much larger with --second-look"),
        (["--small-look", "2"], "how much larger all else is seen with --second-look"),
        (["--second-look", "1.5", "--small-look-share", "0.2"], "what --small-look looks at"),
        (["--second-look", "1.5", "--small-look-height", "0.2"], "what --small-look looks at"),
        (["--strip", "2"], "how much larger smaller cameras see with --second-look"),
        (["--second-look", "0", "--strip", "2"], "how much larger smaller cameras see with --second-look"),
        (["--second-look", "1.5", "--strip-height", "0.2"], "the strip that --strip asks for"),
    ],
)
def test_what_belongs_to_a_second_look_is_not_dropped_in_silence(tiny_bundle, data, tmp_path, words, told):
    done = run("calibrate-objects", tiny_bundle, data / "images", *words, "--out", tmp_path / "new", *ENGINE)
    assert isinstance(done.exception, ConfigError)
    assert told in str(done.exception)
    assert not (tmp_path / "new").exists()
