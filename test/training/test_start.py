"""Where training starts from: bundles, files, transformers; and what is said when it does not fit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from oodseg_ros.errors import ConfigError
from oodseg_ros.networks.build import build_segmentor
from oodseg_ros.training.start import load_start

PARTS = ("backbone", "decoder", "classifier", "head")
TINY = {
    "backbone": {"name": "efficientnet_lite", "variant": 0},
    "decoder": {"name": "fpn", "channels": 16},
    "classifier": {"name": "linear", "classes": 11},
    "head": {"name": "uem", "levels": [1, 2], "hidden": 16, "width": 16},
    "score": "likelihood_ratio",
}
SWIN = {
    "backbone": {"name": "swin", "width": 24, "depths": [1, 1, 1, 1], "heads": [1, 2, 4, 8]},
    "decoder": {"name": "fpn", "channels": 8},
    "classifier": {"name": "linear", "classes": 11},
    "head": None,
    "score": "energy",
}


def recipe(start: str, network: dict = TINY, parts: tuple[str, ...] = PARTS) -> SimpleNamespace:
    given = {"start": str(start), "start_parts": parts, "network": network}
    return SimpleNamespace(name="mine", start_members=[], stages=["one"], **given)


def test_a_bundle_gives_all_that_fits(tiny_bundle: Path) -> None:
    torch.manual_seed(5)
    segmentor = build_segmentor(TINY)
    assert load_start(segmentor, recipe(tiny_bundle)).endswith("backbone, decoder, classifier, head")
    other = build_segmentor(TINY)
    load_start(other, recipe(tiny_bundle))
    for key, value in segmentor.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


def test_a_backbone_without_its_last_stage_starts_as_one_that_is_whole(tiny_bundle: Path) -> None:
    network = {**TINY, "backbone": {**TINY["backbone"], "stages": 6}}
    short, whole = build_segmentor(network), build_segmentor(TINY)
    load_start(whole, recipe(tiny_bundle))
    assert load_start(short, recipe(tiny_bundle, network, ("backbone",))).endswith("backbone")
    for key, value in short.backbone.state_dict().items():
        assert torch.equal(value, whole.backbone.state_dict()[key]), key
    with pytest.raises(ConfigError, match=r"lateral\.3\.weight is \(16, 320.*this network has \(16, 192"):
        load_start(short, recipe(tiny_bundle, network))


def test_packaged_weights_are_not_for_narrow_blocks() -> None:
    narrow = {**TINY["backbone"], "hidden": [block.hidden - 1 for block in build_segmentor(TINY).backbone._blocks]}
    network = {**TINY, "backbone": narrow}
    with pytest.raises(ConfigError, match="give a narrowed bundle as `start`"):
        load_start(build_segmentor(network), recipe("", network))


def test_another_head_starts_fresh(tiny_bundle: Path) -> None:
    network = {**TINY, "head": {**TINY["head"], "hidden": 8}}
    assert load_start(build_segmentor(network), recipe(tiny_bundle, network)).endswith("backbone, decoder, classifier")


def test_a_head_can_be_left_out(tiny_bundle: Path) -> None:
    assert "head" not in load_start(build_segmentor(TINY), recipe(tiny_bundle, parts=PARTS[:3]))


def test_what_does_not_fit_is_listed(tiny_bundle: Path) -> None:
    network = {**TINY, "decoder": {"name": "fpn", "channels": 8}}
    segmentor = build_segmentor(network)
    with pytest.raises(ConfigError, match=r"decoder of .* lateral\.0\.weight is \(16, .*this network has \(8,.*more"):
        load_start(segmentor, recipe(tiny_bundle, network))
    load_start(segmentor, recipe(tiny_bundle, network, ("backbone",)))


def test_a_file_of_a_backbone_alone(tmp_path: Path) -> None:
    source = build_segmentor(SWIN)
    save_file(source.backbone.state_dict(), str(tmp_path / "swin.safetensors"))
    target = build_segmentor(SWIN)
    load_start(target, recipe(tmp_path / "swin.safetensors", SWIN))
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(target.backbone.state_dict()[key], value)


def test_transformers_weights_from_a_folder(tmp_path: Path) -> None:
    source = build_segmentor(SWIN)
    source.backbone.model.save_pretrained(tmp_path / "swin")
    target = build_segmentor(SWIN)
    assert load_start(target, recipe(f"transformers:{tmp_path / 'swin'}", SWIN)).startswith("backbone")
    for key, value in source.backbone.state_dict().items():
        assert torch.equal(target.backbone.state_dict()[key], value)


@pytest.mark.parametrize(
    ("start", "network", "sentence"),
    [
        ("no_such_bundle", TINY, "no bundle and no weights file"),
        ("transformers:/no/such/folder", SWIN, "huggingface-cli download"),
        ("transformers:some/name", TINY, "is not of transformers"),
        ("$OODSEG_SURELY_NOT_SET/x", TINY, "set the environment variable"),
    ],
)
def test_what_is_not_there(start: str, network: dict, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=sentence):
        load_start(build_segmentor(network), recipe(start, network))


def test_the_folder_that_a_variable_stands_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_BASES", str(tmp_path))
    with pytest.raises(ConfigError, match=rf"at '\$SOME_BASES/x' \({tmp_path}/x\); give"):
        load_start(build_segmentor(TINY), recipe("$SOME_BASES/x"))


def test_a_member_that_does_not_fit_is_of_start_members() -> None:
    member = {"decoder": TINY["decoder"], "head": {"name": "learnable_uncertainty"}, "score": "learnable_uncertainty"}
    network = {**TINY, "head": {"name": "ensemble", "members": [member]}, "score": "mean_standardized"}
    wanted = recipe("", network)
    wanted.start_members = [SimpleNamespace(member=0, bundle="road_lite")]
    with pytest.raises(ConfigError) as error:
        load_start(build_segmentor(network), wanted)
    said = str(error.value)
    assert said.startswith("start_members: head.members.0.decoder of road_lite does not fit this recipe's network: ")
    assert "`network.head.members[0].decoder`" in said
    assert said.endswith("or name another bundle for member 0 in `start_members`, or none")
    assert "start_parts" not in said


def test_without_a_start_other_networks_stay_random() -> None:
    assert "random weights" in load_start(build_segmentor(SWIN), recipe("", SWIN))
