from __future__ import annotations

from pathlib import Path

import pytest
import released_deeplab as released
import torch
from released_tensors import meta_state, random_state

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing import multishiftseg, rpl
from oodseg_ros.importing.imported import build_checked
from oodseg_ros.importing.kinds import read_imported

DIVISOR = 16
ANY = Path("file.pth")


def rpl_layout(divisor: int = 1, projector: bool = True) -> dict:
    return released.prefixed(
        "branch1.", released.deeplab_layout(divisor) | released.residual_layout(divisor, projector)
    )


@pytest.mark.data
@pytest.mark.parametrize(("name", "projector"), [("rpl_checkpoint", True), ("rpl_checkpoint_no_projector", False)])
def test_released_rpl_files_have_this_layout_and_become_the_papers_network(layout, name, projector):
    assert rpl_layout(projector=projector) == layout(name)
    imported = rpl.interpret(meta_state(layout(name)), ANY)
    assert imported.unknown == ()
    assert len(imported.ignored) == (2 if projector else 0)
    network = {key: shape.shape for key, shape in imported.state.items()}
    assert network["head.final.weight"] == (304, 256, 1, 1)
    assert imported.network["backbone"] == {"name": "wide_resnet38"}


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "head"),
    [("multishiftseg_deeplab", {"name": "learnable_uncertainty"}), ("nvidia_deeplabv3plus_wrn38", None)],
)
def test_released_deeplab_files_have_this_layout(layout, name, head):
    expected = released.deeplab_layout() | (released.ood_head_layout() if head else {})
    assert released.prefixed("module.", expected) == layout(name)
    imported = multishiftseg.interpret(meta_state(layout(name)), ANY)
    assert imported.unknown == ()
    assert imported.network["head"] == head


def saved(tmp_path: Path, content: object) -> Path:
    file = tmp_path / "released.pth"
    torch.save(content, file)
    return file


def test_an_rpl_file_computes_what_it_describes(tmp_path):
    state = random_state(rpl_layout(DIVISOR))
    file = saved(tmp_path, {"model": state, "epoch": 39, "iteration": 14840})
    imported = read_imported("rpl", [file])
    network = build_checked(imported, str(file))
    images = torch.randn(1, 3, 65, 98)
    bare = {key.removeprefix("branch1."): value for key, value in state.items()}
    with torch.inference_mode():
        expected = released.Evaluation(bare)(images)
        output = network(images)
    assert expected["residual_energy"].std() > 0.05
    torch.testing.assert_close(output.logits, expected["logits"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(output.score, expected["residual_energy"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("trained", [True, False])
def test_a_two_stage_file_computes_what_it_describes(tmp_path, trained):
    layout = released.deeplab_layout(DIVISOR) | (released.ood_head_layout(DIVISOR) if trained else {})
    state = random_state(layout)
    wrapped = {f"module.{key}": value for key, value in state.items()}
    file = saved(tmp_path, wrapped if trained else {"state_dict": wrapped, "epoch": 1})
    network = build_checked(read_imported("multishiftseg", [file]), str(file))
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        expected = released.Evaluation(state)(images)
        output = network(images)
    torch.testing.assert_close(output.logits, expected["logits"], atol=1e-4, rtol=1e-4)
    score = expected["uncertainty"] if trained else -expected["logits"].logsumexp(dim=1)
    torch.testing.assert_close(output.score, score, atol=1e-4, rtol=1e-4)


def test_a_file_without_a_residual_block_is_no_rpl(tmp_path):
    file = saved(tmp_path, random_state(released.deeplab_layout(DIVISOR)))
    with pytest.raises(CheckpointError, match="no residual block"):
        read_imported("rpl", [file])


def test_every_difference_is_listed(tmp_path):
    state = random_state(rpl_layout(DIVISOR))
    del state["branch1.mod2.block1.bn1.0.weight"], state["branch1.residual_block.atten_aspp.img_conv.0.weight"]
    state["branch1.extra.weight"] = torch.zeros(1)
    state["branch1.mod4.block1.proj_conv.weight"] = torch.zeros(3, 2, 1, 1)
    imported = rpl.interpret(state, ANY)
    with pytest.raises(CheckpointError) as caught:
        build_checked(imported, "file.pth")
    text = str(caught.value)
    assert "missing (2)" in text
    assert "backbone.mod2.block1.bn1.0.weight" in text
    assert "head.aspp.img_conv.0.weight" in text
    assert "unexpected (1):\n  extra.weight" in text
    assert "misshapen (1):\n  backbone.mod4.block1.proj_conv.weight: file [3, 2, 1, 1], network [32, 16, 1, 1]" in text


def test_nan_weights_are_refused():
    state = random_state(rpl_layout(DIVISOR))
    state["branch1.bot_fine.weight"][0] = float("nan")
    with pytest.raises(CheckpointError, match="NaN or infinity in 1 tensors: decoder"):
        build_checked(rpl.interpret(state, ANY))
