import json

from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli.main import build_app
from oodseg_ros.paths import models_dir


def test_card_and_network_are_shown(tiny_bundle):
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(build_app(["info"]), ["info", str(tiny_bundle)]).output
    bundle = load_bundle(tiny_bundle)
    assert bundle.id in shown
    for word in ("efficientnet_lite", "fpn", "uem", "likelihood_ratio", "driving11", "road", "Apache-2.0", "a test"):
        assert word in shown
    assert f"{sum(p.numel() for p in bundle.segmentor().parameters()):,}" in shown
    assert "no metrics in the card" in shown
    assert "no table: only hits alert" in shown


def test_what_a_script_gets(tiny_bundle):
    done = CliRunner().invoke(build_app(["info"]), ["info", str(tiny_bundle), "--json"])
    told = json.loads(done.output)
    assert told["card"]["name"] == "tiny"
    assert told["signed"] is False


def test_training_tells_what_differs_from_a_recipes_defaults():
    told = json.loads(CliRunner().invoke(build_app(["info"]), ["info", "road_lite", "--json"]).output)
    whole, differs = told["card"]["training"]["recipe"], told["training_differs"]["recipe"]
    assert "mirror" in whole["augment"]
    assert differs["augment"] == {"enlarge": 2.8}
    assert differs["stages"][0]["steps"] == whole["stages"][0]["steps"]
    assert "loss_stride" in whole["stages"][0]
    assert len(str(differs)) < len(str(whole)) / 2


def test_shipped_bundles_tell_their_figures_and_how_they_were_measured():
    """README and docs send people here for them, and the card had none."""
    for folder in sorted(path for path in models_dir().iterdir() if path.is_dir()):
        shown = CliRunner(env={"COLUMNS": "200"}).invoke(build_app(["info"]), ["info", folder.name]).output
        metrics = load_bundle(folder.name).card.metrics
        assert {metric.name for metric in metrics} >= {"AP", "FPR95"}
        for metric in metrics:
            assert f"{metric.value:.4g}" in shown
            assert metric.command.startswith("oodseg evaluate")
        assert "no metrics in the card" not in shown


def test_image_size_is_an_option(tiny_bundle):
    arguments = ["info", str(tiny_bundle), "--width", "64", "--height", "64"]
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(build_app(["info"]), arguments).output
    assert "network at 64x64 (image 64x64)" in shown
