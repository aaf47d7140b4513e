"""`oodseg run` end to end, from the arguments to the files."""

import csv
import json
import math
import re

import numpy as np
import pytest
from bags import image, write_bag
from typer.testing import CliRunner

from oodseg_ros.cli.main import build_app
from oodseg_ros.cli.run import command
from oodseg_ros.errors import UserError
from oodseg_ros.overlay import draw_overlay
from oodseg_ros.replay import offline_run
from oodseg_ros.sources.image_files import write_image


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        write_image(folder / f"{number}.png", np.random.default_rng(number).integers(0, 256, (64, 128, 3), np.uint8))
    return folder


def invoke(*arguments: str):
    return CliRunner().invoke(build_app(["run"]), ["run", *arguments], catch_exceptions=False)


def test_images_to_overlays_and_table(tiny_bundle, images, tmp_path):
    out = tmp_path / "out"
    result = invoke(str(tiny_bundle), str(images), "--out", str(out), "--engine", "torch", "--limit", "2", "--png")
    assert result.exit_code == 0
    assert "2 frames of images" in result.output
    assert "inference" in result.output
    assert "--camera-height METRES" in result.output
    with (out / "alerts.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2
    assert len(list((out / "overlays" / "images").glob("*.png"))) == 2
    assert not (out / "scores").exists()


def test_a_script_gets_json_and_a_quiet_run_says_nothing(tiny_bundle, images, tmp_path):
    words = (str(tiny_bundle), str(images), "--out", str(tmp_path / "out"), "--engine", "torch")
    told = json.loads(invoke(*words, "--json").stdout)
    assert told["frames"] == 3
    assert all(change["file"].endswith(".png") for change in told["changes"])
    assert sum(told["states"]["images"].values()) == 3
    with pytest.raises(UserError, match="earlier run"):
        invoke(*words)
    assert invoke(*words, "--overwrite", "-q").stdout == ""


@pytest.mark.parametrize("limit", [[], ["--limit", "2"]])
def test_ctrl_c_says_that_the_results_are_incomplete(tiny_bundle, images, tmp_path, monkeypatch, limit):
    out, calls = tmp_path / "out", []

    def stop(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return draw_overlay(*arguments)

    monkeypatch.setattr(offline_run, "draw_overlay", stop)
    done = invoke(str(tiny_bundle), str(images), "--out", str(out), "--engine", "torch", *limit, "-q")
    assert done.exit_code == 130
    of = 2 if limit else 3
    assert f"interrupted; the results in {out} are incomplete: 1 of {of} frames" in " ".join(done.output.split())


def test_pictures_that_cannot_be_decoded_are_unknown_in_the_table_and_for_scripts(tiny_bundle, images, tmp_path):
    for number in range(2, 9):
        (images / f"{number}.png").write_bytes(b"torn")
    words = (str(tiny_bundle), str(images), "--out", str(tmp_path / "out"), "--engine", "torch")
    params = tmp_path / "params.yaml"
    params.write_text("/**: {ros__parameters: {health: {input: [], output: []}, obstacles: {threshold: 1e9}}}")
    said = invoke(*words, "--params", str(params)).output
    assert "9 frames of images, 2 judged" in said
    assert re.search(r"images\W+2\W+0\W+7\W", said), "CLEAR, OBSTACLE, UNKNOWN"
    assert "2.png  images  UNKNOWN (decode_failed)" in said
    assert said.count("1 frames skipped") == 5
    assert "and 2 more, 7 in all" in said
    told = json.loads(invoke(*words, "--params", str(params), "--overwrite", "--json").stdout)
    assert (told["frames"], told["judged"], told["states"]["images"]) == (
        9,
        2,
        {"CLEAR": 2, "OBSTACLE": 0, "UNKNOWN": 7},
    )
    changes = [(change["file"], change["state"]) for change in told["changes"]]
    assert changes == [("0.png", "CLEAR"), ("2.png", "UNKNOWN")]
    assert sorted(told["skipped"].values()) == [1] * 7


def test_frames_that_are_refused_are_told_among_all(tiny_bundle, images, tmp_path):
    """The table of states counts them as UNKNOWN, and so did the heading not."""
    write_image(images / "3.png", np.zeros((8, 8, 3), np.uint8))
    words = (str(tiny_bundle), str(images), "--out", str(tmp_path / "out"), "--engine", "torch", "--overwrite")
    assert "4 frames of images, 3 judged" in invoke(*words).output
    told = json.loads(invoke(*words, "--json").stdout)
    assert (told["frames"], told["judged"], sum(told["states"]["images"].values())) == (4, 3, 4)


def test_options_reach_the_run(tiny_bundle, images, tmp_path):
    out = tmp_path / "out"
    mask = np.zeros((64, 128), np.uint8)
    mask[32:] = 255
    write_image(tmp_path / "ego.png", mask)
    arguments = [str(tiny_bundle), str(images), "--out", str(out), "--engine", "torch", "--threshold", "-1e9"]
    arguments += ["--save-scores", "--ego-mask", str(tmp_path / "ego.png"), "--sequence"]
    arguments += ["--camera-height", "1.5", "--camera-pitch", "20", "--fov", "90"]
    # Noise before an untrained network: the gates would refuse both. The threshold is that of the command line.
    params = tmp_path / "params.yaml"
    params.write_text("/**: {ros__parameters: {health: {input: [], output: []}, obstacles: {threshold: 5}}}")
    arguments += ["--params", str(params)]
    assert invoke(*arguments).exit_code == 0
    with (out / "alerts.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["state"] for line in lines] == ["UNKNOWN", "OBSTACLE", "OBSTACLE"]
    assert {line["min_range_m"] for line in lines} == {"0.00"}
    with np.load(out / "scores" / "images" / "000000.npz") as saved:
        assert np.isnan(saved["score"][32:]).all()
        assert np.isfinite(saved["score"][:32]).all()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"input": "none"}, "does not exist"),
        ({"bundle": "none"}, "no bundle"),
        ({"engine": "abacus"}, "unknown engine"),
        ({"topic": ["/camera/image_raw"]}, "no bag"),
        ({"threshold": math.nan}, "threshold"),
        ({"camera_height": -1.0}, "height"),
    ],
)
def test_mistakes_are_sentences(tiny_bundle, images, tmp_path, change, word):
    values = {"bundle": str(tiny_bundle), "input": str(images), "out": tmp_path / "out", "engine": "torch"}
    with pytest.raises(UserError, match=word):
        command(**(values | change))


@pytest.mark.parametrize("command", ["run", "replay", "collect", "compare"])
def test_frames_of_which_none_is_judged_are_no_result(tiny_bundle, tmp_path, command):
    """Each can be decoded and is black: the gate lets none through."""
    dark = {(100 + index) * 10**9: np.full((16, 24), index, np.uint8) for index in range(4)}
    messages = [("/front/image_raw", stamp, image(stamp, picture, "mono8")) for stamp, picture in dark.items()]
    bundles, bag = [str(tiny_bundle)], str(write_bag(tmp_path / "drive", messages))
    words = [*bundles, *bundles, "--bags", bag] if command == "compare" else [*bundles, bag]
    words = [command, *words, "--out", str(tmp_path / "out"), "--engine", "torch"]
    with pytest.raises(UserError, match=r"not one frame was judged: 4 .*front: black"):
        CliRunner().invoke(build_app(words), words, catch_exceptions=False)
