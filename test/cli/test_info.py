from typer.testing import CliRunner

from oodseg_ros.bundle import load_bundle
from oodseg_ros.cli.main import build_app


def test_card_and_network_are_shown(tiny_bundle):
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(build_app(["info"]), ["info", str(tiny_bundle)]).output
    bundle = load_bundle(tiny_bundle)
    assert bundle.id in shown
    for word in ("efficientnet_lite", "fpn", "uem", "likelihood_ratio", "driving11", "road", "Apache-2.0", "a test"):
        assert word in shown
    assert f"{sum(p.numel() for p in bundle.segmentor().parameters()):,}" in shown
    assert "no metrics in the card" in shown


def test_image_size_is_an_option(tiny_bundle):
    arguments = ["info", str(tiny_bundle), "--width", "64", "--height", "64"]
    shown = CliRunner(env={"COLUMNS": "160"}).invoke(build_app(["info"]), arguments).output
    assert "network at 64x64 (image 64x64)" in shown
