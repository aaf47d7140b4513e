from __future__ import annotations

from pathlib import Path

import pytest
import released_segformer as released
import torch
from released_tensors import meta_state, random_state

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing import segformer_mmseg
from oodseg_ros.importing.imported import build_checked
from oodseg_ros.networks.build import build_segmentor

B0 = ((32, 64, 160, 256), (2, 2, 2, 2))
B5 = ((64, 128, 320, 512), (3, 6, 40, 3))
WIDTHS, DEPTHS = (8, 16, 20, 24), (1, 2, 1, 1)
ANY = Path("file.pth")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "form", "size", "channels", "variant"),
    [
        ("segformer_b0_mmseg", "mmseg", B0, 256, "b0"),
        ("segformer_b5_mmseg", "mmseg", B5, 256, "b5"),
        ("segformer_b5_nvlabs", "original", B5, 768, "b5"),
    ],
)
def test_released_files_have_this_layout_and_fit(layout, name, form, size, channels, variant):
    assert released.segformer_layout(form, *size, channels) == layout(name)
    imported = segformer_mmseg.interpret(meta_state(layout(name)), ANY)
    assert imported.unknown == ()
    assert imported.network["backbone"]["variant"] == variant
    with torch.device("meta"):
        expected = build_segmentor(imported.network).state_dict()
    assert {key: value.shape for key, value in imported.state.items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.parametrize("form", ["mmseg", "original"])
def test_a_file_computes_what_it_describes(tmp_path, form):
    state = random_state(released.segformer_layout(form, WIDTHS, DEPTHS, channels=12))
    file = tmp_path / "segformer.pth"
    torch.save({"meta": {"mmseg_version": "0.20.2"}, "state_dict": state}, file)
    imported = segformer_mmseg.read([file])
    assert len(imported.ignored) == (2 if form == "original" else 0)
    network = build_checked(imported, str(file))
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        output = network(images)
        expected = released.Evaluation(form, state, DEPTHS)(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(output.logits, expected, atol=5e-4, rtol=1e-3)
    torch.testing.assert_close(output.score, -expected.logsumexp(dim=1), atol=5e-4, rtol=1e-3)


def test_another_network_is_refused():
    with pytest.raises(CheckpointError, match="no SegFormer"):
        segformer_mmseg.interpret({"backbone.stem.weight": torch.zeros(1)}, ANY)
