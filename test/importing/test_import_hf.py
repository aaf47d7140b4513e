from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_networks import CLASSES, DEPLOYED, LABELS, MASKS, PROCESSOR, directory, mask2former, segformer, write
from transformers import MobileNetV2ImageProcessor, SegformerConfig, SegformerForSemanticSegmentation

from oodseg_ros.bundle import load_bundle
from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing import hf
from oodseg_ros.importing.imported import agreement, build_checked
from oodseg_ros.importing.kinds import import_bundle
from oodseg_ros.labels import load_labels
from oodseg_ros.scenes import scene


def proven(imported):
    """Share of equal labels and distance of the maps against transformers; the import is refused if they disagree."""
    found = agreement(imported, build_checked(imported))
    return found["labels"], found["maps_off"]


def resized(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return torch.nn.functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def test_segformer_becomes_this_projects_network(tmp_path):
    torch.manual_seed(0)
    config = SegformerConfig(hidden_sizes=[8, 16, 20, 24], depths=[1, 2, 1, 1], decoder_hidden_size=12, **CLASSES)
    theirs = SegformerForSemanticSegmentation(config)
    processor = PROCESSOR | {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 96, "width": 128}}
    imported = hf.read(directory(tmp_path, theirs, processor))
    assert imported.network["backbone"]["name"] == "mit"
    assert imported.label_set == "driving11"
    assert imported.input.mean == (0.5, 0.5, 0.5)
    assert imported.input.pixels == 96 * 128
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        output = build_checked(imported)(images)
        expected = resized(theirs(images).logits, (64, 96))
    torch.testing.assert_close(output.logits, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.score, -expected.logsumexp(dim=1), atol=1e-5, rtol=1e-4)


@pytest.mark.data
def test_the_released_segformer_has_this_layout(tmp_path, layout):
    released = layout("segformer_b5_transformers")
    sizes = {"depths": [3, 6, 40, 3], "num_labels": 19}
    narrow = SegformerForSemanticSegmentation(
        SegformerConfig(hidden_sizes=[8, 16, 20, 24], decoder_hidden_size=12, **sizes)
    )
    folder = directory(tmp_path, narrow)
    # `hf` reads what save_pretrained writes, whatever the modules are called in memory.
    assert load_file(folder / "model.safetensors").keys() == released.keys()
    assert hf.read(folder).unknown == ()
    with torch.device("meta"):
        b5 = SegformerForSemanticSegmentation(
            SegformerConfig(hidden_sizes=[64, 128, 320, 512], decoder_hidden_size=768, **sizes)
        )
    shapes = Counter(tuple(value.shape) for value in b5.state_dict().values())
    assert shapes == Counter(released.values())


@pytest.mark.parametrize("encoder", ["swin", "resnet"])
def test_mask2former_becomes_this_projects_network(tmp_path, encoder):
    torch.manual_seed(0)
    theirs = mask2former(encoder)
    imported = hf.read(directory(tmp_path, theirs, MASKS))
    assert imported.network["backbone"]["name"] == "mask2former"
    assert proven(imported) == (1.0, pytest.approx(0, abs=1e-4))
    assert imported.network["score"] == "rejected_by_all"
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        logits = build_checked(imported)(images).logits
        output = theirs(images)
        masks = resized(output.masks_queries_logits, (64, 96)).sigmoid()
        expected = torch.einsum("bqc,bqhw->bchw", output.class_queries_logits.softmax(-1)[..., :-1], masks)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", DEPLOYED)
def test_every_other_model_is_built_from_its_own_configuration(tmp_path, name):
    """The network, its own processor and its own post-processing against what the bundle would compute."""
    imported = hf.read(write(name, tmp_path))
    ours = {"segformer": "mit", "mask2former": "mask2former"}
    assert imported.network["backbone"]["name"] == ours.get(name, "hf")
    assert imported.label_set == "driving11"
    labels, off = proven(imported)
    squeezed = name in ("data2vec", "dpt")  # to 64x64; their maps come back in two steps instead of one
    assert labels >= (0.985 if squeezed else 0.9999)
    assert off < (0.02 if squeezed else 1e-4)


