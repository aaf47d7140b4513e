from __future__ import annotations

import argparse
import collections

import pytest
import torch
from easydict import EasyDict
from safetensors.torch import save_file

from oodseg_ros.errors import CheckpointError
from oodseg_ros.importing.checkpoint import EASY_DICT, read_checkpoint, state_dict_of, without_prefix

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


def test_prefixes_go_only_where_all_keys_have_them():
    assert set(without_prefix({"module.a": 1, "module.b": 2}, "module.")) == {"a", "b"}
    assert set(without_prefix({"module.a": 1, "b": 2}, "module.")) == {"module.a", "b"}
    assert set(without_prefix({"module.branch1.a": 1}, "module.", "branch1.")) == {"a"}
