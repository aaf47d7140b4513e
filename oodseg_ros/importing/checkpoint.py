"""Reading files that others wrote, without running what is in them."""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError

EASY_DICT = (OrderedDict, "easydict.EasyDict")
"""What `read_checkpoint` may be told to admit: (class that is made instead, name in the file). The file's own class
is never imported; an ordered dictionary takes its place (torch refuses to fill any other kind of dictionary)."""


def read_checkpoint(path: str | Path, admitted: Sequence[tuple[type, str]] = ()) -> Any:
    """Content of a `.safetensors` file or of one that `torch.save` wrote (any version), on the CPU.

    Only tensors and plain containers are made, plus the `admitted` classes; nothing in the file is executed.

    Raises:
        CheckpointError: missing, damaged, or in need of more than that; the text says how to convert it safely.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(str(path))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
    try:
        with torch.serialization.safe_globals(list(admitted)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        names = _named_globals(str(error))
        raise CheckpointError(
            f"{path} was refused: it holds {names or 'something other than tensors and plain containers'}, and making "
            "such objects can run code from the file. If you trust its author, convert it once in a separate "
            "environment: load it there with torch.load(file, weights_only=False), save only the tensors with "
            "safetensors.torch.save_file(state_dict, 'weights.safetensors'), and import that file"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path} is no checkpoint, or a damaged one: {first}") from error


def state_dict_of(content: Any, under: Sequence[str], path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint: below the first key of `under` that is there, or at the top.

    Raises:
        CheckpointError: there are no tensors.
    """
    found = content
    if isinstance(content, Mapping):
        found = next((content[key] for key in under if isinstance(content.get(key), Mapping)), content)
    if not isinstance(found, Mapping):
        raise CheckpointError(f"{path} holds a {type(found).__name__}, not a dictionary of tensors")
    tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    if not tensors:
        keys = ", ".join(map(str, list(found)[:10]))
        raise CheckpointError(f"{path} holds no tensors under {', '.join(under) or 'its top'}; its keys are: {keys}")
    return tensors


def without_prefix(state: Mapping[str, Tensor], *prefixes: str) -> dict[str, Tensor]:
    """Each prefix in turn is cut off where every key has it (what DataParallel and wrappers put in front)."""
    for prefix in prefixes:
        if state and all(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items()}
    return dict(state)


def _named_globals(message: str) -> str:
    """Class names out of torch's refusal ("… Unsupported global: GLOBAL easydict.EasyDict was not …")."""
    return ", ".join(dict.fromkeys(re.findall(r"GLOBAL ([\w.]+[\w])", message)))


def check_archive(path: Path) -> None:
    """Compare every member of a zip with its checksum; other files pass.

    Raises:
        CheckpointError: a member is damaged. torch reads such a file without a word.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); fetch it again") from error
    if damaged is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of {damaged} in it is wrong; fetch it again")
