from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import released_uem as released
import torch
from easydict import EasyDict
from released_tensors import meta_state, random_state

from oodseg_ros.errors import CheckpointError, ConfigError
from oodseg_ros.importing import uem
from oodseg_ros.importing.imported import build_checked
from oodseg_ros.importing.kinds import import_bundle, read_imported
from oodseg_ros.inference.runner import Runner

SMALL = {"width": 64, "depth": 12, "grid": 5, "hidden": 24, "out": 16, "memory": 3}
ANY = Path("file.ckpt")


def lightning(state: dict) -> dict:
    """The container that Lightning 2.5 writes, with the hyper-parameters as the project's own class."""
    parameters = EasyDict({"MODEL": {"OOD_HEAD": {"NAME": "LinearHead", "FACTORS": [1, 1, 1]}}, "SOLVER": {"LR": 5e-4}})
    return {
        "epoch": 5,
        "global_step": 4000,
        "pytorch-lightning_version": "2.5.0.post0",
        "state_dict": state,
        "loops": {},
        "callbacks": {},
        "optimizer_states": [],
        "lr_schedulers": [],
        "hparams_name": "args",
        "hyper_parameters": EasyDict(args=parameters),
    }


@pytest.mark.data
@pytest.mark.parametrize("name", ["d_d", "g_d", "g_g"])
def test_released_ood_models_have_this_layout_and_become_the_papers_network(layout, name):
    assert released.ood_layout(name.replace("_", "").upper()) == layout(f"uem_ood_{name}")
    imported = uem.interpret(meta_state(layout(f"uem_ood_{name}")), ANY)
    assert imported.unknown == ()
    assert imported.network["backbone"] == {"name": "dinov2", "variant": "b", "image_size": 518}
    assert imported.network["decoder"] == {"name": "dino_fpn", "channels": 256, "hidden": 512}
    assert imported.network["classifier"]["name"] == {"d": "linear", "g": "gmm"}[name[0]]
    assert imported.network["head"].get("form", "D") == name[2].upper()
    assert imported.network["score"] == "likelihood_ratio"
    with torch.device("meta"):
        from oodseg_ros.networks.build import build_segmentor

        expected = build_segmentor(imported.network).state_dict()
    assert {key: value.shape for key, value in imported.state.items()} == {k: v.shape for k, v in expected.items()}


@pytest.mark.data
@pytest.mark.parametrize(("name", "form"), [("discriminative", "D"), ("gmm", "G")])
def test_released_segmentors_have_this_layout(layout, name, form):
    assert released.segmentor_layout(form) == layout(f"uem_segmentor_{name}")
    imported = uem.interpret(meta_state(layout(f"uem_segmentor_{name}")), ANY)
    assert imported.network["head"] is None
    assert imported.network["score"] == "max_logit"


@pytest.mark.parametrize("forms", ["DD", "GD", "GG"])
def test_a_file_computes_what_it_describes(tmp_path, forms):
    state = random_state(released.ood_layout(forms, **SMALL))
    file = tmp_path / "uem.ckpt"
    torch.save(lightning(state), file)
    network = build_checked(read_imported("uem", [file]), str(file))
    images = torch.randn(1, 3, 70, 126)
    with torch.inference_mode():
        logits, evidence = network.evidence(images)
        score = network(images).score
        inlier, unknown = released.Evaluation(state)(images)
    assert inlier.std() > 0.1
    torch.testing.assert_close(logits, inlier, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(evidence, unknown, atol=2e-3, rtol=1e-3)
    expected = unknown[:, 1] - unknown[:, 0] - inlier.amax(dim=1)
    assert (score - expected).abs().mean() < 1e-3


def test_a_segmentor_alone_gets_a_post_hoc_score(tmp_path):
    state = random_state(released.segmentor_layout("D", **SMALL))
    network = build_checked(uem.interpret(state, ANY))
    images = torch.randn(1, 3, 70, 70)
    with torch.inference_mode():
        inlier, _ = released.Evaluation(state)(images)
        torch.testing.assert_close(network(images).score, -inlier.amax(dim=1), atol=2e-3, rtol=1e-3)


def test_the_bundle_answers_with_windows_averaged_before_the_ratio(tmp_path, monkeypatch):
    from oodseg_ros.model_card import Windows

    monkeypatch.setattr(uem, "WINDOWS", Windows(height=70, width=112, stride_y=42, stride_x=84))
    monkeypatch.setattr("oodseg_ros.importing.imported.CALIBRATION_SIZE", (96, 192))
    state = random_state(released.ood_layout("DD", **SMALL))
    file = tmp_path / "uem.ckpt"
    torch.save(lightning(state), file)
    bundle, imported = import_bundle("uem", [file], tmp_path / "uem_small")
    assert bundle.card.name == "uem_small"
    assert imported.ignored == ()
    image = np.random.default_rng(0).integers(0, 256, (112, 196, 3), dtype=np.uint8)
    prediction = Runner.load(bundle, engine="torch")([image])[0]

    normal = (torch.from_numpy(image) / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    normal = normal.permute(2, 0, 1)[None]
    total, seen = torch.zeros(21, 112, 196), torch.zeros(112, 196)
    with torch.inference_mode():
        for y in (0, 42):
            for x in (0, 84):
                part = torch.cat(released.Evaluation(state)(normal[..., y : y + 70, x : x + 112]), dim=1)[0]
                total[:, y : y + 70, x : x + 112] += part
                seen[y : y + 70, x : x + 112] += 1
    mean = total / seen
    expected = mean[20] - mean[19] - mean[:19].amax(dim=0)
    assert np.abs(prediction.score - expected.numpy()).mean() < 2e-3
    assert (prediction.labels == mean[:19].argmax(dim=0).numpy()).mean() > 0.99


def test_the_stride_of_the_protocol_can_be_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("oodseg_ros.importing.imported.CALIBRATION_SIZE", (96, 192))
    file = tmp_path / "uem.ckpt"
    torch.save(lightning(random_state(released.segmentor_layout("D", **SMALL))), file)
    bundle, _ = import_bundle("uem", [file], tmp_path / "dense", stride=140)
    windows = bundle.card.input.windows
    assert (windows.height, windows.width, windows.stride_y, windows.stride_x) == (518, 1036, 140, 140)
    with pytest.raises(ConfigError, match="leaves pixels out"):
        import_bundle("uem", [file], tmp_path / "x", stride=519)


def test_another_backbone_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="no UEM checkpoint on DINOv2"):
        uem.interpret({"backbone.swin.patch_embed.weight": torch.zeros(1)}, ANY)
