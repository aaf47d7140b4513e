from __future__ import annotations

from pathlib import Path

import pytest
import released_segformer as released
import torch
from released_tensors import meta_state, random_state

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing import segformer_mmseg
from oodseg_ros.importing.imported import build_checked
from oodseg_ros.importing.kinds import import_bundle
from oodseg_ros.labels import load_labels
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
    imported = segformer_mmseg.read(file)
    assert len(imported.ignored) == (2 if form == "original" else 0)
    network = build_checked(imported, str(file))
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        output = network(images)
        expected = released.Evaluation(form, state, DEPTHS)(images)
    assert expected.std() > 0.1
    torch.testing.assert_close(output.logits, expected, atol=5e-4, rtol=1e-3)
    torch.testing.assert_close(output.score, -expected.logsumexp(dim=1), atol=5e-4, rtol=1e-3)


CONFIG = """
img_norm_cfg = dict(
    mean=[127.5, 127.5, 127.5], std=[51.0, 51.0, 51.0], to_rgb=True)
model = dict(
    backbone=dict(type='MixVisionTransformer', num_heads=[1, 2, 5, 8], sr_ratios=[8, 4, 2, 1], qkv_bias=True),
    decode_head=dict(type='SegformerHead', num_classes=19, align_corners=False))
train_pipeline = [dict(type='Normalize', mean=[127.5, 127.5, 127.5], std=[51.0, 51.0, 51.0], to_rgb=True)]
"""
FOREIGN = [f"thing {k}" for k in range(19)]


def stored(file, meta, prefix=""):
    state = random_state(released.segformer_layout("mmseg", WIDTHS, DEPTHS, channels=12))
    torch.save({"meta": meta, "state_dict": {prefix + key: value for key, value in state.items()}}, file)
    return file


@pytest.mark.parametrize("key", ["CLASSES", "dataset_meta"])
def test_class_names_and_normalisation_beside_the_tensors_are_taken(tmp_path, key):
    def meta(names):
        return {key: names if key == "CLASSES" else {"classes": names, "palette": []}, "config": CONFIG}

    imported = segformer_mmseg.read(stored(tmp_path / "a.pth", meta(FOREIGN)))
    assert imported.label_set is None, "19 foreign classes are not Cityscapes'"
    assert imported.names == tuple(FOREIGN)
    assert imported.input.mean == (0.5, 0.5, 0.5)
    assert imported.input.std == (0.2, 0.2, 0.2)
    with pytest.raises(CheckpointError, match="19 class names"):
        import_bundle("segformer-mmseg", [tmp_path / "a.pth"], tmp_path / "out")
    city = tuple(load_labels("cityscapes19").names)
    assert segformer_mmseg.read(stored(tmp_path / "b.pth", meta(city))).label_set == "cityscapes19"
    assert segformer_mmseg.read(stored(tmp_path / "c.pth", {"config": ""})).input.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("old", "new"),
    [("to_rgb=True", "to_rgb=False"), ("[1, 2, 5, 8]", "[1, 2, 4, 8]"), ("align_corners=False", "align_corners=True")],
)
def test_a_configuration_that_is_not_carried_is_refused(tmp_path, old, new):
    file = stored(tmp_path / "a.pth", {"config": CONFIG.replace(old, new)})
    with pytest.raises(CheckpointError, match=r"was trained with \w+=.*only .* is imported"):
        segformer_mmseg.read(file)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod.", "_orig_mod.module."])
def test_what_compilers_and_wrappers_put_before_keys_is_cut_off(tmp_path, prefix):
    assert segformer_mmseg.read(stored(tmp_path / "a.pth", {}, prefix)).unknown == ()


def test_another_network_is_refused():
    with pytest.raises(CheckpointError, match="no SegFormer"):
        segformer_mmseg.interpret({"backbone.stem.weight": torch.zeros(1)}, ANY)