@pytest.mark.parametrize(
    "changed",
    [
        {"do_normalize": False},
        {"do_rescale": False, "image_mean": [123.675, 116.28, 103.53], "image_std": [58.395, 57.12, 57.375]},
        {"rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3, "image_std": [1.0] * 3},
        {"do_rescale": False, "do_normalize": False},
        {"image_mean": 0.5, "image_std": 0.5},
        {"size": 512},
        {"size": 64, "resample": 3},
        {"do_resize": False, "size": None},
        {"reduce_labels": True, "feature_extractor_type": "SegformerFeatureExtractor"},
    ],
)
@pytest.mark.parametrize("resize", ["keep", "processor"])
def test_preprocessing_is_carried(tmp_path, changed, resize):
    torch.manual_seed(0)
    folder = directory(tmp_path, segformer(), PROCESSOR | changed)
    if resize == "processor" and changed.get("do_resize") is False:
        with pytest.raises(CheckpointError, match="does not resize"):
            hf.read(folder, resize=resize)
        return
    imported = hf.read(folder, resize=resize)
    labels, off = proven(imported)
    assert labels >= (0.9999 if resize == "keep" else 0.985)
    assert off < (1e-4 if resize == "keep" else 0.02)
    wanted = {"size": 512}, {"size": 64, "resample": 3}
    if changed in wanted and resize == "keep":
        assert imported.input.pixels == changed["size"] ** 2


def test_a_proof_would_notice_what_is_not_carried(tmp_path):
    torch.manual_seed(0)
    imported = hf.read(directory(tmp_path, segformer(), PROCESSOR | {"do_normalize": False}))
    for wrong in ({"mean": (0.485, 0.456, 0.406)}, {"std": (0.229, 0.224, 0.225)}, {"channel_order": "bgr"}):
        off = replace(imported, input=imported.input.model_copy(update=wrong))
        with pytest.raises(CheckpointError, match="does not answer as transformers"):
            agreement(off, build_checked(off))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"thumbnail_first": True}, "thumbnail_first: True"),
        ({"size": {"max_height": 64, "max_width": 64}}, "neither height and width nor a shortest edge"),
        ({"image_mean": [0.5, 0.5]}, "image_mean is .* three numbers"),
        ({"image_std": [0.5, 0.0, 0.5]}, "not above 0"),
        ({"rescale_factor": 0.0}, "rescale_factor|not above 0"),
        ({"size": {"height": "128", "width": 160}}, "size {'height': '128'} .* no whole number"),
        ({"rescale_factor": "1/255"}, "rescale_factor is '1/255', and a number is needed"),
        ({"image_processor_type": "NobodysProcessor"}, "cannot be made"),
    ],
)
def test_preprocessing_that_a_bundle_cannot_carry_out_is_refused(tmp_path, changed, sentence):
    with pytest.raises(CheckpointError, match=sentence):
        hf.read(directory(tmp_path, segformer(), PROCESSOR | changed))


def test_a_network_of_one_size_says_what_to_do_with_an_aspect_that_it_cannot_keep(tmp_path):
    folder = write("dpt", tmp_path)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"keep_aspect_ratio": True}))
    with pytest.raises(CheckpointError, match=r"one size only, so take keep_aspect_ratio out of preprocessor_config"):
        hf.read(folder)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"keep_aspect_ratio": False}))
    hf.read(folder)


@pytest.mark.parametrize(("name", "beside"), [("mask2former", "MaskFormer"), ("maskformer", "Mask2Former")])
def test_the_answer_is_compared_with_the_networks_own_whatever_processor_lies_beside_it(tmp_path, name, beside):
    """Many fine-tuned Mask2Formers were saved with MaskFormer's processor."""
    folder = write(name, tmp_path)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"image_processor_type": f"{beside}ImageProcessor"}))
    assert proven(hf.read(folder)) == (1.0, pytest.approx(0, abs=1e-4))


