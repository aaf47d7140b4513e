from __future__ import annotations

import argparse
import collections
import re
import tarfile
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from easydict import EasyDict
from safetensors.torch import save_file

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing.checkpoint import EASY_DICT, read_checkpoint, state_dict_of, without_prefix
from oodseg_ros.importing.imported import build_checked
from oodseg_ros.importing.kinds import read_imported
from oodseg_ros.networks.build import build_segmentor

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3)}


@pytest.mark.parametrize("zipped", [True, False])
def test_both_formats_of_torch_save_are_read(tmp_path, zipped):
    torch.save(collections.OrderedDict(STATE), tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_checkpoint(tmp_path / "x.pth")["a.weight"], STATE["a.weight"])


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "x.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "x.safetensors")["a.weight"], STATE["a.weight"])


def test_easydict_is_read_only_where_it_is_admitted(tmp_path):
    torch.save({"state_dict": STATE, "hyper_parameters": EasyDict(a=EasyDict(b=[1, 2]))}, tmp_path / "x.ckpt")
    content = read_checkpoint(tmp_path / "x.ckpt", [EASY_DICT])
    assert content["hyper_parameters"] == {"a": {"b": [1, 2]}}
    assert type(content["hyper_parameters"]) is collections.OrderedDict
    with pytest.raises(CheckpointError, match=r"it holds easydict\.EasyDict"):
        read_checkpoint(tmp_path / "x.ckpt")