@pytest.mark.parametrize(("name", "multiple"), [("oneformer", 1), ("mask2former", 32), ("maskformer", 32)])
def test_networks_with_queries_are_sized_and_filled_up_as_their_processors_do(tmp_path, name, multiple):
    folder = write(name, tmp_path)
    file = folder / "preprocessor_config.json"
    size = {"size": {"shortest_edge": 128, "longest_edge": 213}}
    file.write_text(json.dumps(json.loads(file.read_text()) | size))
    imported = hf.read(folder, resize="processor")
    assert imported.input.multiple == multiple
    labels, off = proven(imported)
    assert labels >= 0.98
    assert off < 0.02


def test_maps_of_an_untrained_network_are_compared_however_small_they_are(tmp_path):
    torch.manual_seed(0)
    model, _, _ = DEPLOYED["mobilenet_v2"]()
    model.eval().save_pretrained(tmp_path)
    MobileNetV2ImageProcessor().save_pretrained(tmp_path)
    imported = hf.read(tmp_path)
    maps = imported.reference.answer(scene(4, (192, 320)).image)[1]
    assert np.abs(maps).max() < 1e-20, "their squares are no numbers of float32"
    assert proven(imported) == (1.0, pytest.approx(0, abs=1e-3))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_names_under_a_wrapper_say_so(tmp_path, prefix):
    folder = directory(tmp_path, segformer())
    state = {prefix + key: value for key, value in load_file(folder / "model.safetensors").items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"begins with '{prefix}', which a wrapper"):
        hf.read(folder)


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_whole_numbers_in_place_of_weights_are_refused(tmp_path, form):
    """Quantized weights have the right names and shapes; transformers takes an int8 of 100 for 100.0."""
    folder = directory(tmp_path, segformer())
    state = load_file(folder / "model.safetensors")
    key = "decode_head.classifier.weight"
    state[key] = (100 * state[key]).to(torch.int8)
    (folder / "model.safetensors").unlink()
    if form == "bin":
        torch.save(state, folder / "pytorch_model.bin")
        (folder / "training_args.bin").write_bytes((folder / "pytorch_model.bin").read_bytes())
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"whole numbers \(torch.int8\).*in 1 tensors \({key}\)"):
        hf.read(folder)


def test_what_only_goes_with_a_model_is_named(tmp_path):
    folder = directory(tmp_path, segformer())
    config = json.loads((folder / "config.json").read_text())
    quantized = config | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}}
    (folder / "config.json").write_text(json.dumps(quantized))
    with pytest.raises(CheckpointError, match=r"weights are quantized \(bitsandbytes\)"):
        hf.read(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"holds an adapter.*merge_and_unload"):
        hf.read(folder)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
        (b"", "is empty"),
        (b"<html>", "a web page"),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_weights_that_a_download_did_not_bring_are_named(tmp_path, name, content, sentence):
    folder = directory(tmp_path, segformer())
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        hf.read(folder)


def test_a_network_that_builds_and_cannot_run_is_a_sentence(tmp_path):
    folder = directory(tmp_path, segformer())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": float("nan")}))
    with pytest.raises(CheckpointError, match=r"cannot be run on a picture of .*dropout"):
        proven(hf.read(folder))


def test_a_missing_processor_file_is_refused_unless_it_is_said_what_it_held(tmp_path):
    folder = directory(tmp_path, segformer(), None)
    with pytest.raises(CheckpointError, match=r"no preprocessor_config\.json.*--preprocessing imagenet"):
        hf.read(folder)
    imported = hf.read(folder, preprocessing="imagenet")
    assert imported.reference is None
    assert imported.input.mean == (0.485, 0.456, 0.406)
    assert "not known" in imported.notes[0]
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    with pytest.raises(CheckpointError, match="says what its preprocessing is"):
        hf.read(folder, preprocessing="imagenet")


def named(names):
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def test_foreign_classes_never_become_a_known_label_set(tmp_path, monkeypatch):
    monkeypatch.setattr("oodseg_ros.importing.imported.CALIBRATION_SIZE", (96, 192))
    indoor, city = [f"indoor {k}" for k in range(19)], list(load_labels("cityscapes19").names)
    folder = directory(tmp_path, segformer(**named(indoor)))
    with pytest.raises(CheckpointError, match=r"19 class names \(indoor 0, .*\) are those of no label set.*--labels"):
        import_bundle("hf", [folder], tmp_path / "x")
    bundle, imported = import_bundle("hf", [folder], tmp_path / "own", labels="from-file")
    assert bundle.labels.names == tuple(indoor)
    assert len(set(bundle.labels.colors)) == 19
    assert load_bundle(tmp_path / "own").labels == bundle.labels
    bundle, imported = import_bundle("hf", [folder], tmp_path / "asked", labels="cityscapes19")
    assert any("indoor 0" in note for note in imported.notes)
    assert bundle.card.training["notes"] == list(imported.notes)
    turned = directory(tmp_path, segformer(**named(city[::-1])), name="turned")
    for labels in (None, "cityscapes19"):
        with pytest.raises(CheckpointError, match=r"no label set|another order: its output 0 is 'bicycle'"):
            import_bundle("hf", [turned], tmp_path / "x", labels=labels)
    assert not (tmp_path / "x" / "model.yaml").exists()
    same = directory(tmp_path, segformer(**named([name.title().replace(" ", "_") for name in city])), name="same")
    assert hf.read(same).label_set == "cityscapes19"
    numbered = directory(tmp_path, segformer(**named([f"LABEL_{k}" for k in range(19)])), name="numbered")
    bundle, imported = import_bundle("hf", [numbered], tmp_path / "numbered_bundle")
    assert bundle.labels.names[3] == "LABEL_3"
    assert "only numbers its classes" in imported.notes[-1]
    assert import_bundle("hf", [numbered], tmp_path / "told", labels="cityscapes19")[0].labels.name == "cityscapes19"


@pytest.mark.parametrize("key", ["reduce_labels", "do_reduce_labels"])
def test_names_that_reduced_labels_shifted_are_refused(tmp_path, key):
    names = ["background", *list(LABELS.values())[1:]]
    with pytest.raises(CheckpointError, match="every name would be one off"):
        hf.read(directory(tmp_path, segformer(**named(names)), PROCESSOR | {key: True}))


def test_tensors_of_training_alone_are_no_reason_to_refuse(tmp_path):
    """Released files hold the criterion's, older ones no num_batches_tracked."""
    torch.manual_seed(0)
    folder = directory(tmp_path, mask2former("swin"), MASKS)
    state = load_file(folder / "model.safetensors")
    state["criterion.something.weight"] = torch.zeros(3)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    imported = hf.read(folder)
    assert imported.ignored == ("criterion.something.weight",)
    assert proven(imported)[0] == 1.0
    folder = directory(tmp_path, segformer(), name="old")
    state = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert len(kept) < len(state)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    assert proven(hf.read(folder))[0] == 1.0


def test_every_missing_unexpected_and_misshapen_key_is_listed(tmp_path):
    config = SegformerConfig(hidden_sizes=[8, 16, 20, 24], depths=[1, 1, 1, 1], decoder_hidden_size=12, **CLASSES)
    folder = directory(tmp_path, SegformerForSemanticSegmentation(config))
    state = load_file(folder / "model.safetensors")
    del state["decode_head.batch_norm.weight"]
    state["decode_head.classifier.bias"] = torch.zeros(3)
    state["decode_head.extra"] = torch.zeros(2)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"do not fit|cannot be loaded") as caught:
        hf.read(folder)
    text = str(caught.value)
    assert "decode_head.batch_norm.weight" in text
    assert "decode_head.extra" in text
    assert "decode_head.classifier.bias" in text


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_folder_that_is_none_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        hf.read(tmp_path)


def test_a_model_without_segmentation_is_refused(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="cannot be loaded as a semantic segmentation model"):
        hf.read(tmp_path)