def test_other_classes_are_refused_with_the_reason_and_the_safe_way(tmp_path):
    torch.save({"state_dict": STATE, "args": argparse.Namespace(lr=1)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"argparse\.Namespace.*safetensors") as caught:
        read_checkpoint(tmp_path / "x.pth", [EASY_DICT])
    assert "weights_only=False" in str(caught.value)


class Harmful:
    """Runs code when it is unpickled without care."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (self.file, "w"))


def test_nothing_in_a_file_is_run(tmp_path):
    torch.save({"state_dict": Harmful(str(tmp_path / "trace"))}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="can run code"):
        read_checkpoint(tmp_path / "x.pth")
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_numpy_scalars_come_out_as_numbers(tmp_path, zipped):
    kept = {"best": np.float64(0.7), "epoch": np.int64(4), "done": np.bool_(True), "loss": np.float32(1.5)}
    torch.save({"state_dict": STATE, **kept}, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    content = read_checkpoint(tmp_path / "x.pth")
    assert {key: content[key] for key in kept} == {"best": 0.7, "epoch": 4, "done": True, "loss": 1.5}
    assert not any(isinstance(content[key], np.generic) for key in kept)


def test_content_counts_and_not_the_suffix(tmp_path):
    save_file(STATE, tmp_path / "x.pth")
    torch.save(STATE, tmp_path / "x.safetensors")
    for name in ("x.pth", "x.safetensors"):
        assert torch.equal(read_checkpoint(tmp_path / name)["a.weight"], STATE["a.weight"])


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"<!DOCTYPE html><html><body>Quota exceeded", "a web page"),
        (b"\n  <HTML lang=en>", "a web page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error>", "a web page"),
        (LFS, r"a git-lfs pointer.*git lfs pull"),
        (b'{"error": "not found"}', "JSON"),
        (b"\x1f\x8b\x08\x00", "compressed archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"", "is empty"),
    ],
)
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_what_a_failed_download_leaves_is_named(tmp_path, content, sentence, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(tmp_path / name)


def test_a_zip_without_checksums_is_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(STATE, tmp_path / "x.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_checkpoint(tmp_path / "x.pth")["a.weight"], STATE["a.weight"])


def test_a_tensor_that_one_bit_marks_as_a_folder_is_no_tensor(tmp_path):
    """torch reads nothing of it, without a word, though its checksum is right."""
    file = tmp_path / "x.pth"
    torch.save(STATE, file)
    content = bytearray(file.read_bytes())
    entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"x/data/0"))
    content[entry + 38] |= 0x10
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="x/data/0 in it is marked as a folder"):
        read_checkpoint(file)


FORMS = ("zip", "legacy", "safetensors")


def whole(tmp_path, form):
    """A small ERFNet as its training script saves it, in one of the forms that checkpoints come in."""
    file = tmp_path / "whole.pth"
    state = erfnet_state()
    if form == "safetensors":
        save_file(state, file)
    else:
        content = {"state_dict": state, "epoch": 3, "best": np.float64(0.5), "arch": "erfnet"}
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    return file.read_bytes(), state


def erfnet_state():
    spec = {"backbone": {"name": "erfnet", "widths": [4, 8, 12]}, "score": "energy"}
    spec |= {
        "decoder": {"name": "erfnet", "outputs": 5, "widths": [8, 4]},
        "classifier": {"name": "none", "classes": 5},
    }
    names = build_segmentor(spec).state_dict()
    return {
        re.sub("^backbone", "encoder", name): torch.randn(value.shape).to(value.dtype) for name, value in names.items()
    }


def outcome(file, state):
    """`refused` with a sentence, `same` content, or `other` content; any other exception is the test's failure."""
    try:
        imported = read_imported("erfnet", [file])
        build_checked(imported, str(file))
    except CheckpointError as error:
        named = str(file) in str(error) and ("weights_only=False" not in str(error) or "it holds" in str(error))
        return "refused" if named else str(error)
    wanted = {re.sub("^encoder", "backbone", key): value for key, value in state.items()}
    same = imported.state.keys() == wanted.keys()
    return "same" if same and all(torch.equal(imported.state[key], wanted[key]) for key in wanted) else "other"


def damage(tmp_path, form, cuts, flips):
    """How often a cut or a flipped byte had which outcome."""
    content, state = whole(tmp_path, form)
    rng = np.random.default_rng(7)
    file, counts = tmp_path / "x.pth", {"cut": Counter(), "flip": Counter()}
    file.write_bytes(content)
    assert outcome(file, state) == "same"
    # Every kind of place: the ends, the headers, and all between.
    places = np.unique(np.r_[0:40, len(content) - 40 : len(content), rng.integers(0, len(content), cuts)])
    for place in rng.permutation(places)[:cuts]:
        file.write_bytes(content[:place])
        counts["cut"][outcome(file, state)] += 1
    heads = rng.integers(0, min(4000, len(content)), flips // 2)
    for place in np.r_[heads, rng.integers(0, len(content), flips - flips // 2)]:
        changed = bytearray(content)
        changed[place] ^= int(rng.integers(1, 256))
        file.write_bytes(changed)
        counts["flip"][outcome(file, state)] += 1
    return counts


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("places", [30, pytest.param(600, marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_file_gives_a_sentence(tmp_path, form, places):
    """No cut imports anything, no flipped byte raises anything else, and where there are checksums none goes unseen."""
    counts = damage(tmp_path, form, places, places)
    assert set(counts["cut"]) == {"refused"}
    if form == "zip":
        assert counts["flip"]["other"] == 0, counts
    assert set(counts["flip"]) <= {"refused", "same", "other"}
    if form == "zip":
        assert counts["flip"]["refused"] > places / 3


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"<html>quota exceeded</html>", b"\x80\x02}q\x00."])
@pytest.mark.parametrize("name", ["x.pth", "x.safetensors"])
def test_damaged_files_are_named(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"x\.(pth|safetensors)"):
        state_dict_of(read_checkpoint(tmp_path / name), ("state_dict",), tmp_path / name)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "none.pth")


def test_tensors_are_found_under_the_first_known_key():
    assert state_dict_of({"epoch": 3, "model": STATE}, ("state_dict", "model"), "x") == STATE
    assert state_dict_of(STATE, ("state_dict",), "x") == STATE
    with pytest.raises(CheckpointError, match="no tensors"):
        state_dict_of({"epoch": 3}, ("state_dict",), "x")
    with pytest.raises(CheckpointError, match="holds a list"):
        state_dict_of([1], ("state_dict",), "x")


def test_tensors_beside_those_that_are_taken_are_told(caplog):
    weights, averages = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    optimizer = {"state": {0: {"step": torch.ones(1)}}, "param_groups": []}
    content = {"state_dict": weights, "ema_state_dict": averages, "optimizer": optimizer, "epoch": 3}
    assert state_dict_of(content, ("state_dict",), "x.pth") == weights
    assert "x.pth holds more tensors, which are not taken: ema_state_dict" in caplog.text
    caplog.clear()
    assert state_dict_of({**weights, "optimizer": optimizer}, ("state_dict",), "x.pth") == weights
    assert not caplog.text


def test_prefixes_go_only_where_all_keys_have_them():
    assert set(without_prefix({"module.a": 1, "module.b": 2}, "module.")) == {"a", "b"}
    assert set(without_prefix({"module.a": 1, "b": 2}, "module.")) == {"module.a", "b"}
    assert set(without_prefix({"module.branch1.a": 1}, "module.", "branch1.")) == {"a"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"404: Not Found", "a text file that begins with '404: Not Found'"),
        ("Zugriff verweigert \u00fc".encode(), "a text file that begins with 'Zugriff verweigert"),
        (b"<!-- quota --><html>", "a web page"),
        (b"<meta charset=utf-8>", "a web page"),
    ],
)
def test_text_is_named_for_what_it_is(tmp_path, content, sentence):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        read_checkpoint(tmp_path / "x.pth")


def test_archives_around_a_checkpoint_are_named(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "best.pth")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(tmp_path / "best.pth", "run/best.pth")
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(tmp_path / "best.pth", "best.pth")
    np.savez(tmp_path / "x.npz", a=np.zeros(2))
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "x.pt")
    for name, sentence in {
        "x.zip": r"did not write \(run/best\.pth\); give the file inside",
        "x.tar": "a tar archive: unpack it",
        "x.npz": r"did not write \(a\.npy\)",
        "x.pt": "a TorchScript program",
    }.items():
        with pytest.raises(CheckpointError, match=sentence):
            read_checkpoint(tmp_path / name)


@pytest.mark.parametrize("tensor", [torch.zeros(2, device="meta"), torch.eye(2).to_sparse()])
def test_tensors_without_plain_numbers_are_refused(tensor):
    with pytest.raises(CheckpointError, match=r"conv\.weight .* has no plain numbers"):
        state_dict_of({"conv.weight": tensor, "fine": torch.zeros(1)}, (), "x.pth")
